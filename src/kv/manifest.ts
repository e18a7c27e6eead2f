// What has to be known of LevelDB's MANIFEST. Source: leveldb 1.20, doc/log_format.md; db/version_edit.cc.

import { readFileSync } from "node:fs";
import { StoreError } from "../errors.ts";
import { Varints } from "./table-format.ts";

/**
 * The number from which on LevelDB names new files when it next opens a database: a table with such a number is one that a killed
 * process left, and nobody's.
 *
 * @throws {StoreError} FORMAT_INVALID
 */
export function nextFileNumber(directory: string): number {
  const current = readFileSync(`${directory}/CURRENT`, "latin1").trim();
  let next: number | undefined;
  for (const record of logRecords(readFileSync(`${directory}/${current}`))) next = nextFileIn(record) ?? next;
  if (next === undefined)
    throw new StoreError("FORMAT_INVALID", { record: `${directory}/${current}`, reason: "it names no files" });
  return next;
}

/** Up to the first that is not whole: a killed process may have left a part of one. */
function* logRecords(log: Buffer): Generator<Buffer> {
  let parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const leftInBlock = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES);
    if (leftInBlock < HEADER_BYTES) {
      at += leftInBlock;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    const type = log[at + 6];
    const end = at + HEADER_BYTES + length;
    if (type === 0 || end > log.length) return;
    parts.push(log.subarray(at + HEADER_BYTES, end));
    at = end;
    if (type !== RECORD.full && type !== RECORD.last) continue;
    yield Buffer.concat(parts);
    parts = [];
  }
}

function nextFileIn(edit: Buffer): number | undefined {
  const fields = new Varints(edit);
  const skipText = (): void => {
    const length = fields.next();
    fields.at += length;
  };
  let next: number | undefined;
  while (fields.at < edit.length) {
    const tag = fields.next();
    switch (tag) {
      case TAG.comparator:
        skipText();
        break;
      case TAG.nextFile:
        next = fields.next();
        break;
      case TAG.log:
      case TAG.previousLog:
      case TAG.lastSequence:
        fields.next();
        break;
      case TAG.compactPointer:
        fields.next();
        skipText();
        break;
      case TAG.deletedFile:
        fields.next();
        fields.next();
        break;
      case TAG.newFile:
        for (let i = 0; i < 3; i++) fields.next();
        skipText();
        skipText();
        break;
      default:
        return next;
    }
  }
  return next;
}

const LOG_BLOCK_BYTES = 32 * 1024;
/** Check sum, length, type. */
const HEADER_BYTES = 7;
const RECORD = { full: 1, last: 4 } as const;
const TAG = {
  comparator: 1,
  log: 2,
  nextFile: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLog: 9,
} as const;
