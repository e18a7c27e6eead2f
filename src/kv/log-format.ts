// LevelDB's logs, of which MANIFEST is one. Source: leveldb 1.20, doc/log_format.md, db/log_reader.cc.

import { maskedCrc } from "./crc32c.ts";

/** What of a log can be read. */
export interface LogContent {
  /** Of what was written at once, up to the first place that cannot be read. */
  readonly records: readonly Buffer[];
  /** Where that is; undefined if all can. */
  readonly badAt: number | undefined;
  /** What cannot be read is what a kill or a power cut leaves of a write at the end, and nothing lies behind it. */
  readonly isTorn: boolean;
}

/** LevelDB itself passes over what it cannot read, and what lies behind it in the same 32 KiB, and says nothing. */
export function readLog(log: Buffer): LogContent {
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  let at = 0;
  while (at < log.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const part = partAt(log, at);
    if (part === undefined) return { records, badAt: at, isTorn: isTornAt(log, at) };
    parts.push(part.data);
    at += HEADER_BYTES + part.data.length;
    if (part.type !== FULL && part.type !== LAST) continue;
    records.push(parts.length === 1 ? part.data : Buffer.concat(parts));
    parts = [];
  }
  // A record of several parts whose last was not written.
  return parts.length === 0 ? { records, badAt: undefined, isTorn: false } : { records, badAt: at, isTorn: true };
}

/**
 * A log in which LevelDB finds what of this one is as it was written: it looks at no sum when it makes a table of one. Of the 32 KiB in which
 * something is damaged, what lies behind that is left out, too.
 */
export function soundLog(log: Buffer): Buffer {
  const sound = Buffer.from(log);
  for (let at = 0; at < log.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    const part = left < HEADER_BYTES ? undefined : partAt(log, at);
    if (part !== undefined) at += HEADER_BYTES + part.data.length;
    else {
      sound.subarray(at, at + left).fill(0);
      at += left;
    }
  }
  return sound;
}

interface Part {
  readonly type: number;
  readonly data: Buffer;
}

/** @returns undefined if there is none that is whole */
function partAt(log: Buffer, at: number): Part | undefined {
  const left = BLOCK_BYTES - (at % BLOCK_BYTES);
  if (left < HEADER_BYTES || at + HEADER_BYTES > log.length) return undefined;
  const length = log.readUInt16LE(at + 4);
  const end = at + HEADER_BYTES + length;
  const type = log[at + 6] ?? 0;
  if (type < FULL || type > LAST || end > log.length || HEADER_BYTES + length > left) return undefined;
  if (maskedCrc(log.subarray(at + 6, end)) !== log.readUInt32LE(at)) return undefined;
  return { type, data: log.subarray(at + HEADER_BYTES, end) };
}

/**
 * A kill leaves a part that goes on beyond the end of the file, a power cut zeros up to the end. Behind either nothing follows that was
 * written later.
 */
function isTornAt(log: Buffer, at: number): boolean {
  const length = at + HEADER_BYTES <= log.length ? log.readUInt16LE(at + 4) : Infinity;
  const end = at + HEADER_BYTES + length;
  if (partAt(log, end) !== undefined) return false;
  for (let block = at - (at % BLOCK_BYTES) + BLOCK_BYTES; block < log.length; block += BLOCK_BYTES)
    if (partAt(log, block) !== undefined) return false;
  const lastSector = Math.max(at, log.length - 1 - ((log.length - 1) % SECTOR_BYTES));
  return end > log.length || log.subarray(lastSector).every((byte) => byte === 0);
}

const BLOCK_BYTES = 32 * 1024;
/** Check sum 4, length 2, type 1. */
const HEADER_BYTES = 7;
const FULL = 1;
const LAST = 4;
const SECTOR_BYTES = 512;
