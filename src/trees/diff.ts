import type { Change } from "../model/change.ts";
import { joinPath, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { DirectoryNode, Listing, Node } from "../model/node.ts";
import { ancestors } from "./tree-store.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

/**
 * All differences from `before` to `after` in canonical order; a whole tree if `before` is undefined.
 *
 * Subtrees and pages of equal digest are skipped, so the cost is that of the changes. If a hard-link group changed in
 * its members, each member left is a change, even where its own node is the same: its nlink is not.
 * A removed directory is one change.
 */
export function* diffTrees(store: TreeStore, before: Tree | undefined, after: Tree): Generator<Change> {
  const links = store.linkMap(after);
  const relinked = relinkedPaths(store, before, after);
  const descend = new Set<TreePath>();
  for (const path of relinked) for (const directory of ancestors(path)) descend.add(directory);

  const change = (path: TreePath, a: Node | undefined, b: Node | undefined): Change => ({
    path,
    before: a,
    after: b,
    link: b?.linked ? links.get(path) : undefined,
  });

  if (before === undefined || !sameSelf(before.root, after.root)) yield change(ROOT, before?.root, after.root);
  const stack = [{ path: ROOT, pairs: pairs(store, before?.root, after.root, descend.has(ROOT)) }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const step = frame.pairs.next();
    if (step.done) {
      stack.pop();
      continue;
    }
    const [name, a, b] = step.value;
    const path = joinPath(frame.path, name);
    if (a === undefined || b === undefined || !sameSelf(a, b) || relinked.has(path)) yield change(path, a, b);
    if (b?.type !== "directory") continue;
    const below = a?.type === "directory" ? a : undefined;
    const whole = descend.has(path);
    if (whole || below?.listing.root !== b.listing.root) stack.push({ path, pairs: pairs(store, below, b, whole) });
  }
}

/** True if two nodes show the same themselves; what directories hold is left aside. */
export function sameSelf(a: Node, b: Node): boolean {
  return a === b || (sameMetadata(a, b) && sameData(a, b));
}

function sameMetadata(a: Node, b: Node): boolean {
  return (
    a.linked === b.linked &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtimeSec === b.mtimeSec &&
    a.mtimeNsec === b.mtimeNsec &&
    a.xattrs.length === b.xattrs.length &&
    a.xattrs.every((x, i) => x.name === b.xattrs[i]?.name && Buffer.compare(x.value, b.xattrs[i].value) === 0)
  );
}

function sameData(a: Node, b: Node): boolean {
  if (a.type === "file" && b.type === "file")
    return (
      a.content.root === b.content.root && a.content.size === b.content.size && a.content.sparse === b.content.sparse
    );
  if (a.type === "symlink" && b.type === "symlink") return a.target === b.target;
  if ("major" in a && "major" in b) return a.type === b.type && a.major === b.major && a.minor === b.minor;
  return a.type === b.type;
}

type Pair = readonly [name: Name, before: Node | undefined, after: Node | undefined];

/** Merges two listings by name. `whole`: give also what is the same on both sides. */
function* pairs(
  store: TreeStore,
  before: DirectoryNode | undefined,
  after: DirectoryNode,
  whole: boolean,
): Generator<Pair> {
  const same = before === undefined || whole ? NO_PAGES : sharedLeaves(store, before.listing, after.listing);
  const as = before === undefined ? [].values() : rows(store, before.listing, same);
  const bs = rows(store, after.listing, same);
  let a = as.next();
  let b = bs.next();
  while (!a.done || !b.done) {
    if (b.done || (!a.done && a.value[0] < b.value[0])) {
      if (a.done) return;
      yield [a.value[0], a.value[1], undefined];
      a = as.next();
    } else if (a.done || b.value[0] < a.value[0]) {
      yield [b.value[0], undefined, b.value[1]];
      b = bs.next();
    } else {
      yield [b.value[0], a.value[1], b.value[1]];
      a = as.next();
      b = bs.next();
    }
  }
}

const NO_PAGES: ReadonlySet<string> = new Set();

function sharedLeaves(store: TreeStore, a: Listing, b: Listing): ReadonlySet<string> {
  const inA = new Set<string>();
  for (const leaf of store.leaves(a.root)) inA.add(leaf.page);
  const shared = new Set<string>();
  for (const leaf of store.leaves(b.root)) if (inA.has(leaf.page)) shared.add(leaf.page);
  return shared;
}

function* rows(store: TreeStore, listing: Listing, skip: ReadonlySet<string>): Generator<readonly [Name, Node]> {
  for (const leaf of store.leaves(listing.root)) if (!skip.has(leaf.page)) yield* store.leafRows(leaf.page);
}

/** The paths of `after` whose hard-link group `before` has not just so. */
function relinkedPaths(store: TreeStore, before: Tree | undefined, after: Tree): ReadonlySet<TreePath> {
  const relinked = new Set<TreePath>();
  if (before === undefined || before.links === after.links) return relinked;
  const old = store.linkMap(before);
  for (const group of store.linkGroups(after.links)) {
    const was = old.get(group[0] ?? "");
    if (was?.length === group.length && group.every((path, i) => path === was[i])) continue;
    for (const path of group) relinked.add(path);
  }
  return relinked;
}
