import type { ContainerRef, Layer } from "../containers/records.ts";
import type { Digest } from "../model/digest.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import type { Context } from "./context.ts";
import { directoryOf } from "./lxc-host.ts";
import { resolveRef } from "./references.ts";
import { settle } from "./settle.ts";
import type { ContainerState } from "./container-state.ts";
import { standsOn } from "./standing.ts";
import { warnOfTrouble } from "./trouble.ts";
import { describeSnapshots } from "./snapshots.ts";
import type { SnapshotItem } from "./snapshots.ts";

export interface Shown {
  readonly ref: string;
  readonly type: "layer" | "container" | "tree";
  readonly digest: Digest;
  readonly files: number;
  readonly sizeBytes: number;
  readonly layer: LayerDescription | null;
  readonly container: ContainerDescription | null;
}

export interface LayerDescription {
  readonly parentDigest: Digest | null;
  readonly created: string;
  readonly message: string;
  readonly source: string;
}

export interface ContainerDescription {
  readonly state: ContainerState;
  /** The tree its changes are relative to. */
  readonly lower: Digest;
  readonly created: string;
  readonly captured: string | null;
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly snapshots: readonly SnapshotItem[];
  /** It becomes a machine of its own at its next start. */
  readonly identityPending: boolean;
  readonly ephemeral: boolean;
  readonly expires: string | null;
  readonly lxcDirectory: string | null;
  /** The exports that it stands on, the topmost first; empty without an LXC directory of ours. */
  readonly exports: readonly StoodOn[];
}

export interface StoodOn {
  readonly path: string;
  /** What its files and directories take, also for others that stand on it; null if it is not there yet. */
  readonly diskBytes: number | null;
}

/** Everything about one ref. For a container `layer` is what it was made from or last committed to. */
export async function show(context: Context, { ref: text }: { readonly ref: string }): Promise<Shown> {
  const { store } = context;
  const found = await resolveRef(store, text);
  if (found.kind === "tree") return describe(context, text, "tree", found.tree, null, null);
  if (found.kind === "layer")
    return describe(context, text, "layer", found.tree, store.refs.layer(found.ref.layer), null);
  const settled = await settle(context, found.name, found.ref);
  warnOfTrouble(context, [[found.name, settled]]);
  const { ref, state } = settled;
  const layer = ref.base === null ? null : store.refs.layer(ref.base);
  const snapshots = await describeSnapshots(store, found.name);
  return describe(context, text, "container", ref.tree, layer, {
    ...describeContainer(found.name, ref, state),
    snapshots,
    exports: exportsUnder(context, found.name, ref),
  });
}

function describe(
  { store }: Context,
  ref: string,
  type: Shown["type"],
  digest: Digest,
  layer: Layer | null,
  container: ContainerDescription | null,
): Shown {
  const { entries: files, bytes: sizeBytes } = store.trees.tree(digest).root.listing;
  return { ref, type, digest, files, sizeBytes, layer: layer && describeLayer({ store }, layer), container };
}

function describeLayer({ store }: Pick<Context, "store">, layer: Layer): LayerDescription {
  const { parent, created, message, source } = layer;
  return { parentDigest: parent === null ? null : store.refs.layer(parent).tree, created, message, source };
}

function exportsUnder({ store }: Context, name: string, ref: ContainerRef): StoodOn[] {
  const directory = directoryOf(name, ref);
  const stack = directory === undefined ? undefined : standsOn(store, readContainerDirectory(directory));
  return (stack ?? []).map((key) => ({
    path: store.exports.path(key),
    diskBytes: store.exports.isThere(key) ? (store.exports.headerOf(key)?.diskBytes ?? null) : null,
  }));
}

function describeContainer(
  name: string,
  ref: ContainerRef,
  state: ContainerState,
): Omit<ContainerDescription, "snapshots" | "exports"> {
  const { lower, created, captured, generation, labels, identityPending, ephemeral, expires, lxcPath } = ref;
  const lxcDirectory = lxcPath === null ? null : `${lxcPath}/${name}`;
  return { state, lower, created, captured, generation, labels, identityPending, ephemeral, expires, lxcDirectory };
}
