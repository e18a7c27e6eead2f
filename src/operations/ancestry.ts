import type { Ref } from "../containers/records.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import type { Resolved } from "./references.ts";

/** A state on the way from a ref down to its first layer. */
export interface Ancestor {
  readonly type: "container" | "layer" | "tree";
  readonly tree: Digest;
  /** Of the layer's record. */
  readonly layer: Digest | null;
  /** Of a container the time of its last capture, or that it was made; null if it is not known. */
  readonly created: string | null;
  readonly message: string;
  readonly source: string;
}

/** An ancestor for people and programs. */
export interface LineageState {
  readonly type: Ancestor["type"];
  /** Those that the state has now; none for a layer whose name went elsewhere. */
  readonly names: readonly string[];
  readonly digest: Digest;
  /** When the layer was made, or the container captured; null if it is not known. */
  readonly time: string | null;
  readonly message: string;
  readonly source: string;
}

/** @param found the ref whose ancestor it is @param ofLayer as `namesOf` gives it */
export function describeAncestor(
  { type, tree, layer, created, message, source }: Ancestor,
  found: Resolved,
  ofLayer: ReadonlyMap<Digest, readonly string[]>,
): LineageState {
  const own = found.kind === "container" ? [found.name] : [];
  const names = layer === null ? own : (ofLayer.get(layer) ?? []);
  return { type, names, digest: tree, time: created, message, source };
}

/** A ref's own state, and those that it stands on, the newest first. Each costs a record. */
export function* ancestry({ refs }: Store, found: Resolved): Generator<Ancestor> {
  const none = { layer: null, message: "", source: "" } as const;
  let next: Digest | null;
  if (found.kind === "layer") next = found.ref.layer;
  else {
    const ref = found.kind === "container" ? found.ref : found.past?.ref;
    const created = ref === undefined ? null : (ref.captured ?? ref.created);
    yield { ...none, type: found.kind, tree: found.tree, created };
    next = ref?.base ?? null;
  }
  while (next !== null) {
    const { tree, parent, created, message, source } = refs.layer(next);
    yield { type: "layer", tree, layer: next, created, message, source };
    next = parent;
  }
}

/** All names, and those of each layer, snapshots' after others. What is damaged is left out, with a warning. */
export async function namesOf(context: Context): Promise<{
  readonly refs: readonly (readonly [name: string, ref: Ref])[];
  readonly ofLayer: ReadonlyMap<Digest, readonly string[]>;
}> {
  const refs: [name: string, ref: Ref][] = [];
  for (const row of await context.store.refs.list((name, error) =>
    warn(context, `${name} is left out: ${error.message}`),
  ))
    refs.push([...row]);
  const ofLayer = new Map<Digest, string[]>();
  for (const isSnapshot of [false, true])
    for (const [name, ref] of refs) {
      if (ref.type !== "layer" || name.includes("@") !== isSnapshot) continue;
      const names = ofLayer.get(ref.layer);
      if (names === undefined) ofLayer.set(ref.layer, [name]);
      else names.push(name);
    }
  return { refs, ofLayer };
}
