import { StoreError } from "../errors.ts";
import type { Change, LinkGroup } from "../model/change.ts";
import { displayName, joinPath, ROOT, splitPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { DirectoryNode, Listing, Node, Xattr } from "../model/node.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

export interface DiffOptions {
  /**
   * Give each directory above a change too, before what is below it. One that did not itself change has the same object
   * as `before` and `after`. Default: false.
   */
  readonly parents?: boolean;
}

/**
 * All differences from `before` to `after` in canonical order; a whole tree if `before` is undefined.
 *
 * Subtrees and pages of equal digest are skipped, so the cost is that of the changes. If a hard-link group changed in
 * its members, each member left is a change, even where its own node is the same: its nlink is not.
 * A removed directory is one change.
 *
 * @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID, FORMAT_NEWER
 */
export function* diffTrees(
  store: TreeStore,
  before: Tree | undefined,
  after: Tree,
  { parents = false }: DiffOptions = {},
): Generator<Change> {
  const relinked = relinkedNames(store, before, after);
  let groups: ReadonlyMap<TreePath, LinkGroup> | undefined;
  const groupOf = (path: TreePath): LinkGroup => {
    const group = (groups ??= store.linkMap(after)).get(path);
    if (group !== undefined) return group;
    const reason = `"${displayName(path)}" is linked, but in no group of the link table`;
    throw new StoreError("FORMAT_INVALID", { record: `tree ${after.digest}`, reason });
  };
  const change = (path: TreePath, a: Node | undefined, b: Node | undefined): Change => ({
    path,
    before: a,
    after: b,
    link: b?.linked ? groupOf(path) : undefined,
  });

  const rootChanged = before === undefined || !sameSelf(before.root, after.root);
  if (rootChanged) yield change(ROOT, before?.root, after.root);
  const stack = [frameOf(store, ROOT, before?.root, after.root, relinked)];
  /** Begins with the path of each directory of the stack: a string for each would be gigabytes where they are deep. */
  let current: TreePath = ROOT;
  /** How many directories of the stack, from the root on, were given. */
  let given = rootChanged ? 1 : 0;
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const step = frame.pairs.next();
    if (step.done) {
      stack.pop();
      given = Math.min(given, stack.length);
      continue;
    }
    const [name, a, b] = step.value;
    const path = joinPath(current.slice(0, frame.pathLength), name);
    const links = frame.relinked?.below.get(name);
    const changed = a === undefined || b === undefined || !sameSelf(a, b) || links?.itself === true;
    if (changed) {
      for (; parents && given < stack.length; given++) {
        const { pathLength, directory } = stack[given]!;
        yield change(current.slice(0, pathLength), directory, directory);
      }
      yield change(path, a, b);
    }
    if (b?.type !== "directory") continue;
    const below = a?.type === "directory" ? a : undefined;
    if (links === undefined && below?.listing.root === b.listing.root) continue;
    current = path;
    stack.push(frameOf(store, path, below, b, links));
    if (changed) given = stack.length;
  }
}

/** A directory of `after` that is being compared. */
interface Frame {
  readonly pathLength: number;
  readonly directory: DirectoryNode;
  readonly relinked: Relinked | undefined;
  readonly pairs: Generator<Pair>;
}

function frameOf(
  store: TreeStore,
  path: TreePath,
  before: DirectoryNode | undefined,
  directory: DirectoryNode,
  relinked: Relinked | undefined,
): Frame {
  return {
    pathLength: path.length,
    directory,
    relinked,
    pairs: pairs(store, before, directory, relinked !== undefined),
  };
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
    sameXattrs(a.xattrs, b.xattrs)
  );
}

export function sameXattrs(a: readonly Xattr[], b: readonly Xattr[]): boolean {
  return a.length === b.length && a.every((x, i) => x.name === b[i]?.name && Buffer.compare(x.value, b[i].value) === 0);
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

/** Merges two listings by name. `whole`: give also all that is the same on both sides, and not just some of it. */
export function* pairs(
  store: TreeStore,
  before: DirectoryNode | undefined,
  after: DirectoryNode,
  whole = false,
): Generator<Pair> {
  const same = before === undefined || whole ? NO_PAGES : sharedLeaves(store, before.listing, after.listing);
  const as = before === undefined ? [].values() : rows(store, before.listing, same);
  const bs = before === undefined ? store.entriesOnce(after.listing) : rows(store, after.listing, same);
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
  for (const leaf of store.leaves(a)) inA.add(leaf.page);
  const shared = new Set<string>();
  for (const leaf of store.leaves(b)) if (inA.has(leaf.page)) shared.add(leaf.page);
  return shared;
}

function* rows(store: TreeStore, listing: Listing, skip: ReadonlySet<string>): Generator<readonly [Name, Node]> {
  for (const leaf of store.leaves(listing)) if (!skip.has(leaf.page)) yield* store.leafRows(leaf);
}

/** The names whose hard-link group `before` has not just so, as a tree: deep paths cost their names, not their length. */
interface Relinked {
  itself: boolean;
  readonly below: Map<Name, Relinked>;
}

function relinkedNames(store: TreeStore, before: Tree | undefined, after: Tree): Relinked | undefined {
  if (before === undefined || before.links === after.links) return undefined;
  const old = store.linkMap(before);
  const root: Relinked = { itself: false, below: new Map() };
  for (const group of store.linkGroups(after.links)) {
    const was = old.get(group[0] ?? ROOT);
    if (was?.length === group.length && group.every((path, i) => path === was[i])) continue;
    for (const path of group) {
      let at = root;
      for (const name of splitPath(path)) {
        let next = at.below.get(name);
        if (next === undefined) at.below.set(name, (next = { itself: false, below: new Map() }));
        at = next;
      }
      at.itself = true;
    }
  }
  return root.below.size === 0 ? undefined : root;
}
