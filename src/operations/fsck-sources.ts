import { existsSync, realpathSync, statSync } from "node:fs";
import { BlockWriter } from "../chunks/content-writer.ts";
import type { Chunks } from "../chunks/chunk-store.ts";
import type { Nodes } from "../chunks/node-store.ts";
import { encodeLayer } from "../containers/records.ts";
import type { Layer } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { partsOfKey } from "../exports/export-key.ts";
import { digestKey } from "../format/keys.ts";
import type { Digest } from "../model/digest.ts";
import { directoryChanges } from "../sources/directory.ts";
import { plainStream } from "../sources/decompress.ts";
import { tarChanges } from "../sources/tar.ts";
import { Store } from "../store.ts";
import { StorePaths } from "../store-paths.ts";
import { TreeBuilder } from "../trees/builder.ts";
import { TreeStore } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { openSourceFile } from "./source.ts";

/** What is to be found. What was found is taken out. */
export interface Wanted {
  readonly nodes: Set<Digest>;
  readonly chunks: Set<Digest>;
  readonly layers: Set<Digest>;
}

/** Something that may hold what a store has lost. */
export interface HealingSource {
  /** Puts what it has of `wanted` into the store: only what is proven. */
  heal(wanted: Wanted): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Directories, tars, other stores, damaged or not; and the store's own shared exports.
 *
 * @throws {StoreError} NOT_FOUND, USAGE
 */
export async function openHealingSources(context: Context, from: readonly string[]): Promise<HealingSource[]> {
  const { exports } = context.store;
  const sources: HealingSource[] = [];
  for (const source of from) {
    if (!existsSync(source)) throw new StoreError("NOT_FOUND", { what: `no file or directory "${source}"` });
    sources.push(isStore(source) ? await OtherStore.open(context, source) : new Files(context, source));
  }
  // The nearest comes first.
  const own = exports.keys().filter((key) => partsOfKey(key).map === undefined);
  return [...own.map((key) => new Files(context, exports.home(key))), ...sources];
}

function isStore(path: string): boolean {
  const { format, meta, chunks } = new StorePaths(path);
  return existsSync(meta) && (existsSync(chunks) || existsSync(format));
}

class OtherStore implements HealingSource {
  readonly #context: Context;
  readonly #other: Store;

  private constructor(context: Context, other: Store) {
    this.#context = context;
    this.#other = other;
  }

  static async open(context: Context, path: string): Promise<OtherStore> {
    const { store, command } = context;
    if (realpathSync(path) === store.paths.directory)
      throw new StoreError("USAGE", { reason: `${path} is the store that is to be mended` });
    return new OtherStore(context, await Store.open(path, { damaged: "look", command }));
  }

  async heal({ nodes, chunks, layers }: Wanted): Promise<void> {
    const { store } = this.#context;
    const other = this.#other;
    for (const digest of nodes) {
      const bytes = unlessStoreError(() => other.nodes.get(digest));
      if (bytes === undefined) continue;
      store.nodes.heal(bytes);
      nodes.delete(digest);
    }
    for (const digest of chunks) {
      const bytes = unlessStoreError(() => other.chunks.get(digest));
      if (bytes === undefined) continue;
      store.chunks.heal(bytes);
      chunks.delete(digest);
      await store.chunks.backpressure();
      this.#context.signal?.throwIfAborted();
    }
    for (const digest of layers) {
      const layer: Layer | undefined = unlessStoreError(() => other.refs.findLayer(digest));
      if (layer === undefined) continue;
      const operation = { type: "put", key: digestKey("layer", digest), value: encodeLayer(layer) } as const;
      await store.databases.meta.write([operation], { sync: true });
      layers.delete(digest);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#other[Symbol.asyncDispose]();
  }
}

/** A directory or a tar. It is read as an import would read it: then its blocks, and the nodes of its tree, are those of one. */
class Files implements HealingSource {
  readonly #context: Context;
  readonly #source: string;

  constructor(context: Context, source: string) {
    this.#context = context;
    this.#source = source;
  }

  async heal(wanted: Wanted): Promise<void> {
    if (wanted.nodes.size + wanted.chunks.size === 0) return;
    const { store, signal, onProgress } = this.#context;
    const source = this.#source;
    const nodes = new HealingNodes(store.nodes, wanted.nodes);
    const writer = new BlockWriter(healingChunks(store, wanted.chunks), nodes);
    const options = {
      source,
      ...(signal && { signal }),
      onProgress: (progress: { entries: number; bytes: number }) => onProgress?.({ phase: "healing", ...progress }),
    };
    const isDirectory = statSync(source).isDirectory();
    const changes = isDirectory
      ? directoryChanges(source, writer, options)
      : tarChanges(plainStream(openSourceFile(source), options), writer, options);
    const builder = new TreeBuilder(new TreeStore(nodes));
    for await (const batch of changes) for (const change of batch) builder.apply(change);
    if (wanted.nodes.size > 0) builder.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It holds nothing.
  }
}

function healingChunks(store: Store, wanted: Set<Digest>): Chunks {
  return {
    put: (bytes) => {
      const digest = digestOf(bytes);
      if (wanted.delete(digest)) store.chunks.heal(bytes);
      return digest;
    },
    backpressure: () => store.chunks.backpressure(),
  };
}

/** Nodes in memory: those that are wanted go into the store, too. */
class HealingNodes implements Nodes {
  readonly #store: Store["nodes"];
  readonly #wanted: Set<Digest>;
  readonly #own = new Map<Digest, Uint8Array>();

  constructor(store: Store["nodes"], wanted: Set<Digest>) {
    this.#store = store;
    this.#wanted = wanted;
  }

  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.#own.set(digest, bytes);
    if (this.#wanted.delete(digest)) this.#store.heal(bytes);
    return digest;
  }

  get(digest: Digest): Uint8Array {
    return this.#own.get(digest) ?? this.#store.get(digest);
  }
}

function unlessStoreError<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return undefined;
  }
}
