import { closeSync, openSync, readSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { decodeChunkValue } from "../format/chunk-value.ts";
import type { ValuePlace } from "../kv/tables.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { plainOf } from "../sys/chunk-frames.ts";

/** Chunk values in one file. */
export interface VerifyJob {
  readonly file: string;
  readonly values: readonly (Pick<ValuePlace, "position" | "length"> & { readonly id: number })[];
}

export interface VerifiedValues {
  /** Frames that do not hold their chunks, and values that could not be read: these without a digest. */
  readonly bad: readonly { readonly id: number; readonly digest?: Digest }[];
  readonly plainBytes: number;
}

/** Reads the frames of values, and proves each chunk. */
export function verifyValues({ file, values }: VerifyJob): VerifiedValues {
  const bad: { id: number; digest?: Digest }[] = [];
  let plainBytes = 0;
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return { bad: values, plainBytes };
  }
  try {
    for (const { id, position, length } of values) {
      try {
        for (const frame of decodeChunkValue(id, readValue(fd, position, length))) {
          if (isChunk(frame.digest, frame)) plainBytes += frame.plainBytes;
          else bad.push({ id, digest: frame.digest });
        }
      } catch (error) {
        if (errnoOf(error) === undefined && !(error instanceof StoreError)) throw error;
        bad.push({ id });
      }
    }
    return { bad, plainBytes };
  } finally {
    closeSync(fd);
  }
}

function isChunk(digest: Digest, frame: Parameters<typeof plainOf>[1] & { readonly stored: Uint8Array }): boolean {
  try {
    const room = frame.plainBytes <= BLOCK_BYTES ? PLAIN.subarray(0, frame.plainBytes) : undefined;
    return digestOf(plainOf(frame.stored, frame, digest, room)) === digest;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return false;
  }
}

/** @returns what is good until the next call */
function readValue(fd: number, position: number, length: number): Buffer {
  if (length > value.length) value = Buffer.allocUnsafeSlow(2 * length);
  return value.subarray(0, readSync(fd, value, 0, length, position));
}

const PLAIN: Uint8Array = new Uint8Array(BLOCK_BYTES);
let value = Buffer.allocUnsafeSlow(512 * 1024);
