import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC, decodePlace, encodeChunkValue, encodePlace } from "../format/chunk-value.ts";
import type { Frame, Place } from "../format/chunk-value.ts";
import { digestKey, idKey } from "../format/keys.ts";
import { isUnreadable } from "../kv/kv.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { Claims } from "./claims.ts";
import { plainOf, requireDigest } from "../sys/chunk-frames.ts";
import { sweepChunks } from "./chunk-sweep.ts";
import type { SweptChunks } from "./chunk-sweep.ts";
import type { SweepOptions } from "./node-store.ts";
import { RecentValues } from "./recent-values.ts";
import { compressorsRun, Slab } from "./slab.ts";
import { nextIdIn, RESERVED_IDS, reserveIds, safeNextId } from "./value-ids.ts";
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

type Put = Extract<Operation, { readonly type: "put" }>;

export interface ChunkStoreOptions {
  readonly claims?: Claims;
  /** Counters may be damaged or lost. */
  readonly isDamaged?: boolean;
}

/** Chunks on their way to disk. */
interface Job {
  readonly slab: Slab;
  /** Settled once they are compressed. */
  readonly compressed: Promise<void>;
  /** Called once they are in values, or cannot be. */
  onWritten: (() => void)[];
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
  /** In values that the barrier has not covered. */
  readonly #unindexed = new Map<Digest, Place>();
  #unindexedBytes = 0;
  #indexing: Promise<unknown> = Promise.resolve();

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
  static async open(
    values: Kv,
    meta: Kv,
    { claims = new Claims(), isDamaged = false }: ChunkStoreOptions = {},
  ): Promise<ChunkStore> {
    const next = isDamaged ? await safeNextId(values, meta) : await nextIdIn(values, meta);
    return new ChunkStore(values, meta, claims, await ValueLedger.open(meta, values, next, { isDamaged }), next);
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
    this.#enqueue(digest, bytes);
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

  /** As `put`, of a chunk that the index leads to in vain: until this one is on disk it goes on to do so. */
  heal(bytes: Uint8Array): Digest {
    if (this.#failure) throw this.#failure.error;
    const digest = digestOf(bytes);
    this.claims.claim("chunks", digest);
    if (!this.#unwritten.has(digest)) this.#enqueue(digest, bytes);
    return digest;
  }

  /** As `putFrame`, of a chunk as another store has it. @throws as `get` of that store */
  copyFrom(other: ChunkStore, digest: Digest): void {
    this.putFrame(other.unprovenFrame(digest));
  }

  #enqueue(digest: Digest, plain: Uint8Array, frame?: Frame): void {
    if (this.#filling?.fits(plain) === false) {
      // A thread takes longer to begin than the first slab to be compressed: most operations fill no second one.
      this.#dispatch(this.#hasFilledOne ? "thread" : "here");
      this.#hasFilledOne = true;
    }
    this.#filling ??= this.#idle.pop() ?? new Slab();
    this.#unwritten.set(digest, this.#filling.add(digest, plain, frame));
  }

  #dispatch(where: "here" | "thread"): void {
    const slab = this.#filling;
    if (slab === undefined) return;
    this.#filling = undefined;
    const compressed = slab.compress(where);
    // It is awaited in its turn, which may never come if an earlier one fails.
    compressed.catch(() => undefined);
    this.#queue.push({ slab, compressed, onWritten: [] });
    this.#working ??= this.#work();
  }

  /** Keeps a chunk that the store has from being collected while the operation runs. @returns false if the store does not have it */
  claim(digest: Digest): boolean {
    if (!this.claims.has("chunks", digest) && !this.#unwritten.has(digest) && !this.has(digest)) return false;
    this.claims.claim("chunks", digest);
    return true;
  }

  /** Whether the index has it, readable or not, or it is on its way there. */
  isThere(digest: Digest): boolean {
    return this.#unwritten.has(digest) || this.#unindexed.has(digest) || this.#indexBytes(digest) !== undefined;
  }

  /** True for one that is in a value. */
  has(digest: Digest): boolean {
    return this.#place(digest) !== undefined;
  }

  /** How many bytes a chunk has; undefined for one that the store does not have. */
  plainBytes(digest: Digest): number | undefined {
    return this.#unwritten.get(digest)?.length ?? this.#place(digest)?.plainBytes;
  }

  /** Of its frame; 0 for a chunk that is in no value. */
  storedBytes(digest: Digest): number {
    return this.#place(digest)?.storedBytes ?? 0;
  }

  /** A promise to wait for while too much is on its way to disk. */
  backpressure(): Promise<void> | undefined {
    if (this.#queue.length <= MAX_QUEUED_SLABS || this.#failure) return undefined;
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
    // A copy: the slab is used again.
    if (unwritten !== undefined) return Uint8Array.from(unwritten);
    const frame = this.#frame(digest, room);
    const plain = plainOf(frame.stored, frame, digest, room);
    requireDigest(plain, digest);
    // It lies in a value that others are read over.
    return plain === frame.stored && plain.length < OWN_READ_BYTES ? Uint8Array.from(plain) : plain;
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
    const unwritten = this.#unwritten.get(digest);
    if (unwritten !== undefined)
      return { digest, codec: CODEC.raw, plainBytes: unwritten.length, stored: Uint8Array.from(unwritten) };
    return this.#frame(digest, this.#frameRoom);
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
    this.#dispatch(compressorsRun() ? "thread" : "here");
    const last = this.#queue.at(-1);
    // Not for what comes meanwhile: another operation may put more all the time.
    if (last !== undefined && this.#working) await new Promise<void>((resolve) => last.onWritten.push(resolve));
    if (this.#failure) throw this.#failure.error;
    return await this.index();
  }

  /** Drops what could not be written: to be called when nobody relies on it. @returns false if there is no such thing */
  forgetFailure(): boolean {
    if (this.#failure === undefined) return false;
    this.#failure = undefined;
    this.#unwritten.clear();
    this.#filling = undefined;
    this.#queue.length = 0;
    return true;
  }

  /** Takes slabs off the queue in order, and writes the values of each. */
  async #work(): Promise<void> {
    try {
      for (let job = this.#queue[0]; job !== undefined; job = this.#queue[0]) {
        await job.compressed;
        await this.#writeValues(job.slab.frames());
        this.#queue.shift();
        for (const resolve of job.onWritten) resolve();
        job.slab.clear();
        if (this.#idle.length < IDLE_SLABS) this.#idle.push(job.slab);
        if (this.#unindexedBytes >= BATCH_BYTES || this.#unindexed.size >= BATCH_CHUNKS) await this.index();
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

  /** All in one batch, in values of about the same size. */
  async #writeValues(frames: readonly Frame[]): Promise<void> {
    const storedBytes = frames.reduce((sum, { stored }) => sum + stored.length, 0);
    const valueBytes = storedBytes / Math.max(Math.round(storedBytes / VALUE_BYTES), 1);
    if (this.#valuesRoom.length === 0) this.#valuesRoom = Buffer.allocUnsafeSlow(VALUES_ROOM_BYTES);
    const operations: Operation[] = [];
    const placed: [Digest, Place][] = [];
    let value: Frame[] = [];
    let bytes = 0;
    let room = this.#valuesRoom;
    for (const [i, frame] of frames.entries()) {
      value.push(frame);
      bytes += frame.stored.length;
      if (bytes < valueBytes && i + 1 < frames.length) continue;
      const operation = await this.#valueOf(value, placed, room);
      operations.push(operation);
      room = room.subarray(operation.value.length);
      value = [];
      bytes = 0;
    }
    await this.#values.write(operations);
    for (const [digest, place] of placed) {
      this.#unindexed.set(digest, place);
      this.#unwritten.delete(digest);
    }
    this.#unindexedBytes += storedBytes;
    const { newChunks, newPlainBytes, newStoredBytes } = this.#stats;
    this.#stats = {
      newChunks: newChunks + frames.length,
      newPlainBytes: frames.reduce((sum, { plainBytes }) => sum + plainBytes, newPlainBytes),
      newStoredBytes: newStoredBytes + storedBytes,
    };
  }

  async #valueOf(frames: readonly Frame[], placed: [Digest, Place][], room?: Buffer): Promise<Put> {
    const id = await this.#takeId();
    const { value, places } = encodeChunkValue(id, frames, room);
    for (const [i, { digest }] of frames.entries()) placed.push([digest, places[i]!]);
    return { type: "put", key: idKey(id), value };
  }

  /** Writes the index entries of the values that are written, once these are safe from a power cut. */
  async index(): Promise<boolean> {
    const indexing = this.#indexing.then(() => this.#index());
    this.#indexing = indexing.catch(() => undefined);
    return await indexing;
  }

  async #index(): Promise<boolean> {
    // What another operation writes meanwhile, the barrier does not cover.
    const entries = [...this.#unindexed];
    const bytes = this.#unindexedBytes;
    if (entries.length === 0) return false;
    await this.#values.barrier();
    // One write of all would be in memory thrice. The ledger comes last: after a crash in between, values that are not all indexed are
    // suspects.
    for (let next = 0; next < entries.length; next += WRITE_ENTRIES)
      await this.#meta.write(
        entries.slice(next, next + WRITE_ENTRIES).map(([digest, place]): Operation => {
          return { type: "put", key: digestKey("chunk", digest), value: encodePlace(place) };
        }),
      );
    const ids = new Set(entries.map(([, { id }]) => id));
    await this.#meta.write([this.#ledger.settle(ids, this.#nextId)]);
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

  suspectAll(): Operation {
    return this.#ledger.suspectAll(this.#nextId);
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
    const placed: [Digest, Place][] = [];
    const operation = await this.#valueOf(frames, placed);
    await this.#values.write([operation]);
    for (const [digest, place] of placed) this.#unindexed.set(digest, place);
    this.#unindexedBytes += frames.reduce((sum, { stored }) => sum + stored.length, 0);
  }

  /**
   * An id that was never used, not even for a value that is gone: an index entry that outlived its value in a crash must
   * not find another one in its place. So a range of ids is reserved durably before the first of them is used.
   */
  async #takeId(): Promise<number> {
    if (this.#nextId >= this.#reservedIds) {
      this.#reservedIds = this.#nextId + RESERVED_IDS;
      await this.#meta.write([reserveIds(this.#reservedIds)], { sync: true });
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
      const value = this.#recent.get(id, (space) =>
        this.#values.getPartSync(idKey(id), 0, Number.POSITIVE_INFINITY, space),
      );
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
    const bytes = this.#indexBytes(digest);
    return bytes && decodePlace(bytes, digest);
  }

  #indexBytes(digest: Digest): Uint8Array | undefined {
    return this.#meta.getSync(digestKey("chunk", digest));
  }
}

/** Stored bytes of a value, about. */
const VALUE_BYTES = 128 * 1024;
/** Values between two barriers. A crash loses them: they are garbage without index entries. */
const BATCH_BYTES = 256 << 20;
/** Each takes 500 bytes of memory until it is indexed. */
const BATCH_CHUNKS = 1 << 14;
/** Index entries that are written at once. */
const WRITE_ENTRIES = 4096;
/** A slab's chunks as they are, and rows for the most that it takes. */
const VALUES_ROOM_BYTES = (1 << 20) + (128 << 10);
/** Of 1 MiB, and as much for frames. */
const MAX_QUEUED_SLABS = 8;
const IDLE_SLABS = MAX_QUEUED_SLABS + 2;
/** A frame as large is read by itself. */
const OWN_READ_BYTES = 4 * 1024;
