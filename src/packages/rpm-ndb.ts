import type { CheckedBytes } from "./checked-bytes.ts";

const PAGE_BYTES = 4096;
const SLOT_BYTES = 16;
const BLOCK_BYTES = 16;
/** The file's own header takes the place of the first ones. */
const FIRST_SLOT_AT = 32;
const BLOB_HEAD_BYTES = 16;
const BLOB_TAIL_BYTES = 12;

/**
 * The blobs in an rpm database of rpm's own format, in the order of its slots.
 * Source: rpm, lib/backend/ndb/rpmpkg.c
 *
 * @param file whose numbers are little-endian
 * @throws {StoreError} FORMAT_INVALID
 */
export function* ndbBlobs(file: CheckedBytes): Generator<CheckedBytes> {
  if (file.text(0, 4) !== "RpmP" || file.uint32(4) !== 0) file.fail("is no package database that is known");
  const slotsEnd = file.uint32(12) * PAGE_BYTES;
  let total = 0;
  for (let slot = FIRST_SLOT_AT; slot < slotsEnd; slot += SLOT_BYTES) {
    if (file.text(slot, 4) !== "Slot") file.fail(`has no slot at byte ${slot}`);
    const [index, start, blocks] = [file.uint32(slot + 4), file.uint32(slot + 8), file.uint32(slot + 12)];
    if (start === 0) continue;
    total += blocks * BLOCK_BYTES;
    if (total > file.length) file.fail("has blobs that overlap");
    yield blobIn(file.part(start * BLOCK_BYTES, blocks * BLOCK_BYTES), index);
  }
}

function blobIn(blocks: CheckedBytes, index: number): CheckedBytes {
  const tail = blocks.length - BLOB_TAIL_BYTES;
  const length = blocks.uint32(12);
  if (blocks.text(0, 4) !== "BlbS" || blocks.text(tail + 8, 4) !== "BlbE") blocks.fail("has a slot without a blob");
  if (blocks.uint32(4) !== index || blocks.uint32(tail + 4) !== length || BLOB_HEAD_BYTES + length > tail)
    blocks.fail("has a blob that is not its slot's");
  return blocks.part(BLOB_HEAD_BYTES, length);
}
