import type { Layer } from "../containers/records.ts";
import { layerDigest } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { SentBase, SentItem, SentLayer } from "../transfer/send-note.ts";
import { ancestry } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { isRefName } from "./references.ts";
import type { Resolved } from "./references.ts";
import { settledRef } from "./settle.ts";
import { parseSnapshotName, snapshotOwner, snapshotsOf } from "./snapshots.ts";

export interface WhatToSend {
  /** Layers, containers with their snapshots, single snapshots, any other states. */
  readonly refs?: readonly string[];
  /** All layers and containers of the store, in place of `refs`. */
  readonly all?: boolean;
}

/** What these refs stand for, containers settled: their records, and those of all that they were made from. */
export async function gatherSent(
  context: Context,
  params: WhatToSend,
): Promise<{ readonly layers: readonly SentLayer[]; readonly items: readonly SentItem[] }> {
  const { store } = context;
  const { refs = [], all = false } = params;
  if (all && refs.length > 0) throw new StoreError("USAGE", { reason: "all, and some by their names: give either" });
  const asked = all ? await allNames(context) : [...new Set(refs)];
  if (asked.length === 0)
    throw new StoreError("USAGE", { reason: all ? "there is nothing here" : "there is nothing to send" });
  const layers = new Map<Digest, SentLayer>();
  const addLineage = (first: Digest): Digest => {
    const line: SentLayer[] = [];
    for (let digest: Digest | null = first; digest !== null && !layers.has(digest);) {
      const layer: Layer = store.refs.layer(digest);
      line.push({ digest, layer });
      digest = layer.parent;
    }
    for (const row of line.reverse()) layers.set(row.digest, row);
    return first;
  };
  const items: SentItem[] = [];
  for (const text of asked) {
    const found = await settledRef(context, text);
    if (found.kind === "layer") {
      const { layer, pinned: isPinned = false } = found.ref;
      items.push({ type: "layer", name: nameForLayer(found.name), layer: addLineage(layer), isPinned });
    } else if (found.kind === "container") {
      const { name, ref } = found;
      if (ref.base !== null) addLineage(ref.base);
      const snapshots = (await snapshotsOf(store, name)).map(([snapshot, { layer, pinned: isPinned = false }]) => ({
        name: snapshot,
        layer: addLineage(layer),
        isPinned,
      }));
      items.push({ type: "container", name, ref, snapshots });
    } else {
      const layer = layerOfTree(found);
      if (layer.parent !== null) addLineage(layer.parent);
      const digest = layerDigest(layer);
      layers.set(digest, { digest, layer });
      items.push({ type: "layer", name: null, layer: digest, isPinned: false });
    }
  }
  return { layers: [...layers.values()], items };
}

/** A state that whoever receives has, with what it was made from. */
export async function findBase(context: Context, ref: string): Promise<SentBase> {
  const found = await settledRef(context, ref);
  const trees = new Set<Digest>();
  for (const { tree } of ancestry(context.store, found)) trees.add(tree);
  return { ref, trees: [...trees] };
}

/** Containers bring their snapshots. */
async function allNames({ store }: Context): Promise<string[]> {
  const refs = await store.refs.list((_name, error) => {
    throw error;
  });
  return refs.flatMap(([name]) => (snapshotOwner(store, name) === undefined ? [name] : []));
}

/** What is a snapshot of `web` by the name `snap0` is layer `web-snap0` where there is no `web`. */
function nameForLayer(name: string): string | null {
  const parsed = parseSnapshotName(name);
  const own = parsed === undefined ? name : `${parsed.container}-${parsed.snapshot}`;
  return isRefName(own) ? own : null;
}

/** The same state is to give the same layer whenever it is sent. */
const NO_TIME = "1970-01-01T00:00:00.000000000Z";

function layerOfTree({ tree, past }: Extract<Resolved, { kind: "tree" }>): Layer {
  if (past === undefined) return { tree, parent: null, created: NO_TIME, message: "", source: `tree ${tree}` };
  const { name, ref } = past;
  return { tree, parent: ref.base, created: ref.captured ?? ref.created, message: "", source: `container ${name}` };
}
