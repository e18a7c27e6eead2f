import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC } from "../format/chunk-value.ts";
import type { Frame, Place } from "../format/chunk-value.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { DEFAULT_COMPRESSION_LEVEL } from "../model/compression-level.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { plainOf, requireDigest } from "../sys/chunk-frames.ts";
import { ChunkPlaces } from "./chunk-places.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import type { ChunkStats } from "./chunk-queue.ts";
import { sweepChunks } from "./chunk-sweep.ts";
import type { SweptChunks } from "./chunk-sweep.ts";
import { Claims } from "./claims.ts";
import { FrameReader } from "./frame-reader.ts";
import type { SweepOptions } from "./node-store.ts";
import { ValueLedger } from "./value-ledger.ts";
import { ValueWriter } from "./value-writer.ts";

/** What takes chunks. */
export interface Chunks {
  /** @param bytes borrowed during the call, shape `[1 … BLOCK_BYTES]` */
  put(bytes: Uint8Array): Digest;
  /** A promise to wait for while too much is on its way. */
  backpressure(): Promise<void> | undefined;
}

export interface ChunkStoreOptions {
  readonly claims?: Claims;
  /** Counters may be damaged or lost. */
  readonly isDamaged?: boolean;
  /** Of zstd, for what is stored from now on; asked again and again. */
  readonly level?: () => number;
}

/**
 * Chunks by digest. Immutable: a digest, once stored, always reads back the same bytes or fails.
 *
 * Chunks are compressed one by one, packed to values of about `VALUE_BYTES` and written under rising ids, so that
 * LevelDB's tables never overlap. A chunk's index entry is written only once its value is safe from a power cut.
 * docs/design.md, "Storage".
 */
export class ChunkStore implements Chunks {
  readonly claims: Claims;
  readonly #values: Kv;
  readonly #meta: Kv;
  readonly #ledger: ValueLedger;
  readonly #places: ChunkPlaces;
  readonly #writer: ValueWriter;
  readonly #queue: ChunkQueue;
  readonly #reader: FrameReader;

  private constructor(values: Kv, meta: Kv, claims: Claims, ledger: ValueLedger, level: () => number) {
    this.#values = values;
    this.#meta = meta;
    this.claims = claims;
    this.#ledger = ledger;
    this.#places = new ChunkPlaces(values, meta, ledger);
    this.#writer = new ValueWriter(values, ledger, this.#places);
    this.#queue = new ChunkQueue(this.#writer, this.#places, level);
    this.#reader = new FrameReader(values);
  }

  /**
   * Borrows all: `values` holds chunk values, `meta` the index.
   *
   * @throws {StoreError} FORMAT_INVALID if the counter's record is damaged
   */
  static async open(
    values: Kv,
    meta: Kv,
    { claims = new Claims(), isDamaged = false, level = () => DEFAULT_COMPRESSION_LEVEL }: ChunkStoreOptions = {},
  ): Promise<ChunkStore> {
    return new ChunkStore(values, meta, claims, await ValueLedger.open(meta, values, { isDamaged }), level);
  }

  /** Of the values. See `Kv`. */
  get refusal(): Error | undefined {
    return this.#values.refusal;
  }

  /** @throws as `Kv.requireWritable` */
  async requireWritable(): Promise<void> {
    await this.#values.requireWritable();
  }

  stats(): ChunkStats {
    return this.#queue.stats;
  }

  /**
   * Stores a chunk unless it is there, and claims it either way: the tree that will name it is under way.
   *
   * It is on disk only after `flush`. Whoever puts many waits for `backpressure` in between.
   *
   * @param bytes borrowed during the call, shape `[1 … BLOCK_BYTES]`
   * @throws what made an earlier write fail
   */
  put(bytes: Uint8Array): Digest {
    this.#queue.requireSound();
    const digest = digestOf(bytes);
    if (this.claim(digest)) return digest;
    this.claims.claim("chunks", digest);
    this.#queue.add(digest, bytes);
    return digest;
  }

  /**
   * As `put`, of a chunk that another store compressed, once it is proven.
   *
   * @param frame of any origin; borrowed during the call
   * @throws {StoreError} CHUNK_CORRUPT if it is not what it says
   */
  putFrame(frame: Frame): void {
    this.#queue.requireSound();
    const { digest, codec, plainBytes } = frame;
    if (this.claim(digest)) return;
    if (plainBytes === 0 || plainBytes > BLOCK_BYTES || (codec === CODEC.raw && frame.stored.length !== plainBytes))
      throw new StoreError("CHUNK_CORRUPT", { digest, actual: `${plainBytes} bytes` });
    const stored = Uint8Array.from(frame.stored);
    const plain = plainOf(stored, frame, digest, undefined);
    requireDigest(plain, digest);
    this.claims.claim("chunks", digest);
    this.#queue.add(digest, plain, { digest, codec, plainBytes, stored });
  }

