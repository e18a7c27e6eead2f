import { ftruncateSync, writeSync } from "node:fs";
import type { Frame } from "../format/chunk-value.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import { plainOf, requireDigest } from "../sys/chunk-frames.ts";
import { dataRuns } from "./data-runs.ts";

/** A frame in the memory of its job, or the length of a run of zeros. */
export type StoredPiece = (Omit<Frame, "stored"> & { readonly offset: number; readonly length: number }) | number;

/** Bytes of a file from `position` on. */
interface Part {
  readonly sparse: boolean;
  readonly position: number;
  readonly pieces: readonly StoredPiece[];
}

/** Writes a content to a new, empty file: a sparse one with a hole for each page of zeros, a dense one without holes. */
export function writeContent(
  fd: number,
  { size, sparse }: Content,
  pieces: readonly StoredPiece[],
  frames: Uint8Array,
  pageBytes: number,
): void {
  const end = writePieces(fd, { sparse, position: 0, pieces }, frames, pageBytes);
  if (end < size) ftruncateSync(fd, size);
}

/**
 * Proves and writes pieces, which lie in `frames`.
 *
 * @returns where the last byte was written
 * @throws {StoreError} CHUNK_CORRUPT
 */
export function writePieces(
  fd: number,
  { sparse, position, pieces }: Part,
  frames: Uint8Array,
  pageBytes: number,
): number {
  let at = position;
  let end = position;
  for (const piece of pieces) {
    if (typeof piece === "number") {
      if (!sparse) end = writeZeros(fd, piece, at);
      at += piece;
      continue;
    }
    const stored = frames.subarray(piece.offset, piece.offset + piece.length);
    const plain = plainOf(stored, piece, piece.digest, PLAIN.subarray(0, piece.plainBytes));
    requireDigest(plain, piece.digest);
    for (const run of sparse ? dataRuns(plain, at, pageBytes) : [{ offset: at, length: plain.length }]) {
      writeFully(fd, plain.subarray(run.offset - at, run.offset - at + run.length), run.offset);
      end = run.offset + run.length;
    }
    at += plain.length;
  }
  return end;
}

const PLAIN: Uint8Array = new Uint8Array(BLOCK_BYTES);
const ZEROS = Buffer.alloc(1024 * 1024);

function writeZeros(fd: number, length: number, position: number): number {
  for (let at = 0; at < length; at += ZEROS.length)
    writeFully(fd, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)), position + at);
  return position + length;
}

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}
