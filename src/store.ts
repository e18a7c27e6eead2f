import type { Claims } from "./chunks/claims.ts";
import { Marker } from "./containers/marker.ts";
import type { ChangeCause, Layer, RefChange } from "./containers/records.ts";
import { layerDigest, refVersion } from "./containers/refs.ts";
import { isStoreError, StoreError } from "./errors.ts";
import { decodePlace } from "./format/chunk-value.ts";
import { digestPrefixRange, kindRange, slicesOf } from "./format/keys.ts";
import type { Kv } from "./kv/kv.ts";
import type { Reserve } from "./kv/reserve.ts";
import { digestFromBytes } from "./model/digest.ts";
import type { Digest } from "./model/digest.ts";
import type { SharedUpper } from "./overlay/shared-upper.ts";
import type { RecordChange } from "./overlay/uppers.ts";
import { closeAll, openParts, refusalOf } from "./store-parts.ts";
import type { OpenOptions, OpenParts, StoreParts } from "./store-parts.ts";

/** An open store: its parts, wired. One process has it open at a time. */
export class Store implements AsyncDisposable, Omit<StoreParts, "reserve"> {
  readonly paths: StoreParts["paths"];
  readonly databases: StoreParts["databases"];
  readonly damage: StoreParts["damage"];
  readonly chunks: StoreParts["chunks"];
  readonly content: StoreParts["content"];
  readonly nodes: StoreParts["nodes"];
  readonly trees: StoreParts["trees"];
  readonly lowers: StoreParts["lowers"];
  readonly blocks: StoreParts["blocks"];
  readonly refs: StoreParts["refs"];
  readonly settings: StoreParts["settings"];
  readonly exports: StoreParts["exports"];
  readonly uppers: StoreParts["uppers"];
  readonly #meta: Kv;
  readonly #reserve: Reserve;
  readonly #claims: Claims;
  readonly #owned: OpenParts["owned"];
  /** Of the collection that runs. */
  #marker: Marker | undefined;
  #lastChange: Promise<void> = Promise.resolve();

  private constructor({ parts, owned }: OpenParts) {
    this.paths = parts.paths;
    this.databases = parts.databases;
    this.damage = parts.damage;
    this.chunks = parts.chunks;
    this.content = parts.content;
    this.nodes = parts.nodes;
    this.trees = parts.trees;
    this.lowers = parts.lowers;
    this.blocks = parts.blocks;
    this.refs = parts.refs;
    this.settings = parts.settings;
    this.exports = parts.exports;
    this.uppers = parts.uppers;
    this.#meta = parts.databases.meta;
    this.#reserve = parts.reserve;
    this.#claims = parts.chunks.claims;
    this.#owned = owned;
  }

  /**
   * @throws {StoreError} STORE_MISSING unless `create`, STORE_LOCKED after the wait, FORMAT_NEWER, FORMAT_INVALID,
   *   REFUSED if a store should be made in a directory that holds other things, NOT_PERMITTED, NO_SPACE
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Store> {
    return new Store(await openParts(directory, options));
  }

  /** Why nothing could be written when that was last tried, as far as is known: NO_SPACE, NOT_PERMITTED, EIO. */
  get refusal(): Error | undefined {
    return refusalOf(this.databases) ?? this.uppers.refusal;
  }