  /** As `put`, of a chunk that the index leads to in vain: until this one is on disk it goes on to do so. */
  heal(bytes: Uint8Array): Digest {
    this.#queue.requireSound();
    const digest = digestOf(bytes);
    this.claims.claim("chunks", digest);
    if (!this.#queue.has(digest)) this.#queue.add(digest, bytes);
    return digest;
  }

  /** As `putFrame`, of a chunk as another store has it. @throws as `get` of that store */
  copyFrom(other: ChunkStore, digest: Digest): void {
    this.putFrame(other.unprovenFrame(digest));
  }

  /** Keeps a chunk that the store has from being collected while the operation runs. @returns false if the store does not have it */
  claim(digest: Digest): boolean {
    if (!this.claims.has("chunks", digest) && !this.#queue.has(digest) && !this.has(digest)) return false;
    this.claims.claim("chunks", digest);
    return true;
  }

  /** Whether the index has it, readable or not, or it is on its way there. */
  isThere(digest: Digest): boolean {
    return this.#queue.has(digest) || this.#places.isThere(digest);
  }

  /** True for one that is in a value. */
  has(digest: Digest): boolean {
    return this.#places.find(digest) !== undefined;
  }

  /** How many bytes a chunk has; undefined for one that the store does not have. */
  plainBytes(digest: Digest): number | undefined {
    return this.#queue.find(digest)?.length ?? this.#places.find(digest)?.plainBytes;
  }

  /** Of its frame; 0 for a chunk that is in no value. */
  storedBytes(digest: Digest): number {
    return this.#places.find(digest)?.storedBytes ?? 0;
  }

  /** A promise to wait for while too much is on its way to disk. */
  backpressure(): Promise<void> | undefined {
    return this.#queue.backpressure();
  }

  /**
   * Reads a chunk and proves it.
   *
   * @param room where they may be put, if they are as many
   * @returns its plain bytes, shape `[1 … BLOCK_BYTES]`, to be left as they are unless they are in `room`
   * @throws {StoreError} CHUNK_MISSING, CHUNK_CORRUPT, FORMAT_INVALID
   */
  get(digest: Digest, room?: Uint8Array): Uint8Array {
    const unwritten = this.#queue.find(digest);
    // A copy: the slab is used again.
    if (unwritten !== undefined) return Uint8Array.from(unwritten);
    const frame = this.#reader.read(digest, this.#requirePlace(digest), room);
    const plain = plainOf(frame.stored, frame, digest, room);
    requireDigest(plain, digest);
    return plain;
  }

  /**
   * A chunk as it is stored, once it is proven: for another store.
   *
   * @returns what is borrowed until the next call
   * @throws as `get`
   */
  frame(digest: Digest): Frame {
    const frame = this.unprovenFrame(digest);
    requireDigest(plainOf(frame.stored, frame, digest, undefined), digest);
    return frame;
  }

  /**
   * A chunk as it is stored, not proven: for whoever does that.
   *
   * @returns what is borrowed until the next call
   * @throws {StoreError} CHUNK_MISSING; CHUNK_CORRUPT if it cannot be read
   */
  unprovenFrame(digest: Digest): Frame {
    const unwritten = this.#queue.find(digest);
    if (unwritten !== undefined)
      return { digest, codec: CODEC.raw, plainBytes: unwritten.length, stored: Uint8Array.from(unwritten) };
    return this.#reader.borrow(digest, this.#requirePlace(digest));
  }

  #requirePlace(digest: Digest): Place {
    const place = this.#places.find(digest);
    if (place === undefined) throw new StoreError("CHUNK_MISSING", { digest });
    return place;
  }

  /**
   * Makes all chunks that were put safe from a power cut, then writes their index entries: these are safe after the
   * barrier of `meta`.
   *
   * @returns false if there was nothing new
   */
  async flush(): Promise<boolean> {
    await this.#queue.drain();
    return await this.#places.index();
  }

  /** Drops what could not be written: to be called when nobody relies on it. @returns false if there is no such thing */
  forgetFailure(): boolean {
    return this.#queue.forgetFailure();
  }

  /**
   * Deletes the chunks that are not live, unless they are claimed. See `sweepChunks`.
   *
   * @param isLive asked right before one is deleted
   */
  async sweep(isLive: (digest: Digest) => boolean, options: SweepOptions): Promise<SweptChunks> {
    const isKept = (digest: Digest): boolean => isLive(digest) || this.claims.has("chunks", digest);
    const [values, meta, ledger] = [this.#values, this.#meta, this.#ledger];
    return await sweepChunks({ values, meta, ledger, places: this.#places, writer: this.#writer }, isKept, options);
  }

  suspectAll(): Operation {
    return this.#ledger.suspectAll();
  }
}
