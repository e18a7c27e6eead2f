import { CODEC } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import type { Digest } from "../model/digest.ts";
import { compressRows, FRAMES_SLACK_BYTES, LEFT, RAW } from "../sys/compress-rows.ts";
import type { Rows } from "../sys/compress-rows.ts";
import { Threads } from "../sys/threads.ts";

const SLAB_BYTES = 1 << 20;
/** The smallest chunks are a byte each. */
const SLAB_CHUNKS = 2048;

interface SlabChunk {
  readonly digest: Digest;
  readonly plain: Uint8Array;
  /** As another store compressed it. */
  readonly frame: Frame | undefined;
}

/**
 * Chunks that are compressed together, in memory that is shared with the thread that does it. What a thread is told takes 0.1 ms of
 * both: for each chunk alone that would be half of what compressing it takes. Used again once its chunks are written: with new
 * memory for each chunk, page faults and the collector took a second of importing 1 GB. bench/import-export.ts.
 */
export class Slab {
  readonly #plain = new Uint8Array(new SharedArrayBuffer(SLAB_BYTES));
  readonly #frames = new Uint8Array(new SharedArrayBuffer(SLAB_BYTES + FRAMES_SLACK_BYTES));
  readonly #lengths = new Int32Array(new SharedArrayBuffer(SLAB_CHUNKS * 8));
  readonly #chunks: SlabChunk[] = [];
  #bytes = 0;

  get plainBytes(): number {
    return this.#bytes;
  }

  fits(bytes: Uint8Array): boolean {
    return this.#bytes + bytes.length <= SLAB_BYTES && this.#chunks.length < SLAB_CHUNKS;
  }

  /**
   * Copies a chunk in. It must fit.
   *
   * @param frame it as another store compressed it, kept
   * @returns where it is until `clear`
   */
  add(digest: Digest, bytes: Uint8Array, frame?: Frame): Uint8Array {
    const plain = this.#plain.subarray(this.#bytes, this.#bytes + bytes.length);
    plain.set(bytes);
    const row = 2 * this.#chunks.length;
    this.#lengths[row] = bytes.length;
    this.#lengths[row + 1] = frame === undefined ? RAW : LEFT;
    this.#bytes += bytes.length;
    this.#chunks.push({ digest, plain, frame });
    return plain;
  }

  /** @throws {StoreError} UNSUPPORTED without a zstd */
  async compress(where: "here" | "thread", level: number): Promise<void> {
    const rows: Rows = {
      count: this.#chunks.length,
      level,
      plain: this.#plain,
      frames: this.#frames,
      lengths: this.#lengths,
    };
    if (where === "here") compressRows(rows);
    else await compressors.run(rows);
  }

  /** What was compressed, in order. Their bytes hold until `clear`. */
  frames(): Frame[] {
    let at = 0;
    return this.#chunks.map(({ digest, plain, frame }, i) => {
      if (frame !== undefined) return frame;
      const length = this.#lengths[2 * i + 1]!;
      if (length === RAW) return { digest, codec: CODEC.raw, plainBytes: plain.length, stored: plain };
      const stored = this.#frames.subarray(at, (at += length));
      return { digest, codec: CODEC.zstd, plainBytes: plain.length, stored };
    });
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
  }
}

/** Of all stores that this process has open. */
const compressors = new Threads<Rows, void>("sys/compress-thread", compressRows);

/** True once threads run that compress: then they are rather asked than begun. */
export function compressorsRun(): boolean {
  return compressors.areRunning;
}
