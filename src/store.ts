import { existsSync, rmSync } from "node:fs";
import type { Claims } from "./chunks/claims.ts";
import { ChunkStore } from "./chunks/chunk-store.ts";
import { ContentStore } from "./chunks/content-store.ts";
import { NodeStore } from "./chunks/node-store.ts";
import { Marker } from "./containers/marker.ts";
import type { ChangeCause, Layer, RefChange } from "./containers/records.ts";
import { layerDigest, refVersion, Refs } from "./containers/refs.ts";
import { Settings } from "./containers/settings.ts";
import { asStoreError, isStoreError, StoreError } from "./errors.ts";
import { sweepPartials } from "./exports/partials.ts";
import { SharedExports } from "./exports/shared-exports.ts";
import { decodePlace } from "./format/chunk-value.ts";
import { digestPrefixRange, kindRange, slicesOf } from "./format/keys.ts";
import { FORMAT_VERSION } from "./format/record.ts";
import { FSCK } from "./kv/intact.ts";
import { Kv } from "./kv/kv.ts";
import { Reserve } from "./kv/reserve.ts";
import { recoverStagings } from "./lxc/staging.ts";
import { digestFromBytes } from "./model/digest.ts";
import type { Digest } from "./model/digest.ts";
import { BlockCache } from "./overlay/block-cache.ts";
import { LowerTrees } from "./overlay/lower-tree.ts";
import type { SharedUpper } from "./overlay/shared-upper.ts";
import { Uppers } from "./overlay/uppers.ts";
import type { RecordChange } from "./overlay/uppers.ts";
import { openDamagedParts, removeSalvaged } from "./store-damage.ts";
import type { OpenDamage, Purpose } from "./store-damage.ts";
import { checkFormat, findStore, lockStore, noteOwner, prepareDirectory } from "./store-directory.ts";
import { StorePaths } from "./store-paths.ts";
import { removeTemporaries, writeFileDurably } from "./sys/durable.ts";
import type { Lock } from "./sys/lock.ts";
import { TreeStore } from "./trees/tree-store.ts";

export interface OpenOptions {
  /** Makes the store if there is none. Default: false. */
  readonly create?: boolean;
  /** How long to wait for another process that has it open. Default: 30. */
  readonly waitSeconds?: number;
  /** What is being done, for whoever waits for this process. */
  readonly command?: string;
  /** What was noticed and is no error. */
  readonly onWarning?: (warning: string) => void;
  /**
   * For `fsck`: opens what is damaged as far as can be, and neither ends nor takes away what killed processes have left. `mend`
   * puts what can be salvaged of a database in its place.
   */
  readonly damaged?: Purpose;
  /** Of the store, held by the caller, who passes it on. */
  readonly lock?: Lock;
}

/** An open store: its parts, wired. One process has it open at a time. */
export class Store implements AsyncDisposable {
  readonly paths: StorePaths;
  readonly chunks: ChunkStore;
  readonly content: ContentStore;
  readonly nodes: NodeStore;
  readonly trees: TreeStore;
  readonly lowers: LowerTrees;
  readonly blocks: BlockCache;
  readonly refs: Refs;
  readonly settings: Settings;
  readonly exports: SharedExports;
  /** Its records, for those who look through all of them. */
  readonly databases: { readonly meta: Kv; readonly chunks: Kv };
  /** What of it did not open as it is. */
  readonly damage: readonly OpenDamage[];
  readonly #meta: Kv;
  readonly #reserve: Reserve;
  readonly #claims: Claims;
  readonly #owned: Owned[];
  /** Of the collection that runs. */
  #marker: Marker | undefined;
  #uppers: Uppers | undefined;
  #lastChange: Promise<void> = Promise.resolve();

