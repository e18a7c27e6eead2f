import { StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import type { ExportKey } from "../exports/export-key.ts";
import type { Digest } from "../model/digest.ts";
import { formatIdMap } from "../model/id-map.ts";
import { displayName } from "../model/name.ts";
import type { Context } from "./context.ts";
import { ExportUsers } from "./export-users.ts";
import { resolveRef } from "./references.ts";

export interface ExportItem {
  /** The tree that it shows, together with what it lies over. */
  readonly digest: Digest;
  /** The first digits of the tree that it lies over, and shows the changes of; null for a whole one. */
  readonly over: string | null;
  /** Whose ids it has, as `parseIdMap` takes them; empty for none, null if it cannot be told. */
  readonly idMap: readonly string[] | null;
  readonly path: string;
  readonly entries: number;
  /** What its files and directories take; null if it cannot be told. Blocks that it shares with others are counted in each. */
  readonly diskBytes: number | null;
  /** Containers whose configs name it. */
  readonly users: readonly string[];
  /** An overlay stands on it now. */
  readonly mounted: boolean;
  /** What somebody changed in it; null if it cannot be told, since its manifest is lost. */
  readonly changed: readonly string[] | null;
}

export interface ListExportsParams {
  /** Those of these trees. Default: all. */
  readonly refs?: readonly string[] | undefined;
}

/** The shared exports, each walked to see whether it is as it was made. */
export async function listExports(context: Context, params: ListExportsParams = {}): Promise<ExportItem[]> {
  const { exports } = context.store;
  const users = await ExportUsers.find(context);
  const keys = params.refs === undefined ? exports.keys() : await keysOf(context, params.refs);
  return keys.map((key) => {
    const { entries, header, changed } = exports.check(key);
    const { tree, over, map } = partsOfKey(key);
    const idMap = map === undefined ? [] : header?.idMap ? formatIdMap(header.idMap) : null;
    return {
      digest: tree,
      over: over ?? null,
      idMap,
      path: exports.path(key),
      entries,
      diskBytes: header?.diskBytes ?? null,
      users: users.of(key),
      mounted: users.isMounted(key),
      changed: changed?.map(displayName) ?? null,
    };
  });
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
  const { exports } = context.store;
  const users = await ExportUsers.find(context);
  const wanted = params.refs === undefined ? undefined : await keysOf(context, params.refs);
  for (const key of wanted ?? []) {
    if (!users.isUsed(key)) continue;
    const by = users.of(key);
    throw new StoreError("REFUSED", {
      reason: `the export of ${partsOfKey(key).tree} is in use by ${by.length === 0 ? "a mount" : by.join(", ")}`,
      hint: "remove these containers first",
    });
  }
  const unwanted = wanted ?? exports.keys().filter((key) => !users.isUsed(key));
  for (const key of unwanted) exports.remove(key);
  return { removed: treesOf(unwanted) };
}

export interface ExportsRepaired {
  readonly repaired: readonly Digest[];
}

/**
 * Makes shared exports as they were that somebody changed, by writing what was changed of them.
 *
 * @throws {StoreError} REFUSED while an overlay stands on one, or if it cannot be told which ids one had
 */
export async function repairExports(context: Context, params: ListExportsParams = {}): Promise<ExportsRepaired> {
  const { store, signal, onProgress } = context;
  const { exports } = store;
  const users = await ExportUsers.find(context);
  const keys = params.refs === undefined ? exports.keys() : await keysOf(context, params.refs);
  const changed = keys.map((key) => exports.check(key)).filter(({ changed }) => changed?.length !== 0);
  const repairs: Parameters<typeof exports.repair>[0][] = [];
  for (const { key, header } of changed) {
    const { tree, over, map } = partsOfKey(key);
    if (users.isMounted(key))
      throw new StoreError("REFUSED", {
        reason: `the export of ${tree} was changed, and containers run on it`,
        hint: `stop them first: ${users.of(key).join(", ")}`,
      });
    const below = header?.over ?? (over === undefined ? null : (await store.treesByPrefix(over))[0]);
    if (below === undefined || (header === undefined && map !== undefined))
      throw new StoreError("REFUSED", {
        reason: `the export of ${tree} has lost its manifest, which said whose ids it has`,
        hint: "remove the containers on it, and then the export: delta0 unexport",
      });
    repairs.push({ key, over: below, idMap: header?.idMap ?? null });
  }
  for (const repair of repairs)
    await exports.repair(repair, {
      signal,
      onProgress: (progress) => onProgress?.({ phase: "repairing", ...progress }),
    });
  return { repaired: treesOf(repairs.map(({ key }) => key)) };
}

/** @throws {StoreError} NOT_FOUND if there is none of one of these trees */
async function keysOf({ store }: Context, refs: readonly string[]): Promise<ExportKey[]> {
  const present = store.exports.keys();
  const found = new Set<ExportKey>();
  for (const text of refs) {
    const { tree } = await resolveRef(store, text);
    const keys = present.filter((key) => partsOfKey(key).tree === tree);
    if (keys.length === 0) throw new StoreError("NOT_FOUND", { what: `${text} is not exported` });
    for (const key of keys) found.add(key);
  }
  return [...found];
}

function treesOf(keys: readonly ExportKey[]): Digest[] {
  return [...new Set(keys.map((key) => partsOfKey(key).tree))];
}
