import { compress } from "./zstd.ts";

/** Pieces to be compressed one by one, in memory that threads share. */
export interface Rows {
  readonly count: number;
  readonly level: number;
  /** The pieces, one after the other. */
  readonly plain: Uint8Array;
  /** Gets the frames, one after the other: as long as the pieces at most, and `FRAMES_SLACK_BYTES`. */
  readonly frames: Uint8Array;
  /** Two numbers a piece: its length, and what gets its frame's, or `RAW` if it gains too little; `LEFT` is left as it is. */
  readonly lengths: Int32Array;
}

export const RAW = 0;
export const LEFT = -1;
/** What zstd asks for beyond the plain length. */
export const FRAMES_SLACK_BYTES: number = 64 * 1024;

/** Below a gain of a tenth, reading without decompressing is worth more. */
const WORTH = 0.9;

export function compressRows({ count, level, plain, frames, lengths }: Rows): void {
  let from = 0;
  let to = 0;
  for (let i = 0; i < 2 * count; i += 2) {
    const length = lengths[i]!;
    if (lengths[i + 1] !== LEFT) {
      const room = frames.subarray(to);
      const frame = compress(plain.subarray(from, from + length), level, room);
      const isWorth = frame.length <= length * WORTH;
      if (isWorth && frame.buffer !== frames.buffer) room.set(frame);
      lengths[i + 1] = isWorth ? frame.length : RAW;
      if (isWorth) to += frame.length;
    }
    from += length;
  }
}
