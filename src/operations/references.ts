import { closest, distance } from "fastest-levenshtein";
import type { ContainerRef, KeptFile, LayerRef, Ref } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import { findPast, parsePastName } from "./past.ts";
import type { PastName } from "./past.ts";
import { lxcContainers } from "./foreign.ts";
import { noSnapshot, parseSnapshotName, snapshotOwner } from "./snapshots.ts";

/** A name as layers and containers have it; in one name space. */
export function isRefName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name);
}

/** @throws {StoreError} USAGE */
export function requireName(name: string): void {
  if (isRefName(name)) return;
  throw new StoreError("USAGE", {
    reason: `"${name}" cannot be a name`,
    hint: "use up to 64 letters, digits and . _ - with a letter or digit first",
  });
}

/** @throws {StoreError} EXISTS if the name stands for something */
export function requireFree(store: Store, name: string, hint = "choose another name"): void {
  requireName(name);
  const ref = store.refs.find(name);
  if (ref === undefined) return;
  throw new StoreError("EXISTS", { what: `"${name}" exists (${describeRef(store, ref)})`, hint });
}

/** @throws {StoreError} EXISTS unless the name is free or a layer that may be replaced */
export function replaceable(store: Store, name: string, replace: boolean): Ref | null {
  requireName(name);
  const ref = store.refs.find(name) ?? null;
  if (ref?.type !== "layer") requireFree(store, name);
  else if (!replace) requireFree(store, name, "choose another name, or --replace");
  return ref;
}

export async function requireContainer(store: Store, name: string): Promise<ContainerRef> {
  const ref = await requireRef(store, name);
  if (ref.type === "container") return ref;
  throw new StoreError("USAGE", { reason: `"${name}" is a layer, not a container`, hint: `delta0 clone ${name} NEW` });
}

export async function requireRef(store: Store, name: string): Promise<Ref> {
  const ref = store.refs.find(name);
  if (ref === undefined) throw await unknownName(store, name);
  return ref;
}

/** What a REF names: a layer or a container, or a bare tree, which may be what a container was. */
export type Resolved =
  | { readonly kind: "layer"; readonly name: string; readonly ref: LayerRef; readonly tree: Digest }
  | { readonly kind: "container"; readonly name: string; readonly ref: ContainerRef; readonly tree: Digest }
  | { readonly kind: "tree"; readonly tree: Digest; readonly past?: PastContainer };

/** A container as it was, by the name that it had. */
export interface PastContainer {
  readonly name: string;
  readonly ref: ContainerRef;
  /** Of its LXC directory, if that was removed, or written anew, since. */
  readonly files: readonly KeptFile[];
}

/**
 * Resolves a name, `NAME@{N}`, or a tree digest's prefix of at least 8 hex digits. Names win; `blake3:` forces a digest.
 *
 * @throws {StoreError} NOT_FOUND, with the name that was perhaps meant; USAGE if several trees have the prefix
 */
export async function resolveRef(store: Store, text: string): Promise<Resolved> {
  const forced = text.startsWith("blake3:");
  const ref = forced ? undefined : store.refs.find(text);
  if (ref?.type === "layer") return { kind: "layer", name: text, ref, tree: store.refs.layer(ref.layer).tree };
  if (ref !== undefined) return { kind: "container", name: text, ref, tree: ref.tree };
  const past = forced ? undefined : parsePastName(text);
  if (past !== undefined) return await resolvePast(store, text, past);
  const prefix = forced ? text.slice("blake3:".length) : text;
  if (!/^[0-9a-f]{8,64}$/.test(prefix)) throw await unknownName(store, text);
  const trees = await store.treesByPrefix(prefix);
  const [tree, other] = trees;
  if (tree === undefined) throw await unknownName(store, text);
  if (other !== undefined)
    throw new StoreError("USAGE", { reason: `several trees begin with ${prefix}: ${trees.join(", ")}` });
  return { kind: "tree", tree };
}

async function resolvePast(store: Store, text: string, past: PastName): Promise<Resolved> {
  if (past.steps === 0) return await resolveRef(store, past.name);
  const found = await findPast(store, past);
  if (found === undefined) throw await unknownName(store, past.name);
  const { name, ref, files } = found;
  if (ref.type === "layer") return { kind: "layer", name: text, ref, tree: store.refs.layer(ref.layer).tree };
  return { kind: "tree", tree: ref.tree, past: { name, ref, files } };
}

/** What the store says of a record that it can no more read, or that was lost. */
export function isDamage(error: unknown): error is StoreError {
  return error instanceof StoreError && /^(CHUNK|NODE|FORMAT)_/.test((error as StoreError).code);
}

function describeRef(store: Store, ref: Ref): string {
  const { created } = ref.type === "layer" ? store.refs.layer(ref.layer) : ref;
  return `${ref.type}, ${age(created)} old`;
}

/** "5 s", "2 h": the largest unit that gives at least one. */
function age(created: string): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(created)) / 1000);
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
  ] as const;
  const [unit, length] = units.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}

async function unknownName(store: Store, name: string): Promise<StoreError> {
  const parsed = parseSnapshotName(name);
  if (parsed !== undefined && snapshotOwner(store, name) !== undefined) return await noSnapshot(store, parsed);
  const refs: [string, Ref][] = [];
  for (const row of await store.refs.list(() => undefined)) refs.push([...row]);
  for (const place of lxcContainers(store, refs)) {
    if (place.name !== name) continue;
    return new StoreError("NOT_FOUND", {
      what: `no layer or container "${name}": the store does not know ${place.lxcPath}/${name}`,
      hint: `take it in: delta0 lxc adopt ${name} -P ${place.lxcPath}; or remove it: lxc-destroy -P ${place.lxcPath} -n ${name}`,
    });
  }
  const names = refs.map(([known]) => known);
  const near = names.length > 0 ? closest(name, names) : undefined;
  const meant = near !== undefined && distance(name, near) <= Math.max(2, name.length / 3);
  return new StoreError("NOT_FOUND", {
    what: `no layer or container "${name}"`,
    ...(meant ? { hint: `did you mean "${near}"?` } : {}),
  });
}
