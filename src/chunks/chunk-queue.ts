import type { Frame } from "../format/chunk-value.ts";
import type { Digest } from "../model/digest.ts";
import type { ChunkPlaces } from "./chunk-places.ts";
import { compressorsRun, Slab } from "./slab.ts";
import type { ValueWriter } from "./value-writer.ts";

/** What was put since the store was opened. */
export interface ChunkStats {
  readonly newChunks: number;
  /** Before and after compression. */
  readonly newPlainBytes: number;
  readonly newStoredBytes: number;
}

/** Chunks on their way to disk. */
interface Job {
  readonly slab: Slab;
  /** Settled once they are compressed. */
  readonly compressed: Promise<void>;
  /** Called once they are in values, or cannot be. */
  onWritten: (() => void)[];
}

/** New chunks on their way to values: they are compressed a slab at a time, and written in the order of their puts. */
export class ChunkQueue {
  readonly #writer: ValueWriter;
  readonly #places: ChunkPlaces;
  readonly #level: () => number;
  /** The plain bytes of chunks that are in no value yet. They lie in slabs. */
  readonly #unwritten = new Map<Digest, Uint8Array>();
  #filling: Slab | undefined;
  /** In the order of their puts, so that values hold neighbours. */
  readonly #queue: Job[] = [];
  readonly #idle: Slab[] = [];
  /** For the values of one slab. */
  #valuesRoom = Buffer.allocUnsafeSlow(0);
  #hasFilledOne = false;
  #working: Promise<void> | undefined;
  #onDrained: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;
  #stats: ChunkStats = { newChunks: 0, newPlainBytes: 0, newStoredBytes: 0 };

  /**
   * Borrows both.
   *
   * @param level asked for each slab
   */
  constructor(writer: ValueWriter, places: ChunkPlaces, level: () => number) {
    this.#writer = writer;
    this.#places = places;
    this.#level = level;
  }

  get stats(): ChunkStats {
    return this.#stats;
  }

  /** @throws what made an earlier write fail */
  requireSound(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** The bytes of a chunk that is in no value yet, borrowed: they are gone once it is. */
  find(digest: Digest): Uint8Array | undefined {
    return this.#unwritten.get(digest);
  }

  has(digest: Digest): boolean {
    return this.#unwritten.has(digest);
  }

  /** @param frame the chunk as another store compressed it, kept */
  add(digest: Digest, plain: Uint8Array, frame?: Frame): void {
    if (this.#filling?.fits(plain) === false) {
      // A thread takes longer to begin than the first slab to be compressed: most operations fill no second one.
      this.#dispatch(this.#hasFilledOne ? "thread" : "here");
      this.#hasFilledOne = true;
    }
    this.#filling ??= this.#idle.pop() ?? new Slab();
    this.#unwritten.set(digest, this.#filling.add(digest, plain, frame));
  }

  /** A promise to wait for while too much is on its way to disk. */
  backpressure(): Promise<void> | undefined {
    if (this.#queue.length <= MAX_QUEUED_SLABS || this.#failure) return undefined;
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  /** Done once all that were added by now are in values. @throws what made a write fail */
  async drain(): Promise<void> {
    this.#dispatch(compressorsRun() ? "thread" : "here");
    const last = this.#queue.at(-1);
    // Not for what comes meanwhile: another operation may put more all the time.
    if (last !== undefined && this.#working) await new Promise<void>((resolve) => last.onWritten.push(resolve));
    this.requireSound();
  }

  /** Drops what could not be written. @returns false if there is no such thing */
  forgetFailure(): boolean {
    if (this.#failure === undefined) return false;
    this.#failure = undefined;
    this.#unwritten.clear();
    this.#filling = undefined;
    this.#queue.length = 0;
    return true;
  }

  #dispatch(where: "here" | "thread"): void {
    const slab = this.#filling;
    if (slab === undefined) return;
    const level = this.#level();
    this.#filling = undefined;
    const compressed = slab.compress(where, level);
    // It is awaited in its turn, which may never come if an earlier one fails.
    compressed.catch(() => undefined);
    this.#queue.push({ slab, compressed, onWritten: [] });
    this.#working ??= this.#work();
  }

  /** Takes slabs off the queue in order, and writes the values of each. */
  async #work(): Promise<void> {
    try {
      for (let job = this.#queue[0]; job !== undefined; job = this.#queue[0]) {
        await job.compressed;
        await this.#write(job.slab.frames());
        this.#queue.shift();
        for (const resolve of job.onWritten) resolve();
        job.slab.clear();
        if (this.#idle.length < IDLE_SLABS) this.#idle.push(job.slab);
        if (this.#places.isFull) await this.#places.index();
        if (this.#queue.length <= MAX_QUEUED_SLABS / 2) this.#drained();
      }
    } catch (error) {
      this.#failure = { error };
      this.#drained();
      for (const { onWritten } of this.#queue) for (const resolve of onWritten) resolve();
    } finally {
      this.#working = undefined;
    }
  }

  #drained(): void {
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }

  async #write(frames: readonly Frame[]): Promise<void> {
    if (this.#valuesRoom.length === 0) this.#valuesRoom = Buffer.allocUnsafeSlow(VALUES_ROOM_BYTES);
    await this.#writer.write(frames, this.#valuesRoom);
    for (const { digest } of frames) this.#unwritten.delete(digest);
    const { newChunks, newPlainBytes, newStoredBytes } = this.#stats;
    this.#stats = {
      newChunks: newChunks + frames.length,
      newPlainBytes: frames.reduce((sum, { plainBytes }) => sum + plainBytes, newPlainBytes),
      newStoredBytes: frames.reduce((sum, { stored }) => sum + stored.length, newStoredBytes),
    };
  }
}

/** A slab's chunks as they are, and rows for the most that it takes. */
const VALUES_ROOM_BYTES = (1 << 20) + (128 << 10);
/** Of 1 MiB, and as much for frames. */
const MAX_QUEUED_SLABS = 8;
const IDLE_SLABS = MAX_QUEUED_SLABS + 2;
