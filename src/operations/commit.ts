import type { Layer, Ref } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import type { Digest } from "../model/digest.ts";
import { changeContainer } from "./change-container.ts";
import type { Context } from "./context.ts";
import { replaceable, requireContainer } from "./references.ts";
import { refuseRunning } from "./container-state.ts";
import { settle } from "./settle.ts";

export interface CommitParams {
  readonly name: string;
  readonly layer: string;
  readonly message?: string;
  /** Moves the layer's name if it stands for another. */
  readonly replace?: boolean;
}

export interface Committed {
  readonly name: string;
  readonly layer: string;
  readonly digest: Digest;
  readonly parentDigest: Digest | null;
  readonly entries: number;
  readonly bytes: number;
}

/** Makes a layer of a container's state; the container goes on above it, with an empty upper. */
export async function commit(context: Context, params: CommitParams): Promise<Committed> {
  using _operation = context.store.begin();
  const { store } = context;
  const { name, message = "" } = params;
  const container = await requireContainer(store, name);
  const existing = replaceable(store, params.layer, params.replace ?? false);
  const before = await settle(context, name, container);
  refuseRunning(name, before.state, before.ref.lxcPath);
  const { tree, base } = before.ref;
  const layer: Layer = { tree, parent: base, created: timestamp(), message, source: `container ${name}` };
  const after: Ref = { type: "layer", layer: layerDigest(layer) };
  await changeContainer(context, {
    name,
    before,
    after: { ...before.ref, base: after.layer, lower: tree },
    others: [{ name: params.layer, before: existing, after }],
    layers: [layer],
  });
  const { entries, bytes } = store.trees.tree(tree).root.listing;
  const parentDigest = base === null ? null : store.refs.layer(base).tree;
  return { name, layer: params.layer, digest: tree, parentDigest, entries, bytes };
}
