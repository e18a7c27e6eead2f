import { StoreError } from "../errors.ts";
import type { CheckedBytes } from "./checked-bytes.ts";
import { Pages } from "./checked-bytes.ts";

const HASH_MAGIC = 0x061561;
const BTREE_MAGIC = 0x053162;
const PAGE_HEADER_BYTES = 26;
/** Of pages; of versions before 4.6 the entries are not sorted, which is another type. */
const UNSORTED = 2;
const OVERFLOW = 7;
const SORTED = 13;
/** Of items. */
const IN_PAGE = 1;
const OFF_PAGE = 3;

interface BdbEntry {
  readonly key: CheckedBytes;
  readonly value: CheckedBytes;
}

/**
 * All entries of a Berkeley DB hash table, of either byte order.
 * Source: libdb 5.3, src/dbinc/db_page.h; rpm, lib/backend/bdb_ro.c
 *
 * @throws {StoreError} FORMAT_INVALID; UNSUPPORTED for a B-tree, which rpm never made of its packages
 */
export function* bdbHashEntries(file: CheckedBytes): Generator<BdbEntry> {
  const little = file.like(file.bytes, true);
  const meta = [little, file.like(file.bytes, false)].find((as) => [HASH_MAGIC, BTREE_MAGIC].includes(as.uint32(12)));
  if (meta === undefined) return file.fail("is no Berkeley DB");
  if (meta.uint32(12) === BTREE_MAGIC)
    throw new StoreError("UNSUPPORTED", {
      what: "an rpm database that is a B-tree of Berkeley DB is not read",
      hint: "rpm --dbpath DIR --rebuilddb makes another of it",
    });
  const pageBytes = meta.uint32(20);
  if (pageBytes < 512 || pageBytes > 65_536) meta.fail(`cannot have pages of ${pageBytes} bytes`);
  const pages = new Pages(meta, pageBytes);
  const lastBucket = meta.uint32(72);
  for (let bucket = 0; bucket <= lastBucket; bucket++) {
    // Buckets come in generations, each twice as many as all before and somewhere else in the file.
    const generation = 32 - Math.clz32(bucket);
    let number = bucket + meta.uint32(96 + 4 * generation);
    do {
      const page = pages.take(number);
      // One that was never used.
      if (page.uint8(25) === 0) break;
      yield* entriesOf(pages, page);
      number = page.uint32(16);
    } while (number !== 0);
  }
}

function* entriesOf(pages: Pages, page: CheckedBytes): Generator<BdbEntry> {
  const type = page.uint8(25);
  if (type !== SORTED && type !== UNSORTED) page.fail(`has a page of type ${type} among its buckets`);
  const items = page.uint16(20);
  // Items lie from the end of the page to its middle.
  let end = page.length;
  const next = (i: number): CheckedBytes => {
    const start = page.uint16(PAGE_HEADER_BYTES + 2 * i);
    const item = page.part(start, end - start);
    end = start;
    return itemOf(pages, item);
  };
  for (let i = 0; i + 1 < items; i += 2) yield { key: next(i), value: next(i + 1) };
}

function itemOf(pages: Pages, item: CheckedBytes): CheckedBytes {
  const type = item.uint8(0);
  if (type === IN_PAGE) return item.part(1, item.length - 1);
  if (type !== OFF_PAGE) item.fail(`has an item of type ${type}`);
  const length = item.uint32(8);
  if (length > pages.totalBytes) item.fail("has an item larger than itself");
  const whole = new Uint8Array(length);
  let number = item.uint32(4);
  for (let filled = 0; filled < length;) {
    const page = pages.take(number);
    const part = page.part(PAGE_HEADER_BYTES, page.uint16(22)).bytes;
    if (page.uint8(25) !== OVERFLOW || part.length === 0 || part.length > length - filled)
      page.fail(`page ${number} does not go on with an item`);
    whole.set(part, filled);
    filled += part.length;
    number = page.uint32(16);
  }
  return item.like(whole);
}
