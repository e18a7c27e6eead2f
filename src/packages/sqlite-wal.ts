import type { CheckedBytes } from "./checked-bytes.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/**
 * The pages in an SQLite write-ahead log, by number from 0 on, as of its last whole transaction. A process that was killed, or still
 * writes, leaves one.
 * Source: https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log"
 */
export function committedPages(wal: CheckedBytes, pageBytes: number): ReadonlyMap<number, CheckedBytes> {
  const committed = new Map<number, CheckedBytes>();
  if (wal.length < HEADER_BYTES) return committed;
  const magic = wal.uint32(0);
  if ((magic & ~1) >>> 0 !== 0x377f0682 || wal.uint32(8) !== pageBytes) return committed;
  const littleEndian = (magic & 1) === 0;
  const words = (at: number, length: number): CheckedBytes => wal.like(wal.part(at, length).bytes, littleEndian);
  let sum = checksum([0, 0], words(0, 24));
  if (!isSum(wal, 24, sum)) return committed;
  let transaction: [number: number, page: CheckedBytes][] = [];
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  for (let at = HEADER_BYTES; at + frameBytes <= wal.length; at += frameBytes) {
    // Frames of an earlier use of the file have another salt.
    if (wal.uint32(at + 8) !== wal.uint32(16) || wal.uint32(at + 12) !== wal.uint32(20)) break;
    sum = checksum(checksum(sum, words(at, 8)), words(at + FRAME_HEADER_BYTES, pageBytes));
    if (!isSum(wal, at + 16, sum)) break;
    transaction.push([wal.uint32(at) - 1, wal.part(at + FRAME_HEADER_BYTES, pageBytes)]);
    const isCommit = wal.uint32(at + 4) !== 0;
    if (!isCommit) continue;
    for (const [number, page] of transaction) committed.set(number, page);
    transaction = [];
  }
  return committed;
}

type Sum = readonly [number, number];

function isSum(wal: CheckedBytes, at: number, [a, b]: Sum): boolean {
  return wal.uint32(at) === a && wal.uint32(at + 4) === b;
}

/** @param words as many as a multiple of two */
function checksum([a, b]: Sum, words: CheckedBytes): Sum {
  for (let at = 0; at < words.length; at += 8) {
    a = (a + words.uint32(at) + b) >>> 0;
    b = (b + words.uint32(at + 4) + a) >>> 0;
  }
  return [a, b];
}
