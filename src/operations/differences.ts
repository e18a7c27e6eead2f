import { StoreError } from "../errors.ts";
import type { Change } from "../model/change.ts";
import { byteStringOf, comparePaths, isEntryPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { diffTrees, sameSelf } from "../trees/diff.ts";
import { findRenames } from "../trees/renames.ts";
import type { Difference, RenameOptions } from "../trees/renames.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import { isIgnored } from "./ignored-paths.ts";
import type { PathSet } from "./ignored-paths.ts";

/** Differences that may be left out: see docs/history.md for which paths `logs` and `cache` are. */
export type Ignorable = "mtime" | PathSet;

export interface DiffOptions {
  /** What is at or below these paths alone. Default: all. */
  readonly paths?: readonly string[];
  readonly ignore?: readonly Ignorable[];
  /** Whether what was renamed is found, or shown as removed and added. Default: true. */
  readonly renames?: boolean;
}

/**
 * What differs between two trees, in canonical order. Costs what differs, not what is there.
 *
 * @param find of renames, unless they are not wanted. Default: all
 * @throws {StoreError} USAGE for a path that is none
 */
export function differencesOf(
  trees: TreeStore,
  before: Tree | undefined,
  after: Tree,
  options: DiffOptions = {},
  find: RenameOptions["find"] = "all",
): Difference[] {
  const { paths = [], ignore = [], renames = true } = options;
  const all = diffTrees(trees, before, after);
  const within = paths.length === 0 ? all : restricted(trees, before, all, chosenPaths(paths));
  const sets = ignore.filter((set) => set !== "mtime");
  const kept = ignore.length === 0 ? within : notIgnored(trees, before, within, sets, ignore.includes("mtime"));
  return findRenames(trees, [before, after], kept, { find: renames ? find : "none" });
}

/** In canonical order, none below another. */
function chosenPaths(texts: readonly string[]): TreePath[] {
  const paths = texts.map((text) => {
    const path = byteStringOf(text.replace(/^\/+|\/+$/g, ""));
    if (path === ROOT || isEntryPath(path)) return path;
    throw new StoreError("USAGE", { reason: `"${text}" is no path in a tree`, hint: "write it from the root: /etc" });
  });
  const sorted = [...new Set(paths)].sort(comparePaths);
  return sorted.filter((path) => !sorted.some((other) => other !== path && isWithin(path, other)));
}

/** A directory that is gone with one of `paths` in it stands for that. */
function* restricted(
  trees: TreeStore,
  before: Tree | undefined,
  changes: Iterable<Change>,
  paths: readonly TreePath[],
): Generator<Change> {
  for (const change of changes) {
    if (paths.some((path) => isWithin(change.path, path))) yield change;
    else if (before !== undefined && change.before?.type === "directory" && change.after?.type !== "directory")
      for (const path of paths.filter((wanted) => isWithin(wanted, change.path))) {
        const node = trees.lookup(before, path);
        if (node !== undefined) yield { path, before: node, after: undefined };
      }
  }
}

function* notIgnored(
  trees: TreeStore,
  before: Tree | undefined,
  changes: Iterable<Change>,
  sets: readonly PathSet[],
  ignoreTimes: boolean,
): Generator<Change> {
  for (const change of changes) {
    const ignored = isIgnored(change.path, sets);
    if (ignored === "below") continue;
    // What comes and goes in a directory of caches changes its time.
    if ((ignoreTimes || ignored === "itself") && differsInTimeAlone(trees, before, change)) continue;
    yield change;
  }
}

function differsInTimeAlone(trees: TreeStore, before: Tree | undefined, change: Change): boolean {
  const { before: a, after: b, path, link } = change;
  if (a === undefined || b === undefined || sameSelf(a, b)) return false;
  if (!sameSelf({ ...a, mtimeSec: b.mtimeSec, mtimeNsec: b.mtimeNsec }, b)) return false;
  return link === undefined || (before !== undefined && sameNames(trees.linkMap(before).get(path), link));
}

export function sameNames(a: readonly TreePath[] | undefined, b: readonly TreePath[] | undefined): boolean {
  return a?.length === b?.length && (a === undefined || a.every((path, i) => path === b?.[i]));
}

function isWithin(path: TreePath, directory: TreePath): boolean {
  return directory === ROOT || path === directory || path.startsWith(`${directory}/`);
}
