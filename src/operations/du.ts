import type { Layer, Ref } from "../containers/records.ts";
import { Marker } from "../containers/marker.ts";
import type { Tally } from "../chunks/node-store.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import { reachTree } from "../trees/reach.ts";
import type { Reach } from "../trees/reach.ts";
import type { Context } from "./context.ts";
import { ExportUsers } from "./export-users.ts";
import { ReachTally } from "./reach-tally.ts";
import { requireRef } from "./references.ts";
import { markRoot, roots } from "./roots.ts";
import { settle } from "./settle.ts";
import { exportSpace } from "./sweep-exports.ts";
import type { ExportSpace } from "./sweep-exports.ts";
import { parseSnapshotName, snapshotRefName, snapshotsOf } from "./snapshots.ts";

/**
 * Bytes are accounted bytes: chunks' frames as they are stored, and nodes. `apparentBytes` are those of regular files, as they would be
 * written out.
 */
export interface DuItem {
  readonly name: string;
  readonly type: Ref["type"] | "snapshot";
  readonly entries: number;
  readonly apparentBytes: number;
  /** That other names reach, too; null if it was not counted. */
  readonly sharedBytes: number | null;
  /** That no other name reaches. */
  readonly exclusiveBytes: number;
}

export interface DiskUsage {
  readonly items: readonly DuItem[];
  /** All that the store holds. */
  readonly storedBytes: number;
  /** Of these, what no name reaches: of history, or garbage. */
  readonly unnamedBytes: number;
}

export interface DuParams {
  /** Names. Default: all. */
  readonly refs?: readonly string[];
}

/**
 * What each name takes of the store.
 *
 * All nodes that names reach are read, once or twice, however many names reach them. What a name shares is counted only where names
 * are given, or there are few: that reads all that each reaches.
 */
export async function du(context: Context, params: DuParams = {}): Promise<DiskUsage> {
  const { store } = context;
  const wanted = params.refs && new Set(params.refs);
  for (const name of wanted ?? []) await settled(context, name);
  const names: [name: string, ref: Ref][] = [];
  for await (const root of roots(context, { since: NEVER }))
    if (root.type === "name") names.push([root.name, root.ref]);
  const owners = new Owners(context);
  for (const [i, [, ref]] of names.entries()) owners.add(i, ref);
  const isCounted = wanted !== undefined || names.length <= FEW;
  const items = names.flatMap(([name, ref], i): DuItem[] => {
    if (wanted?.has(name) === false) return [];
    const { entries, bytes: apparentBytes } = store.trees.tree(store.refs.treeOf(ref)).root.listing;
    const exclusiveBytes = owners.exclusive(i);
    const sharedBytes = isCounted ? reachedBytes(context, [ref]) - exclusiveBytes : null;
    const type = parseSnapshotName(name) === undefined ? ref.type : "snapshot";
    return [{ name, type, entries, apparentBytes, sharedBytes, exclusiveBytes }];
  });
  const { storedBytes, nodeBytes } = await store.usage();
  return { items, storedBytes: storedBytes + nodeBytes, unnamedBytes: storedBytes + nodeBytes - owners.reachedBytes };
}

export interface Removable {
  /** What would be removed: containers' snapshots as well. */
  readonly names: readonly string[];
  readonly chunks: Tally;
  readonly nodes: Tally;
  /** Of chunks and nodes. */
  readonly freedBytes: number;
  /** Beside that: shared exports that nothing would use any more. */
  readonly exports: ExportSpace;
}

