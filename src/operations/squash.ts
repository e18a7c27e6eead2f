import type { Layer, LayerRef, Ref } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { reachedBytes } from "./du.ts";
import { requireRef, resolveRef } from "./references.ts";
import { parseSnapshotName } from "./snapshots.ts";

export interface SquashParams {
  /** A layer's. */
  readonly name: string;
  /** One of the layers that it was made from: what comes after that becomes one layer. Default: all becomes one. */
  readonly onto?: string;
  /** Default: the layer's own. */
  readonly message?: string;
  readonly dryRun?: boolean;
}

export interface Squashed {
  readonly name: string;
  readonly digest: Digest;
  readonly parentDigest: Digest | null;
  /** How many layers became one; 1: it is one already, and nothing was changed. */
  readonly layers: number;
  /** Stored bytes of the layer with all that it was made from, before and after. */
  readonly beforeBytes: number;
  readonly afterBytes: number;
  /** Names that stand on what was squashed, and keep it. So does the history, for its grace. */
  readonly keptBy: readonly string[];
  readonly dryRun: boolean;
}

/**
 * Makes one layer of several: it holds what the last did, and was made from what the first was made from. The name moves to it; whoever
 * stands on one of those in between goes on doing so.
 *
 * @throws {StoreError} NOT_FOUND; USAGE for what is no layer, or was not made from that
 */
export async function squash(context: Context, params: SquashParams): Promise<Squashed> {
  using _operation = context.store.begin();
  const { store } = context;
  const { name, onto, dryRun = false } = params;
  const before = await requireLayerRef(store, name);
  const last = store.refs.layer(before.layer);
  const parent = onto === undefined ? null : await ancestor(store, name, last, onto);
  const squashed = chain(store, before.layer, parent);
  const message = params.message ?? last.message;
  const source = `${squashed.length} layers of ${name}`;
  const layer: Layer = { tree: last.tree, parent, created: timestamp(), message, source };
  const isOne = squashed.length === 1;
  const after: LayerRef = isOne ? before : { ...before, layer: layerDigest(layer) };
  const result: Squashed = {
    name,
    digest: last.tree,
    parentDigest: parent === null ? null : store.refs.layer(parent).tree,
    layers: squashed.length,
    beforeBytes: reachedBytes(context, [before]),
    afterBytes: reachedBytes(context, [after], new Map([[layerDigest(layer), layer]])),
    keptBy: isOne ? [] : await namesThatReach(store, new Set(squashed), name),
    dryRun,
  };
  if (!isOne && !dryRun) await store.change(context, [{ name, before, after }], [layer]);
  return result;
}

async function requireLayerRef(store: Store, name: string): Promise<LayerRef> {
  const ref = await requireRef(store, name);
  const isSnapshot = parseSnapshotName(name) !== undefined;
  if (ref.type === "layer" && !isSnapshot) return ref;
  throw new StoreError("USAGE", {
    reason: `"${name}" is a ${isSnapshot ? "snapshot" : "container"}, not a layer`,
    hint: isSnapshot ? `give it a name: delta0 tag ${name} LAYER` : `make one of it: delta0 commit ${name} LAYER`,
  });
}

/** The layer among those that `layer` was made from; by what it holds, if it is not just that one. */
async function ancestor(store: Store, name: string, { parent }: Layer, onto: string): Promise<Digest> {
  const found = await resolveRef(store, onto);
  const ancestors = parent === null ? [] : chain(store, parent, null);
  const exact = found.kind === "layer" ? ancestors.find((digest) => digest === found.ref.layer) : undefined;
  const digest = exact ?? ancestors.find((digest) => store.refs.layer(digest).tree === found.tree);
  if (digest !== undefined && found.kind !== "container") return digest;
  throw new StoreError("USAGE", { reason: `"${name}" was not made from "${onto}"`, hint: `see delta0 log ${name}` });
}

/** From `first` to its last ancestor before `end`. */
function chain(store: Store, first: Digest, end: Digest | null): Digest[] {
  const digests: Digest[] = [];
  for (let digest: Digest | null = first; digest !== null && digest !== end; digest = store.refs.layer(digest).parent)
    digests.push(digest);
  return digests;
}

async function namesThatReach({ refs }: Store, layers: ReadonlySet<Digest>, besides: string): Promise<string[]> {
  const known = new Map<Digest, boolean>();
  const reaches = (ref: Ref): boolean => {
    const walked: Digest[] = [];
    let found = false;
    for (
      let digest = ref.type === "layer" ? ref.layer : ref.base;
      digest !== null;
      digest = refs.layer(digest).parent
    ) {
      found = layers.has(digest) || known.get(digest) === true;
      if (found || known.has(digest)) break;
      walked.push(digest);
    }
    for (const digest of walked) known.set(digest, found);
    return found;
  };
  const names: string[] = [];
  for (const [name, ref] of await refs.list(raise)) if (name !== besides && reaches(ref)) names.push(name);
  return names;
}

function raise(_name: string, error: StoreError): never {
  throw error;
}
