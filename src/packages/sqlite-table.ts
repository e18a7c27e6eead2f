import { CheckedBytes, Pages } from "./checked-bytes.ts";
import { committedPages } from "./sqlite-wal.ts";

/**
 * The blobs in a table of an SQLite database whose second column they are, in the order of their row ids.
 * Source: https://www.sqlite.org/fileformat2.html
 *
 * @param wal what was written and is not in the database yet; may be empty
 * @throws {StoreError} FORMAT_INVALID, also if there is no such table
 */
export function* tableBlobs(database: CheckedBytes, wal: CheckedBytes, table: string): Generator<CheckedBytes> {
  if (database.text(0, MAGIC.length) !== MAGIC) database.fail("is no SQLite database");
  const pageBytes = pageSizeOf(database);
  const usable = pageBytes - database.uint8(20);
  if (usable < 480) database.fail("has pages too small");
  const newer = committedPages(wal, pageBytes);
  const tree = (): Tree => ({ pages: new Pages(database, pageBytes, newer), usable });
  for (const row of rowsOf(tree(), 1)) {
    const [type, name, , root] = row;
    if (textOf(type) === "table" && textOf(name) === table && root !== undefined) {
      for (const [, blob] of rowsOf(tree(), numberOf(root))) if (blob !== undefined) yield blob;
      return;
    }
  }
  database.fail(`has no table ${table}`);
}

const MAGIC = "SQLite format 3\0";

function pageSizeOf(database: CheckedBytes): number {
  const size = database.uint16(16);
  if (size === 1) return 65_536;
  return size >= 512 && (size & (size - 1)) === 0 ? size : database.fail(`cannot have pages of ${size} bytes`);
}

interface Tree {
  readonly pages: Pages;
  /** Bytes of a page that SQLite uses. */
  readonly usable: number;
}

/** A value's bytes; undefined for NULL, and for constants that take none. */
type Value = CheckedBytes | undefined;

const INTERIOR = 5;
const LEAF = 13;

/** @param root from 1 on, as SQLite counts */
function* rowsOf(tree: Tree, root: number): Generator<Value[]> {
  const pending = [root];
  for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
    const page = tree.pages.take(number - 1);
    const start = number === 1 ? 100 : 0;
    const type = page.uint8(start);
    const cells = page.uint16(start + 3);
    if (type !== LEAF && type !== INTERIOR) page.fail(`page ${number} is none of a table`);
    const pointers = start + (type === LEAF ? 8 : 12);
    const below: number[] = [];
    for (let i = 0; i < cells; i++) {
      const at = page.uint16(pointers + 2 * i);
      if (type === LEAF) yield recordOf(payloadAt(tree, page, at));
      else below.push(page.uint32(at));
    }
    if (type === INTERIOR) pending.push(page.uint32(start + 8), ...below.reverse());
  }
}

/** What does not fit into the leaf goes on in a chain of pages. */
function payloadAt({ pages, usable }: Tree, page: CheckedBytes, at: number): CheckedBytes {
  const [length, afterLength] = varintAt(page, at);
  const [, start] = varintAt(page, afterLength);
  if (length > pages.totalBytes) page.fail("has a row larger than itself");
  const most = usable - 35;
  if (length <= most) return page.part(start, length);
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((length - least) % (usable - 4));
  const local = fitting <= most ? fitting : least;
  const whole = new Uint8Array(length);
  whole.set(page.part(start, local).bytes);
  let next = page.uint32(start + local);
  for (let filled = local; filled < length;) {
    const overflow = pages.take(next - 1);
    const part = overflow.part(4, Math.min(length - filled, usable - 4)).bytes;
    whole.set(part, filled);
    filled += part.length;
    next = overflow.uint32(0);
  }
  return page.like(whole);
}

function recordOf(payload: CheckedBytes): Value[] {
  const values: Value[] = [];
  const [headerBytes, first] = varintAt(payload, 0);
  let at = headerBytes;
  for (let next = first; next < headerBytes && values.length < MOST_COLUMNS;) {
    const [type, after] = varintAt(payload, next);
    const length = type >= 12 ? Math.floor((type - 12) / 2) : (FIXED_BYTES[type] ?? payload.fail("has an odd value"));
    values.push(length === 0 ? undefined : payload.part(at, length));
    at += length;
    next = after;
  }
  return values;
}

/** That anybody here asks for. */
const MOST_COLUMNS = 5;

/** Of NULL, integers, a float, 0 and 1. */
const FIXED_BYTES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function textOf(value: Value): string | undefined {
  return value?.text(0, value.length);
}

function numberOf(value: CheckedBytes): number {
  return value.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Highest 7 bits first, 9 bytes at most. @returns [value, offset after it] */
function varintAt(bytes: CheckedBytes, at: number): [value: number, next: number] {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = bytes.uint8(at + i);
    value = value * 128 + (byte & 127);
    if (byte < 128) return [value, at + i + 1];
  }
  return [value * 256 + bytes.uint8(at + 8), at + 9];
}