/** What `rm` of these names and `gc --grace 0` would free, to the byte. */
export async function duIfRemoved(
  context: Context,
  { refs }: { readonly refs: readonly string[] },
): Promise<Removable> {
  const { store } = context;
  const removed = new Map<string, Ref>();
  for (const name of refs) {
    const ref = await settled(context, name);
    removed.set(name, ref);
    if (ref.type === "layer") continue;
    for (const [snapshot, ref] of await snapshotsOf(store, name))
      removed.set(snapshotRefName({ container: name, snapshot }), ref);
  }
  const tally = new ReachTally(context);
  const marker = new Marker(store.refs, store.nodes, tally);
  const without = new Set(removed.keys());
  const users = await ExportUsers.find(context);
  const isLeft = (name: string): boolean => !without.has(name);
  const exports = store.exports.keys().filter((key) => !users.isMounted(key) && !users.of(key).some(isLeft));
  const withoutExports = new Set(exports);
  for await (const root of roots(context, { since: NEVER, without, withoutExports })) markRoot(marker, root);
  tally.reset();
  for (const ref of removed.values()) marker.markRef(ref);
  const { chunks, nodes } = tally;
  return {
    names: [...without].sort(),
    chunks,
    nodes,
    freedBytes: chunks.bytes + nodes.bytes,
    exports: exportSpace(store, exports),
  };
}

/** @throws {StoreError} NOT_FOUND */
async function settled(context: Context, name: string): Promise<Ref> {
  const ref = await requireRef(context.store, name);
  return ref.type === "layer" ? ref : (await settle(context, name, ref)).ref;
}

/** Of all that some names reach. @param fresh layers that are not stored yet */
export function reachedBytes(context: Context, refs: readonly Ref[], fresh?: ReadonlyMap<Digest, Layer>): number {
  const tally = new ReachTally(context);
  const marker = new Marker(context.store.refs, context.store.nodes, tally);
  for (const ref of refs) marker.markRef(ref, fresh);
  return tally.bytes;
}

/** Which part of a store belongs to whom alone: of each node and chunk its one owner, or that it has several. */
class Owners {
  readonly #context: Context;
  readonly #nodes = new DigestMap();
  readonly #chunks = new DigestMap();
  readonly #layers = new DigestMap();
  readonly #exclusive: number[] = [];
  reachedBytes = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  exclusive(owner: number): number {
    return this.#exclusive[owner] ?? 0;
  }

  add(owner: number, ref: Ref): void {
    const { store } = this.#context;
    let before: number | undefined;
    const reach: Reach = {
      enter: (digest) => {
        before = this.#nodes.get(digest);
        return this.#claim(this.#nodes, digest, owner, before);
      },
      node: (bytes) => this.#count(owner, before, bytes),
      chunk: (digest) => {
        const before = this.#chunks.get(digest);
        if (this.#claim(this.#chunks, digest, owner, before))
          this.#count(owner, before, store.chunks.storedBytes(digest));
      },
    };
    for (const tree of this.#trees(owner, ref)) reachTree(store.nodes, tree, reach);
  }

  /** Of layers that others have too, they have the parents as well. */
  *#trees(owner: number, ref: Ref): Generator<Digest> {
    const { refs } = this.#context.store;
    if (ref.type === "container") yield* [ref.lower, ref.tree];
    let digest = ref.type === "layer" ? ref.layer : ref.base;
    while (digest !== null && this.#claim(this.#layers, digest, owner, this.#layers.get(digest))) {
      const layer = refs.layer(digest);
      yield layer.tree;
      digest = layer.parent;
    }
  }

  /** @returns false if nothing changes for it, nor for what is below it */
  #claim(map: DigestMap, digest: Digest, owner: number, before: number | undefined): boolean {
    if (before === SEVERAL || before === owner + 1) return false;
    map.set(digest, before === undefined ? owner + 1 : SEVERAL);
    return true;
  }

  #count(owner: number, before: number | undefined, bytes: number): void {
    if (before === undefined) {
      this.#exclusive[owner] = this.exclusive(owner) + bytes;
      this.reachedBytes += bytes;
    } else this.#exclusive[before - 1] = this.exclusive(before - 1) - bytes;
  }
}

const SEVERAL = 0;
const FEW = 32;
/** After all changes of names. */
const NEVER = "9999";