  /**
   * For what frees room: if the disk is full, the room that is kept for that is given up, up to the end of what is returned, and the
   * store can be written to again.
   */
  async makeRoom(): Promise<Disposable> {
    this.#reserve.release();
    // What is written first says what is the matter.
    for (const part of [this.#meta, this.chunks]) await part.requireWritable().catch(() => undefined);
    return { [Symbol.dispose]: () => this.#reserve.keep() };
  }

  /**
   * Makes trees and content durable, and only then the names that reach them: after a power cut a name is there with
   * all it stands for, or it is not there. Calls that overlap come one after the other: what the second shares with the
   * first is durable then.
   *
   * @param upper whose fold this is; or that what views changed is overruled, and so lost
   * @throws {StoreError} EXISTS, REFUSED if a name is no more as `before` has it, or a view has changed it since; NO_SPACE
   */
  async change(
    cause: ChangeCause,
    changes: readonly RefChange[],
    layers: readonly Layer[] = [],
    upper?: SharedUpper | "overruled",
  ): Promise<void> {
    await this.uppers.whileRecorded(recordChanges(changes, upper), async () => {
      await this.#inOrder(async () => {
        this.#mark(changes, layers);
        await this.#flush();
        await this.refs.change(cause, changes, layers);
      });
    });
  }

  /**
   * Makes names for what other names stand for at this time: that is durable, and what an import has under way need not become so
   * for it.
   *
   * @throws {StoreError} EXISTS
   */
  async addNames(cause: ChangeCause, changes: readonly (RefChange & { readonly before: null })[]): Promise<void> {
    await this.#inOrder(async () => {
      this.#mark(changes, []);
      await this.refs.change(cause, changes);
    });
  }

  async #inOrder(work: () => Promise<void>): Promise<void> {
    const change = this.#lastChange.then(work);
    this.#lastChange = change.catch(() => undefined);
    await change;
  }

  #mark(changes: readonly RefChange[], layers: readonly Layer[]): void {
    if (this.#marker === undefined) return;
    const fresh = new Map(layers.map((layer) => [layerDigest(layer), layer]));
    for (const { after } of changes) if (after !== null) this.#marker.markRef(after, fresh);
  }

  /**
   * Makes trees and content that no name reaches yet durable: what would be too much to be kept in memory up to the `change` that
   * names it. What is put must reach nothing that is not.
   */
  async flush(): Promise<void> {
    await this.#inOrder(() => this.#flush());
  }

  async #flush(): Promise<void> {
    const nodes = this.nodes.pending();
    const newChunks = await this.chunks.flush();
    const newNodes = await this.nodes.flush(nodes);
    if (newChunks || newNodes) await this.#meta.barrier();
  }

  /** An operation begins that puts or names things: until it is disposed, what it puts and looks into is not collected. */
  begin(): Disposable {
    return this.#claims.begin();
  }

  /**
   * Runs a collection. While it runs, the marker it works with is told of all that operations look into and name.
   *
   * @throws {StoreError} REFUSED if one runs already
   */
  async collect<T>(work: (marker: Marker) => Promise<T>): Promise<T> {
    if (this.#marker !== undefined) throw new StoreError("REFUSED", { reason: "a collection runs already" });
    const marker = new Marker(this.refs, this.nodes);
    this.#marker = marker;
    this.#claims.beginEpoch();
    this.#claims.onTree = (tree) => marker.markTree(tree);
    try {
      // One that began before has not told the marker what it names; its names are among those that are marked then.
      await this.#lastChange;
      for (const tree of [...this.#claims.trees(), ...this.lowers.live()]) marker.markTree(tree);
      return await work(marker);
    } finally {
      this.#marker = undefined;
      this.#claims.onTree = undefined;
    }
  }

  /** Has LevelDB give back the room of records that were deleted, a slice at a time. @param records about how many there are */
  async compactRecords(kind: "chunk" | "node", records: number, signal?: AbortSignal): Promise<void> {
    for (const range of slicesOf(kind, Math.min(Math.ceil(records / RECORDS_OF_A_SLICE), 256))) {
      signal?.throwIfAborted();
      await this.#meta.compact(range);
    }
  }

  /** Trees whose digests begin with these hex digits, at least 8. */
  async treesByPrefix(prefix: string): Promise<Digest[]> {
    const found: Digest[] = [];
    for await (const key of this.#meta.keys(digestPrefixRange("node", prefix))) {
      const digest = digestFromBytes(key.subarray(1));
      if (digest.startsWith(prefix) && this.#isTree(digest)) found.push(digest);
    }
    return found;
  }

  /** All things whose digests begin with these hex digits, at least 8. */
  async partsByPrefix(
    prefix: string,
  ): Promise<{ readonly kind: "tree" | "layer" | "node" | "chunk"; readonly digest: Digest }[]> {
    const found = [];
    for (const kind of ["layer", "node", "chunk"] as const) {
      for await (const key of this.#meta.keys(digestPrefixRange(kind, prefix))) {
        const digest = digestFromBytes(key.subarray(1));
        if (!digest.startsWith(prefix)) continue;
        found.push({ kind: kind === "node" && this.#isTree(digest) ? ("tree" as const) : kind, digest });
      }
    }
    return found;
  }

  #isTree(digest: Digest): boolean {
    try {
      this.trees.tree(digest);
      return true;
    } catch (error) {
      if (isStoreError(error, "FORMAT_INVALID")) return false;
      throw error;
    }
  }

  /** What the store holds, counted and summed by reading all keys of the index: 1 µs a chunk. */
  async usage(): Promise<StoreUsage> {
    const usage = { chunks: 0, plainBytes: 0, storedBytes: 0, nodes: 0, nodeBytes: 0 };
    for await (const [key, value] of this.#meta.iterate(kindRange("chunk"))) {
      const place = decodePlace(value, digestFromBytes(key.subarray(1)));
      usage.chunks++;
      usage.plainBytes += place.plainBytes;
      usage.storedBytes += place.storedBytes;
    }
    for await (const [, value] of this.#meta.iterate(kindRange("node"))) {
      usage.nodes++;
      usage.nodeBytes += value.length;
    }
    return usage;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeAll(this.#owned);
  }
}

/** Accounted bytes: `storedBytes` are the frames of chunks, `plainBytes` the same before compression. */
export interface StoreUsage {
  readonly chunks: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
  readonly nodes: number;
  readonly nodeBytes: number;
}

function recordChanges(changes: readonly RefChange[], upper: SharedUpper | "overruled" | undefined): RecordChange[] {
  const isMoved = changes.some(({ before, after }) => before === null && after?.type === "container");
  return changes.flatMap(({ name, before, after }) => {
    if (before?.type !== "container") return [];
    const isGone = after?.type !== "container" || after.created !== before.created;
    const isDropped = (after === null && !isMoved) || upper === "overruled";
    const isFold = typeof upper === "object" && upper.name === name;
    const fate = isFold ? { recordedBy: upper } : isDropped ? "dropped" : "refused";
    return [{ name, version: refVersion(before), changes: fate, isGone }];
  });
}

/** Some 10 MB of chunk index. */
const RECORDS_OF_A_SLICE = 100_000;
