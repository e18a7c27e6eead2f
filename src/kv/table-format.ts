// What has to be known of LevelDB's files to read values out of them. Keys are byte strings.
// Source: leveldb 1.20, doc/table_format.md, table/block_builder.cc; db/version_set.cc, Version::DebugString.

import { readSync } from "node:fs";

/** What LevelDB says of a table file. */
export interface Table {
  readonly number: string;
  readonly sizeBytes: number;
  readonly first: string;
  readonly last: string;
}

/** Of each block of a table, in order: its last key or one between that and the next block's; where it begins. */
export interface TableIndex {
  readonly keys: readonly string[];
  readonly positions: readonly number[];
}

/**
 * Reads the property "leveldb.sstables". LevelDB does not escape the backslash, so a key that holds `\x41` as text comes
 * out shorter than it is.
 *
 * @returns in order of keys, without tables that overlap others: which of them is the newest is LevelDB's to know
 */
export function tablesIn(description: string): Table[] {
  const tables = allTablesIn(description).sort((a, b) => (a.first < b.first ? -1 : 1));
  const alone: Table[] = [];
  let reached: Table | undefined;
  for (const table of tables) {
    if (reached === undefined || table.first > reached.last) alone.push(table);
    else if (alone.at(-1) === reached) alone.pop();
    if (reached === undefined || table.last > reached.last) reached = table;
  }
  return alone;
}

/** As `tablesIn`, with those that overlap. */
export function allTablesIn(description: string): Table[] {
  return Array.from(description.matchAll(TABLE), ([, number = "", size, first = "", last = ""]) => {
    return { number, sizeBytes: Number(size), first: unescaped(first), last: unescaped(last) };
  });
}

/** ` 17:123['a' @ 5 : 1 .. 'd' @ 9 : 1]`: number, size, first and last key. */
const TABLE = /^ (\d+):(\d+)\['(.*)' @ \d+ : \d \.\. '(.*)' @ \d+ : \d\]$/gm;

function unescaped(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** @returns an index without keys if it is none that can be read here */
export function readIndex(fd: number, sizeBytes: number): TableIndex {
  if (sizeBytes < FOOTER_BYTES) return NO_INDEX;
  const footer = Buffer.alloc(FOOTER_BYTES);
  readSync(fd, footer, 0, FOOTER_BYTES, sizeBytes - FOOTER_BYTES);
  const handles = new Varints(footer);
  // The place of another block comes first.
  const [, , position, length] = [handles.next(), handles.next(), handles.next(), handles.next()];
  const isTable = footer.readBigUInt64LE(FOOTER_BYTES - 8) === MAGIC && position + length <= sizeBytes;
  if (!isTable || length < COUNT_BYTES) return NO_INDEX;
  const block = Buffer.alloc(length + 1);
  if (readSync(fd, block, 0, length + 1, position) < length + 1 || block[length] !== UNCOMPRESSED) return NO_INDEX;
  return decodeIndex(block.subarray(0, length));
}

function decodeIndex(block: Buffer): TableIndex {
  // Each entry is a "restart point", which has its key in full; the block ends with a list of them.
  const end = block.length - COUNT_BYTES - 4 * block.readUInt32LE(block.length - COUNT_BYTES);
  const keys: string[] = [];
  const positions: number[] = [];
  const entry = new Varints(block);
  while (entry.at < end) {
    const [shared, unshared, length] = [entry.next(), entry.next(), entry.next()];
    const valueAt = entry.at + unshared;
    if (shared !== 0 || unshared < TAG_BYTES || valueAt + length > end) return NO_INDEX;
    keys.push(block.toString("latin1", entry.at, valueAt - TAG_BYTES));
    positions.push(new Varints(block, valueAt).next());
    entry.at = valueAt + length;
  }
  return { keys, positions };
}

/** The first of `count` keys in order that is not below `key`; `count` if there is none. */
export function firstAtLeast(count: number, key: string, keyAt: (i: number) => string): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keyAt(middle) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Integers of 7 bits a byte, the lowest first. Beyond the end are zeros. */
export class Varints {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 || scale > MAX_SCALE) return value;
    }
  }
}

const MAX_SCALE = 2 ** 56;

/** After each key: what its entry is, and the number of its write. */
export const TAG_BYTES = 8;
const FOOTER_BYTES = 48;
/** At the end of a block, of its restart points. */
const COUNT_BYTES = 4;
const MAGIC = 0xdb4775248b80fb57n;
const UNCOMPRESSED = 0;
const NO_INDEX: TableIndex = { keys: [], positions: [] };
