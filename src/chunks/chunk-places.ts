import { decodePlace, encodePlace } from "../format/chunk-value.ts";
import type { Place } from "../format/chunk-value.ts";
import { digestKey } from "../format/keys.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import type { ValueLedger } from "./value-ledger.ts";

/** A chunk, and where it is. */
export type Placed = readonly [digest: Digest, place: Place];

/**
 * Where chunks are: the index, with what is on its way to it and out of it. An entry is written only once its value is safe from a
 * power cut.
 */
export class ChunkPlaces {
  readonly #values: Kv;
  readonly #meta: Kv;
  readonly #ledger: ValueLedger;
  /** In values that the barrier has not covered. */
  readonly #unindexed = new Map<Digest, Place>();
  #unindexedBytes = 0;
  #indexing: Promise<unknown> = Promise.resolve();
  /** Being deleted: the index may have them for a moment. */
  readonly #condemned = new Set<Digest>();

  /** Borrows all. */
  constructor(values: Kv, meta: Kv, ledger: ValueLedger) {
    this.#values = values;
    this.#meta = meta;
    this.#ledger = ledger;
  }

  /** @throws {StoreError} FORMAT_INVALID for an entry that cannot be read */
  find(digest: Digest): Place | undefined {
    if (this.#condemned.has(digest)) return undefined;
    const unindexed = this.#unindexed.get(digest);
    if (unindexed !== undefined) return unindexed;
    const bytes = this.#entry(digest);
    return bytes && decodePlace(bytes, digest);
  }

  /** Whether there is an entry, readable or not, or will be. */
  isThere(digest: Digest): boolean {
    return this.#unindexed.has(digest) || this.#entry(digest) !== undefined;
  }

  #entry(digest: Digest): Uint8Array | undefined {
    return this.#meta.getSync(digestKey("chunk", digest));
  }

  /** To be told once values are written. */
  add(placed: readonly Placed[]): void {
    for (const [digest, place] of placed) {
      this.#unindexed.set(digest, place);
      this.#unindexedBytes += place.storedBytes;
    }
  }

  /** True once so much waits for its entries that they should be written. */
  get isFull(): boolean {
    return this.#unindexedBytes >= BATCH_BYTES || this.#unindexed.size >= BATCH_CHUNKS;
  }

  /** Makes the values that are written safe, then writes their entries. @returns false if there was nothing new */
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
    const operations = entries.map(([digest, place]): Operation => {
      return { type: "put", key: digestKey("chunk", digest), value: encodePlace(place) };
    });
    const ids = new Set(entries.map(([, { id }]) => id));
    // All or nothing: of a value that only a part of its entries led to, the ledger would not know the rest.
    await this.#meta.write([...operations, this.#ledger.settle(ids)]);
    for (const [digest, place] of entries) if (this.#unindexed.get(digest) === place) this.#unindexed.delete(digest);
    this.#unindexedBytes -= bytes;
    return true;
  }

  /** Deletes entries. Until that is done nobody finds them any more, and whoever puts such a chunk stores it anew. */
  async condemn(digests: readonly Digest[], alongside: readonly Operation[]): Promise<void> {
    for (const digest of digests) this.#condemned.add(digest);
    try {
      const deletions = digests.map((digest): Operation => ({ type: "del", key: digestKey("chunk", digest) }));
      await this.#meta.write([...deletions, ...alongside]);
    } finally {
      for (const digest of digests) this.#condemned.delete(digest);
    }
  }
}

/** Values between two barriers. A crash loses them: they are garbage without index entries. */
const BATCH_BYTES = 256 << 20;
/** Each takes 500 bytes of memory until it is indexed. */
const BATCH_CHUNKS = 1 << 14;