  private constructor(
    paths: StorePaths,
    databases: Store["databases"],
    chunks: ChunkStore,
    refs: Refs,
    owned: Owned[],
    damage: readonly OpenDamage[] = [],
  ) {
    const { meta } = databases;
    this.databases = databases;
    this.damage = damage;
    this.paths = paths;
    this.chunks = chunks;
    this.#claims = chunks.claims;
    this.nodes = new NodeStore(meta, this.#claims);
    this.content = new ContentStore(chunks, this.nodes);
    this.trees = new TreeStore(this.nodes, this.#claims);
    this.lowers = new LowerTrees(this.trees);
    this.blocks = new BlockCache(chunks, this.nodes);
    this.refs = refs;
    this.settings = new Settings(meta);
    this.exports = new SharedExports(paths, this.trees, this.content);
    this.#meta = meta;
    // Nodes that name chunks which could not be written must not be either.
    this.#claims.onIdle = () => {
      if (chunks.forgetFailure()) this.nodes.forgetPending();
    };
    this.#reserve = new Reserve(paths.reserve);
    this.#owned = owned;
  }

  /**
   * @throws {StoreError} STORE_MISSING unless `create`, STORE_LOCKED after the wait, FORMAT_NEWER, FORMAT_INVALID,
   *   REFUSED if a store should be made in a directory that holds other things, NOT_PERMITTED, NO_SPACE
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Store> {
    if (options.damaged !== undefined) return await Store.#openDamaged(directory, options.damaged, options);
    const { create = false, waitSeconds = 30, command = "a program", onWarning } = options;
    const owned: Owned[] = [];
    try {
      const paths = new StorePaths(findStore(directory, create));
      owned.push(options.lock ?? (await lockStore(paths, waitSeconds)));
      const isNew = !existsSync(paths.format);
      if (!isNew) checkFormat(paths);
      else if (create) prepareDirectory(paths);
      else throw new StoreError("STORE_MISSING", { directory: paths.directory });
      noteOwner(paths, command);
      // Both at once: most of it is waiting for the disk.
      const opening = [
        Kv.open(paths.meta, { create: isNew }),
        Kv.open(paths.chunks, { create: isNew, writeBufferBytes: CHUNK_WRITE_BUFFER_BYTES }),
      ] as const;
      for (const opened of await Promise.allSettled(opening))
        if (opened.status === "fulfilled") owned.push(opened.value);
      const [meta, chunkValues] = await Promise.all(opening);
      if (isNew) {
        await meta.barrier();
        await chunkValues.barrier();
        writeFileDurably(paths.format, `delta0 store\nformat ${FORMAT_VERSION}\n`, 0o600);
        rmSync(paths.initialising);
      }
      const [refs, chunks] = await Promise.all([Refs.open(meta), ChunkStore.open(chunkValues, meta)]);
      const store = new Store(paths, { meta, chunks: chunkValues }, chunks, refs, owned);
      if (!isStoreError(store.refusal, "NOT_PERMITTED")) store.#tidy(onWarning);
      await store.#openUppers(onWarning);
      return store;
    } catch (error) {
      await closeAll(owned);
      throw withRemedy(asStoreError(error, `opening the store ${directory}`));
    }
  }

  static async #openDamaged(directory: string, purpose: Purpose, options: OpenOptions): Promise<Store> {
    const { waitSeconds = 30, command = "a program" } = options;
    const owned: Owned[] = [];
    try {
      const paths = new StorePaths(findStore(directory, false, true));
      owned.push(options.lock ?? (await lockStore(paths, waitSeconds)));
      noteOwner(paths, command);
      removeSalvaged(paths);
      owned.push({ [Symbol.dispose]: () => removeSalvaged(paths) });
      const parts = await openDamagedParts(paths, purpose, { writeBufferBytes: CHUNK_WRITE_BUFFER_BYTES });
      owned.push(parts.meta, parts.chunks);
      const refs = await Refs.open(parts.meta);
      const chunks = await ChunkStore.open(parts.chunks, parts.meta, { isDamaged: true });
      const store = new Store(paths, parts, chunks, refs, owned, parts.damage);
      const pieces = `${paths.uppers}.pieces`;
      store.#uppers = await Uppers.open(parts.uppers, store, { pieces, isDamaged: true });
      owned.push(store.#uppers);
      return store;
    } catch (error) {
      await closeAll(owned);
      throw asStoreError(error, `opening the store ${directory}`);
    }
  }

  /** Ends or takes away what killed processes have left. */
  #tidy(onWarning: OpenOptions["onWarning"]): void {
    const { staging, partials, directory, manifests, lxc } = this.paths;
    for (const { directory, error } of recoverStagings(staging, this.refs))
      onWarning?.(`${directory} could not be put in order: ${messageOf(error)}`);
    for (const { registration, error } of sweepPartials(partials))
      onWarning?.(`${registration} leads to what is left of an unfinished export: ${messageOf(error)}`);
    for (const place of [directory, manifests, lxc]) removeTemporaries(place);
    this.exports.sweep();
    if (this.refusal === undefined) this.#reserve.keep();
  }

  /** Why nothing could be written when that was last tried, as far as is known: NO_SPACE, NOT_PERMITTED, EIO. */
  get refusal(): Error | undefined {
    return this.#meta.refusal ?? this.chunks.refusal ?? this.#uppers?.refusal;
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

  /** What containers changed that is in no tree yet. */
  get uppers(): Uppers {
    if (this.#uppers === undefined) throw new Error("a store that is not open yet");
    return this.#uppers;
  }

  /** An upper over what is not the record any more is one that was folded, or whose container is gone. */
  async #openUppers(onWarning: OpenOptions["onWarning"]): Promise<void> {
    const uppers = await Uppers.open(this.paths.uppers, this);
    this.#owned.push(uppers);
    this.#uppers = uppers;
    for await (const [name, header] of uppers.headers()) {
      if (header === undefined)
        onWarning?.(`${name}: what was changed of it last cannot be read: its upper is damaged`);
      else if (uppers.refusal === undefined && !this.#isVersion(name, header.version)) await uppers.drop(name);
    }
  }

  /** True also where that cannot be told. */
  #isVersion(name: string, version: string): boolean {
    try {
      const ref = this.refs.find(name);
      return ref !== undefined && refVersion(ref) === version;
    } catch (error) {
      if (isStoreError(error, "FORMAT_INVALID") || isStoreError(error, "FORMAT_NEWER")) return true;
      throw error;
    }
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

type Owned = Disposable | AsyncDisposable;

/** Some 10 MB of chunk index. */
const RECORDS_OF_A_SLICE = 100_000;

/**
 * So large are the tables, too, each of which is synced. After a full disk, LevelDB needs as much room, twice, to open again.
 * docs/design.md, "Storage".
 */
const CHUNK_WRITE_BUFFER_BYTES = 4 << 20;

/** The last opened first; the lock on the store goes last, whatever becomes of the others. */
async function closeAll(owned: readonly Owned[]): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  for (const resource of owned.toReversed())
    try {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    } catch (error) {
      failure ??= { error };
    }
  if (failure !== undefined) throw failure.error;
}

function withRemedy(error: unknown): unknown {
  if (!isStoreError(error, "FORMAT_INVALID") || error.hint !== undefined) return error;
  return new StoreError("FORMAT_INVALID", { ...error.details, hint: FSCK }, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
