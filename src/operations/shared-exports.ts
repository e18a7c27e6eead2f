import type { Ref } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { exportKey, partsOfKey } from "../exports/export-key.ts";
import type { ExportKey } from "../exports/export-key.ts";
import type { Digest } from "../model/digest.ts";
import { formatIdMap } from "../model/id-map.ts";
import { displayName } from "../model/name.ts";
import { mountedOverlays } from "../sys/mounts.ts";
import type { Context } from "./context.ts";
import { foreignContainers } from "./foreign.ts";
import { resolveRef } from "./references.ts";

export interface ExportItem {
  readonly digest: Digest;
  /** Whose ids it has, as `parseIdMap` takes them; empty for none, null if it cannot be told. */
  readonly idMap: readonly string[] | null;
  readonly path: string;
  readonly entries: number;
  /** Containers whose configs name it. */
  readonly users: readonly string[];
  /** An overlay stands on it now. */
  readonly mounted: boolean;
  /** What somebody changed in it; null if it cannot be told, since its manifest is lost. */
  readonly changed: readonly string[] | null;
}

/** The shared exports, each walked to see whether it is as it was made. */
export async function listExports(context: Context): Promise<ExportItem[]> {
  const { store } = context;
  const users = await usersOfExports(context);
  const overlays = mountedOverlays();
  return Array.from(store.exports.list(), ({ key, tree, idMap, entries, changed }) => ({
    digest: tree,
    idMap: idMap === null ? [] : idMap === undefined ? null : formatIdMap(idMap),
    path: store.exports.path(key),
    entries,
    users: users.get(key) ?? [],
    mounted: overlays.hasLower(store.exports.path(key)),
    changed: changed?.map(displayName) ?? null,
  }));
}

export interface UnexportParams {
  /** Those of these trees. Default: each that nothing uses. */
  readonly refs?: readonly string[];
}

/** Removes shared exports. One that a container's config names is kept: the container could not start. */
export async function unexport(
  context: Context,
  params: UnexportParams,
): Promise<{ readonly removed: readonly Digest[] }> {
  const { store } = context;
  const users = await usersOfExports(context);
  const overlays = mountedOverlays();
  const present = store.exports.keys();
  const isUsed = (key: ExportKey): boolean => users.has(key) || overlays.hasLower(store.exports.path(key));
  const unwanted = new Set(params.refs === undefined ? present.filter((key) => !isUsed(key)) : []);
  for (const text of params.refs ?? []) {
    const { tree } = await resolveRef(store, text);
    const keys = present.filter((key) => partsOfKey(key).tree === tree);
    if (keys.length === 0) throw new StoreError("NOT_FOUND", { what: `${text} is not exported` });
    const used = keys.find(isUsed);
    if (used !== undefined)
      throw new StoreError("REFUSED", {
        reason: `the export of ${text} is in use by ${(users.get(used) ?? ["a mount"]).join(", ")}`,
        hint: "remove these containers first",
      });
    for (const key of keys) unwanted.add(key);
  }
  for (const key of unwanted) store.exports.remove(key);
  return { removed: [...new Set(Array.from(unwanted, (key) => partsOfKey(key).tree))] };
}

/** By the export that they stand on: the store's containers with LXC directories, and others that stand on our exports. */
async function usersOfExports(context: Context): Promise<Map<ExportKey, string[]>> {
  const { store } = context;
  const users = new Map<ExportKey, string[]>();
  const add = (key: ExportKey, name: string): void => {
    const names = users.get(key);
    if (names === undefined) users.set(key, [name]);
    else names.push(name);
  };
  const refs: [name: string, ref: Ref][] = [];
  for await (const [name, ref] of store.refs.list((_name, error) => raise(error))) {
    refs.push([name, ref]);
    if (ref.type === "container" && ref.lxcPath !== null) add(exportKey(ref.lower, ref.idMap), name);
  }
  for (const { name, lowers } of foreignContainers(store, refs)) for (const lower of new Set(lowers)) add(lower, name);
  return users;
}

/** A container that cannot be read may use any export: none may go. */
function raise(error: StoreError): never {
  throw error;
}
