import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC, decodePlace, encodeChunkValue, encodePlace } from "../format/chunk-value.ts";
import type { Frame, Place } from "../format/chunk-value.ts";
import { digestKey, idKey, idOfKey, nameKey } from "../format/keys.ts";
import { openRecord, sealRecord } from "../format/record.ts";
import { isUnreadable } from "../kv/kv.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { Claims } from "./claims.ts";
import { compressedFrame, plainOf, requireDigest } from "./chunk-frames.ts";
import { sweepChunks } from "./chunk-sweep.ts";
import type { SweptChunks } from "./chunk-sweep.ts";
import type { SweepOptions } from "./node-store.ts";
import { RecentValues } from "./recent-values.ts";
import { ValueLedger } from "./value-ledger.ts";

/** What was put since the store was opened. */
export interface ChunkStats {
  readonly newChunks: number;
  /** Before and after compression. */
  readonly newPlainBytes: number;
  readonly newStoredBytes: number;
}

/** What takes chunks. */
export interface Chunks {
  /** @param bytes borrowed during the call, shape `[1 … BLOCK_BYTES]` */
  put(bytes: Uint8Array): Digest;
  /** A promise to wait for while too much is on its way. */
  backpressure(): Promise<void> | undefined;
}

/** A chunk on its way to disk. */
interface Job {
  readonly plainBytes: number;
  readonly frame: Frame | Promise<Frame>;
}

/**
 * Chunks by digest. Immutable: a digest, once stored, always reads back the same bytes or fails.
 *
 * Chunks are compressed one by one, packed to values of about `VALUE_BYTES` and written under rising ids, so that
 * LevelDB's tables never overlap. A chunk's index entry is written only once its value is safe from a power cut.
 * docs/design.md, "Two databases".
 */
export class ChunkStore implements Chunks {
  readonly claims: Claims;
  readonly #values: Kv;
  readonly #meta: Kv;
  readonly #ledger: ValueLedger;
  #nextId: number;
  /** Ids below it are reserved; see `#takeId`. */
  #reservedIds: number;

  /** The plain bytes of chunks that are in no value yet. */
  readonly #unwritten = new Map<Digest, Uint8Array>();
  /** Of these, those that are in no frame of `#frames`, in the order of their puts. */
  readonly #queue = new Map<Digest, Job>();
  #queuedBytes = 0;
  #working: Promise<void> | undefined;
  #onDrained: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** Of the value that is being filled. */
  #frames: Frame[] = [];
  #framesStoredBytes = 0;
  #framesPlainBytes = 0;
  /** In values that the barrier has not covered. */
  readonly #unindexed = new Map<Digest, Place>();
  #unindexedBytes = 0;

  /** Being deleted: the index may have them for a moment. */
  readonly #condemned = new Set<Digest>();
  readonly #recent = new RecentValues();
  /** A compressed frame that is being read. */
  readonly #frameRoom = new Uint8Array(BLOCK_BYTES);
  #stats: ChunkStats = { newChunks: 0, newPlainBytes: 0, newStoredBytes: 0 };

  private constructor(values: Kv, meta: Kv, claims: Claims, ledger: ValueLedger, nextId: number) {
    this.#values = values;
    this.#meta = meta;
    this.claims = claims;
    this.#ledger = ledger;
    this.#nextId = nextId;
    this.#reservedIds = nextId;
  }

  /**
   * Borrows all: `values` holds chunk values, `meta` the index.
   *
   * @throws {StoreError} FORMAT_INVALID if the counter's record is damaged
   */
  static async open(values: Kv, meta: Kv, claims: Claims = new Claims()): Promise<ChunkStore> {
    const mark = meta.getSync(NEXT_ID_KEY);
    let next = mark === undefined ? 0 : numberIn(openRecord(NEXT_ID_KEY, mark, "the counter of chunk values"));
    for await (const key of values.keys({ reverse: true, limit: 1 })) next = Math.max(next, idOfKey(key) + 1);
    return new ChunkStore(values, meta, claims, await ValueLedger.open(meta, values, next), next);
  }

