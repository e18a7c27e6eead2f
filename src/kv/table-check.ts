import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { maskedCrc } from "./crc32c.ts";
import { readLog } from "./log-format.ts";
import { isBefore } from "./salvage-table.ts";
import { TAG_BYTES, Varints } from "./table-format.ts";
import { versionIn } from "./version.ts";

/** What of LevelDB's files is not as it was written. */
export interface FileDamage {
  readonly file: string;
  readonly reason: string;
}

/**
 * Looks through the tables of a database that is open. LevelDB has a sum over each block, and does not look at it.
 *
 * @param depth `blocks` reads all bytes; `frames` those of each table's index, and of each block what is not its values: these are
 *   proven by others
 */
export function* damagedTables(directory: string, depth: "blocks" | "frames"): Generator<FileDamage> {
  for (const [number, sizeBytes] of tablesOf(directory)) {
    const file = `${directory}/${String(number).padStart(6, "0")}.ldb`;
    try {
      const reason = tableDamage(file, depth, sizeBytes);
      if (reason !== undefined) yield { file, reason };
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      // LevelDB may have replaced it meanwhile.
      if (code === "ENOENT" && !tablesOf(directory).has(number)) continue;
      yield { file, reason: code === "ENOENT" ? "is lost" : `cannot be read: ${code}` };
    }
  }
}

function tablesOf(directory: string): ReadonlyMap<number, number> {
  const current = readFileSync(`${directory}/CURRENT`, "latin1").trim();
  return versionIn(readLog(readFileSync(`${directory}/${current}`)).records).tables;
}

/**
 * What of one table is not as it was written.
 *
 * @param expectedBytes how long it should be, if that is known
 */
export function tableDamage(file: string, depth: "blocks" | "frames", expectedBytes?: number): string | undefined {
  const fd = openSync(file, "r");
  try {
    const sizeBytes = fstatSync(fd).size;
    if (sizeBytes !== (expectedBytes ?? sizeBytes)) return `has ${sizeBytes} bytes of ${expectedBytes}`;
    if (sizeBytes < FOOTER_BYTES) return "does not end as a table does";
    const footer = readAt(fd, sizeBytes - FOOTER_BYTES, FOOTER_BYTES);
    if (footer.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) return "does not end as a table does";
    const handles = new Varints(footer);
    const [metaIndex, index] = [handleIn(handles), handleIn(handles)];
    for (const handle of [metaIndex, index])
      if (handle.length < COUNT_BYTES || !isSound(fd, handle, sizeBytes)) return `is damaged at byte ${handle.at}`;
    // By which LevelDB knows that a key is not there.
    for (const filter of handlesIn(readAt(fd, metaIndex.at, metaIndex.length)))
      if (!isSound(fd, filter, sizeBytes)) return `is damaged at byte ${filter.at}`;
    for (const handle of handlesIn(readAt(fd, index.at, index.length))) {
      const isWell = depth === "blocks" ? isSound(fd, handle, sizeBytes) : hasSoundFrame(fd, handle, sizeBytes);
      if (!isWell) return `is damaged between bytes ${handle.at} and ${handle.at + handle.length}`;
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Where a block is, without the type and the sum behind it. */
interface Handle {
  readonly at: number;
  readonly length: number;
}

function handleIn(varints: Varints): Handle {
  return { at: varints.next(), length: varints.next() };
}

/** Of an index block whose sum is right: each entry has its key in full. */
function* handlesIn(index: Buffer): Generator<Handle> {
  const end = index.length - COUNT_BYTES - 4 * index.readUInt32LE(index.length - COUNT_BYTES);
  for (const entry = new Varints(index); entry.at < end;) {
    const [, keyBytes, valueBytes] = [entry.next(), entry.next(), entry.next()];
    const valueAt = entry.at + keyBytes;
    yield handleIn(new Varints(index, valueAt));
    entry.at = valueAt + valueBytes;
  }
}

function isSound(fd: number, { at, length }: Handle, sizeBytes: number): boolean {
  if (at + length + TRAILER_BYTES > sizeBytes) return false;
  const block = readAt(fd, at, length + TRAILER_BYTES);
  return maskedCrc(block.subarray(0, length + 1)) === block.readUInt32LE(length + 1);
}

/** All but its values: where entries begin and end, their keys, and the list by which LevelDB finds them. */
function hasSoundFrame(fd: number, handle: Handle, sizeBytes: number): boolean {
  const end = endOfEntries(fd, handle, sizeBytes);
  if (end === undefined) return false;
  let before: Buffer = Buffer.alloc(0);
  for (let offset = 0; offset < end;) {
    const head = readAt(fd, handle.at + offset, MAX_ENTRY_HEAD_BYTES);
    const entry = new Varints(head);
    const [shared, unshared, length] = [entry.next(), entry.next(), entry.next()];
    const next = offset + entry.at + unshared + length;
    if (shared > before.length || entry.at + unshared > head.length || next > end) return false;
    const key = Buffer.concat([before.subarray(0, shared), head.subarray(entry.at, entry.at + unshared)]);
    if (key.length < TAG_BYTES || (key[key.length - TAG_BYTES] ?? 2) > 1) return false;
    if (before.length > 0 && !isBefore(before, key)) return false;
    before = key;
    offset = next;
  }
  return true;
}

/** undefined if what follows the entries is none of a block's */
function endOfEntries(fd: number, { at, length }: Handle, sizeBytes: number): number | undefined {
  if (at + length + TRAILER_BYTES > sizeBytes || length < 8) return undefined;
  const end = readAt(fd, at + length - 4, 5);
  const restarts = end.readUInt32LE(0);
  const listBytes = 4 * restarts + 4;
  if (end[4] !== UNCOMPRESSED || restarts === 0 || restarts > MAX_RESTARTS || listBytes > length) return undefined;
  const list = readAt(fd, at + length - listBytes, listBytes - 4);
  let last = -1;
  for (let i = 0; i < list.length; i += 4) {
    const offset = list.readUInt32LE(i);
    if (offset <= last || offset >= length - listBytes || (i === 0 && offset !== 0)) return undefined;
    last = offset;
  }
  return length - listBytes;
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, Math.max(position, 0));
  return bytes;
}

const FOOTER_BYTES = 48;
/** At the end of a block, of its restart points. */
const COUNT_BYTES = 4;
const MAGIC = 0xdb4775248b80fb57n;
/** Type 1, masked CRC 4. */
const TRAILER_BYTES = 5;
const UNCOMPRESSED = 0;
const MAX_RESTARTS = 65_536;
/** Three lengths, and the longest key that there is: what a barrier writes. */
const MAX_ENTRY_HEAD_BYTES = 15 + 100 + 8;
