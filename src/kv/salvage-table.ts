import { readFileSync, writeFileSync } from "node:fs";
import { CRC_START, crcStep, maskedCrc, maskedEnd } from "./crc32c.ts";
import { Varints } from "./table-format.ts";

/** A block of entries, without its trailer. */
interface Block {
  readonly bytes: Buffer;
  /** Of its last entry, with the tag. */
  readonly lastKey: Buffer;
}

/**
 * Writes a table of what of a damaged one is as it was: its blocks whose sums fit. LevelDB would read the others as well, and some
 * damage ends the process by an assertion of its.
 *
 * If its index is damaged, too, blocks are found one after the other, up to the first that is damaged.
 *
 * @param isProven takes blocks whose sums do not fit as well, if their entries can be told apart: their values are proven elsewhere
 */
export function salvageTable(file: string, target: string, { isProven }: { readonly isProven: boolean }): void {
  const table = readFileSync(file);
  const blocks: Block[] = [];
  for (const { at, length } of handlesIn(table)) {
    if (at + length + TRAILER_BYTES > table.length) continue;
    const bytes = table.subarray(at, at + length);
    if (!isProven && !hasSum(table, at, length)) continue;
    const keys = keysIn(bytes);
    const lastKey = keys?.at(-1);
    const before = blocks.at(-1)?.lastKey;
    if (keys === undefined || lastKey === undefined) continue;
    if (before === undefined || isBefore(before, keys[0]!)) blocks.push({ bytes, lastKey });
  }
  // One without entries would end the process, too.
  if (blocks.length > 0) writeFileSync(target, encodeTable(blocks), { mode: 0o600 });
}

interface Handle {
  readonly at: number;
  readonly length: number;
}

function* handlesIn(table: Buffer): Generator<Handle> {
  const footer = new Varints(table.subarray(-FOOTER_BYTES));
  const [, , at, length] = [footer.next(), footer.next(), footer.next(), footer.next()];
  if (at + length + TRAILER_BYTES <= table.length && hasSum(table, at, length)) {
    const index = table.subarray(at, at + length);
    for (const [, value] of entriesIn(index) ?? []) {
      const handle = new Varints(value);
      yield { at: handle.next(), length: handle.next() };
    }
    return;
  }
  const found: Handle[] = [];
  for (let start = 0, end = endOf(table, 0); end !== undefined; end = endOf(table, start)) {
    // Behind the entries come the filter, and what names it.
    const names = keysIn(table.subarray(start, end), 1) ?? [];
    if (names.some((key) => key.toString("latin1").startsWith("filter."))) {
      found.pop();
      break;
    }
    found.push({ at: start, length: end - start });
    start = end + TRAILER_BYTES;
  }
  yield* found;
}

/** Where the block ends that begins at `start`: where its sum fits. */
function endOf(table: Buffer, start: number): number | undefined {
  let crc = CRC_START;
  for (let at = start; at + TRAILER_BYTES <= table.length; at++) {
    if (
      table[at] === UNCOMPRESSED &&
      at > start &&
      maskedEnd(crcStep(crc, UNCOMPRESSED)) === table.readUInt32LE(at + 1)
    )
      return at;
    crc = crcStep(crc, table[at]!);
  }
  return undefined;
}

function hasSum(table: Buffer, at: number, length: number): boolean {
  return maskedCrc(table.subarray(at, at + length + 1)) === table.readUInt32LE(at + length + 1);
}

/** @returns undefined unless these are the keys of entries, in order, with tags of at least `leastBytes` */
export function keysIn(block: Buffer, leastBytes = TAG_BYTES): Buffer[] | undefined {
  const entries = entriesIn(block);
  if (entries === undefined || entries.length === 0) return undefined;
  const keys = entries.map(([key]) => key);
  const areKeys = keys.every((key, i) => key.length >= leastBytes && (i === 0 || isBefore(keys[i - 1]!, key)));
  return areKeys || leastBytes < TAG_BYTES ? keys : undefined;
}

/** @returns undefined if the block is none */
function entriesIn(block: Buffer): [key: Buffer, value: Buffer][] | undefined {
  if (block.length < 8) return undefined;
  const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4);
  if (end < 0) return undefined;
  const entries: [Buffer, Buffer][] = [];
  let before: Buffer = Buffer.alloc(0);
  for (const entry = new Varints(block); entry.at < end;) {
    const [shared, unshared, length] = [entry.next(), entry.next(), entry.next()];
    const valueAt = entry.at + unshared;
    if (shared > before.length || valueAt + length > end) return undefined;
    before = Buffer.concat([before.subarray(0, shared), block.subarray(entry.at, valueAt)]);
    entries.push([before, block.subarray(valueAt, valueAt + length)]);
    entry.at = valueAt + length;
  }
  return entries;
}

/** By user keys; of the same one, what was written later comes first. */
export function isBefore(a: Buffer, b: Buffer): boolean {
  if (a.length < TAG_BYTES || b.length < TAG_BYTES) return false;
  const order = Buffer.compare(a.subarray(0, -TAG_BYTES), b.subarray(0, -TAG_BYTES));
  return order !== 0 ? order < 0 : a.readBigUInt64LE(a.length - TAG_BYTES) > b.readBigUInt64LE(b.length - TAG_BYTES);
}

function encodeTable(blocks: readonly Block[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  const put = (bytes: Buffer): Buffer => {
    const whole = Buffer.concat([bytes, Buffer.of(UNCOMPRESSED)]);
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(maskedCrc(whole));
    parts.push(whole, sum);
    const handle = Buffer.concat([varint(at), varint(bytes.length)]);
    at += bytes.length + TRAILER_BYTES;
    return handle;
  };
  const rows = blocks.map(({ bytes, lastKey }) => ({ key: lastKey, value: put(bytes) }));
  const metaIndex = put(encodeBlock([]));
  const index = put(encodeBlock(rows));
  const footer = Buffer.alloc(FOOTER_BYTES);
  Buffer.concat([metaIndex, index]).copy(footer);
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8);
  return Buffer.concat([...parts, footer]);
}

/** Each key in full. */
function encodeBlock(rows: readonly { readonly key: Buffer; readonly value: Buffer }[]): Buffer {
  const parts: Buffer[] = [];
  const restarts: number[] = [];
  let at = 0;
  for (const { key, value } of rows) {
    restarts.push(at);
    const entry = Buffer.concat([varint(0), varint(key.length), varint(value.length), key, value]);
    parts.push(entry);
    at += entry.length;
  }
  if (restarts.length === 0) restarts.push(0);
  const list = Buffer.alloc(4 * restarts.length + 4);
  for (const [i, restart] of restarts.entries()) list.writeUInt32LE(restart, 4 * i);
  list.writeUInt32LE(restarts.length, 4 * restarts.length);
  return Buffer.concat([...parts, list]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 0x80)) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 0x80) | 0x80);
  }
}

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const TAG_BYTES = 8;
const UNCOMPRESSED = 0;
const MAGIC = 0xdb4775248b80fb57n;