  stats(): ChunkStats {
    return this.#stats;
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
    if (this.#failure) throw this.#failure.error;
    const digest = digestOf(bytes);
    if (this.claim(digest)) return digest;
    this.claims.claim("chunks", digest);
    const plain = Uint8Array.from(bytes);
    this.#enqueue(digest, plain, compressedFrame(digest, plain));
    return digest;
  }

  /**
   * As `put`, of a chunk that another store compressed, once it is proven.
   *
   * @param frame of any origin; borrowed during the call
   * @throws {StoreError} CHUNK_CORRUPT if it is not what it says
   */
  putFrame(frame: Frame): void {
    if (this.#failure) throw this.#failure.error;
    const { digest, codec, plainBytes } = frame;
    if (this.claim(digest)) return;
    if (plainBytes === 0 || plainBytes > BLOCK_BYTES || (codec === CODEC.raw && frame.stored.length !== plainBytes))
      throw new StoreError("CHUNK_CORRUPT", { digest, actual: `${plainBytes} bytes` });
    const stored = Uint8Array.from(frame.stored);
    const plain = plainOf(stored, frame, digest, undefined);
    requireDigest(plain, digest);
    this.claims.claim("chunks", digest);
    this.#enqueue(digest, plain, { digest, codec, plainBytes, stored });
  }

  #enqueue(digest: Digest, plain: Uint8Array, frame: Frame | Promise<Frame>): void {
    this.#unwritten.set(digest, plain);
    this.#queue.set(digest, { plainBytes: plain.length, frame });
    this.#queuedBytes += plain.length;
    this.#working ??= this.#work();
  }

  /** Keeps a chunk that the store has from being collected while the operation runs. @returns false if the store does not have it */
  claim(digest: Digest): boolean {
    if (!this.claims.has("chunks", digest) && !this.#unwritten.has(digest) && !this.has(digest)) return false;
    this.claims.claim("chunks", digest);
    return true;
  }

  /** True for one that is in a value. */
  has(digest: Digest): boolean {
    return this.#place(digest) !== undefined;
  }

  /** Of its frame; 0 for a chunk that is in no value. */
  storedBytes(digest: Digest): number {
    return this.#place(digest)?.storedBytes ?? 0;
  }

  /** A promise to wait for while too much is on its way to disk. */
  backpressure(): Promise<void> | undefined {
    if (this.#queuedBytes <= MAX_QUEUED_BYTES || this.#failure) return undefined;
    return new Promise((resolve) => this.#onDrained.push(resolve));
  }

  /**
   * Reads a chunk and proves it.
   *
   * @param room where they may be put, if they are as many
   * @returns its plain bytes, shape `[1 … BLOCK_BYTES]`, to be left as they are unless they are in `room`
   * @throws {StoreError} CHUNK_MISSING, CHUNK_CORRUPT, FORMAT_INVALID
   */
  get(digest: Digest, room?: Uint8Array): Uint8Array {
    const unwritten = this.#unwritten.get(digest);
    if (unwritten !== undefined) return unwritten;
    const frame = this.#frame(digest, room);
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
    const unwritten = this.#unwritten.get(digest);
    if (unwritten !== undefined) return { digest, codec: CODEC.raw, plainBytes: unwritten.length, stored: unwritten };
    const frame = this.#frame(digest);
    requireDigest(plainOf(frame.stored, frame, digest, undefined), digest);
    return frame;
  }

  #frame(digest: Digest, room?: Uint8Array): Frame {
    const place = this.#place(digest);
    if (place === undefined) throw new StoreError("CHUNK_MISSING", { digest });
    const { codec, plainBytes, storedBytes } = place;
    const stored = this.#stored(digest, place, room);
    if (stored?.length !== storedBytes) throw new StoreError("CHUNK_MISSING", { digest });
    return { digest, codec, plainBytes, stored };
  }

  /**
   * Makes all chunks that were put safe from a power cut, then writes their index entries: these are safe after the
   * barrier of `meta`.
   *
   * @returns false if there was nothing new
   */
  async flush(): Promise<boolean> {
    while (this.#working) await this.#working;
    if (this.#failure) throw this.#failure.error;
    await this.#writeValue();
    return await this.index();
  }

  /** Takes chunks off the queue in order, so that values hold neighbours, and writes each value once it is full. */
  async #work(): Promise<void> {
    try {
      for (const [digest, job] of this.#queue) {
        const frame = await job.frame;
        this.#queue.delete(digest);
        this.#frames.push(frame);
        this.#framesStoredBytes += frame.stored.length;
        this.#framesPlainBytes += frame.plainBytes;
        if (this.#framesStoredBytes >= VALUE_BYTES || this.#framesPlainBytes >= MAX_VALUE_PLAIN_BYTES)
          await this.#writeValue();
        if (this.#unindexedBytes >= BATCH_BYTES) await this.index();
        this.#queuedBytes -= job.plainBytes;
        if (this.#queuedBytes <= MAX_QUEUED_BYTES / 2) this.#drained();
      }
    } catch (error) {
      this.#failure = { error };
      this.#drained();
    } finally {
      this.#working = undefined;
    }
  }

  #drained(): void {
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }

  async #writeValue(): Promise<void> {
    const frames = this.#frames;
    if (frames.length === 0) return;
    this.#frames = [];
    const id = await this.#takeId();
    const { value, places } = encodeChunkValue(id, frames);
    await this.#values.write([{ type: "put", key: idKey(id), value }]);
    for (const [i, { digest }] of frames.entries()) {
      this.#unindexed.set(digest, places[i]!);
      this.#unwritten.delete(digest);
    }
    this.#unindexedBytes += value.length;
    const { newChunks, newPlainBytes, newStoredBytes } = this.#stats;
    this.#stats = {
      newChunks: newChunks + frames.length,
      newPlainBytes: newPlainBytes + this.#framesPlainBytes,
      newStoredBytes: newStoredBytes + this.#framesStoredBytes,
    };
    this.#framesStoredBytes = 0;
    this.#framesPlainBytes = 0;
  }

  /** Writes the index entries of the values that are written, once these are safe from a power cut. */
  async index(): Promise<boolean> {
    // What another operation writes meanwhile, the barrier does not cover.
    const entries = [...this.#unindexed];
    const bytes = this.#unindexedBytes;
    if (entries.length === 0) return false;
    await this.#values.barrier();
    const operations = entries.map(([digest, place]): Operation => {
      return { type: "put", key: digestKey("chunk", digest), value: encodePlace(place) };
    });
    const ids = new Set(entries.map(([, { id }]) => id));
    await this.#meta.write([...operations, this.#ledger.settle(ids, this.#nextId)]);
    for (const [digest, place] of entries) if (this.#unindexed.get(digest) === place) this.#unindexed.delete(digest);
    this.#unindexedBytes -= bytes;
    return true;
  }

  /**
   * Deletes the chunks that are not live, unless they are claimed. See `sweepChunks`.
   *
   * @param isLive asked right before one is deleted
   */
  async sweep(isLive: (digest: Digest) => boolean, options: SweepOptions): Promise<SweptChunks> {
    const parts = { chunks: this, values: this.#values, meta: this.#meta, ledger: this.#ledger };
    return await sweepChunks(parts, isLive, options);
  }

  clearSuspects(): Operation {
    return this.#ledger.clearSuspects(this.#nextId);
  }

  /** Deletes index entries. Until that is done nobody finds them any more, and whoever puts such a chunk stores it anew. */
  async condemn(digests: readonly Digest[], alongside: readonly Operation[]): Promise<void> {
    for (const digest of digests) this.#condemned.add(digest);
    try {
      const deletions = digests.map((digest): Operation => ({ type: "del", key: digestKey("chunk", digest) }));
      await this.#meta.write([...deletions, ...alongside]);
    } finally {
      for (const digest of digests) this.#condemned.delete(digest);
    }
  }

  /** Writes frames as they are to a value of their own. Where they were before they stay until the next `flush`. */
  async move(frames: readonly Frame[]): Promise<void> {
    const id = await this.#takeId();
    const { value, places } = encodeChunkValue(id, frames);
    await this.#values.write([{ type: "put", key: idKey(id), value }]);
    for (const [i, { digest }] of frames.entries()) this.#unindexed.set(digest, places[i]!);
    this.#unindexedBytes += value.length;
  }

  /**
   * An id that was never used, not even for a value that is gone: an index entry that outlived its value in a crash must
   * not find another one in its place. So a range of ids is reserved durably before the first of them is used.
   */
  async #takeId(): Promise<number> {
    if (this.#nextId >= this.#reservedIds) {
      this.#reservedIds = this.#nextId + RESERVED_IDS;
      const value = sealRecord(NEXT_ID_KEY, this.#reservedIds);
      await this.#meta.write([{ type: "put", key: NEXT_ID_KEY, value }], { sync: true });
    }
    this.#ledger.begin(this.#nextId);
    return this.#nextId++;
  }

  /** Of a small frame's value all is read, for its neighbours. The result holds until the next call. */
  #stored(digest: Digest, place: Place, room: Uint8Array | undefined): Uint8Array | undefined {
    const { id, offset, storedBytes, codec } = place;
    try {
      if (storedBytes >= OWN_READ_BYTES)
        return this.#values.getPartSync(idKey(id), offset, storedBytes, codec === CODEC.raw ? room : this.#frameRoom);
      const value = this.#recent.get(id, () => this.#values.getPartSync(idKey(id), 0, Number.POSITIVE_INFINITY));
      return value?.subarray(offset, offset + storedBytes);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      throw new StoreError("CHUNK_CORRUPT", { digest, actual: "nothing: it cannot be read" }, { cause: error });
    }
  }

  #place(digest: Digest): Place | undefined {
    if (this.#condemned.has(digest)) return undefined;
    const unindexed = this.#unindexed.get(digest);
    if (unindexed !== undefined) return unindexed;
    const bytes = this.#meta.getSync(digestKey("chunk", digest));
    return bytes && decodePlace(bytes, digest);
  }
}

const NEXT_ID_KEY = nameKey("setting", "next-chunk-value");
const RESERVED_IDS = 2 ** 20;
/** Stored bytes of a value; it has a chunk more than fits. */
const VALUE_BYTES = 128 * 1024;
/** Of chunks that compress to nearly nothing, a value would hold thousands, and their plain bytes wait in memory. */
const MAX_VALUE_PLAIN_BYTES = 2 << 20;
/** Values between two barriers. A crash loses them: they are garbage without index entries. */
const BATCH_BYTES = 256 << 20;
const MAX_QUEUED_BYTES = 8 << 20;
/** A frame as large is read by itself. */
const OWN_READ_BYTES = 4 * 1024;

function numberIn(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new StoreError("FORMAT_INVALID", { record: "the counter of chunk values", reason: "is no number" });
}
