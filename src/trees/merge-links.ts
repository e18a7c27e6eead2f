import type { LinkGroup, RawChange } from "../model/change.ts";
import { comparePaths, parentPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { sameButTime } from "./merge-node.ts";
import type { MergedNode, Side, Versions } from "./merge-node.ts";
import { changesTo, isShown } from "./merge-parts.ts";
import type { Conflict, Sides } from "./merge-parts.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

/**
 * Merges which names are one file's. Of two names each side has a say if it has both: they are one file's if the side says so that
 * changed that of the base. So this cannot conflict by itself; but names that are to be one file's can have been merged to different
 * nodes, and then all of them are in conflict.
 */
export class MergedLinks {
  readonly #trees: TreeStore;
  readonly #sides: Sides;
  readonly #prefer: Side | undefined;
  readonly #names = new Map<TreePath, MergedName>();
  /** Directories whose names are no more, or are somebody else's matter. */
  readonly #leftOut = new Set<TreePath>();

  constructor(trees: TreeStore, sides: Sides, prefer: Side | undefined) {
    this.#trees = trees;
    this.#sides = sides;
    this.#prefer = prefer;
  }

  /** A name of a file with several, on any side. */
  add(path: TreePath, versions: Versions, merged: MergedNode): void {
    this.#names.set(path, { path, ...versions, merged });
  }

  /** What is at `path` and below, but for what is added. */
  leaveOut(path: TreePath): void {
    this.#leftOut.add(path);
  }

  settle(): { readonly changes: RawChange[]; readonly conflicts: Conflict[] } {
    const changes: RawChange[] = [];
    const conflicts: Conflict[] = [];
    this.#addOthers();
    const shown = new Map<TreePath, MergedName>();
    for (const [path, name] of this.#names)
      if (canBeFile(name)) shown.set(path, name);
      else if (nodeOf(name) === undefined) changes.push(...changesTo(path, name.theirs, undefined));
    for (const names of this.#files(shown)) {
      const isConflict = inConflict(names);
      if (isConflict) conflicts.push(...names.filter(isFixed).map(conflictOf));
      if (isConflict && this.#prefer === undefined) continue;
      const files = isConflict && this.#prefer !== undefined ? this.#resolved(names, this.#prefer) : [fileOf(names)];
      for (const file of files) changes.push(...this.#write(file, shown));
    }
    return { changes, conflicts };
  }

  /** All names that are linked to what was added, on any side. */
  #addOthers(): void {
    const queue = [...this.#names.keys()];
    for (let path = queue.pop(); path !== undefined; path = queue.pop())
      for (const side of ["base", "ours", "theirs"] as const)
        for (const other of this.#group(side, path)) {
          if (this.#names.has(other) || this.#isLeftOut(other)) continue;
          const theirs = this.#trees.lookup(this.#sides.theirs, other);
          const [base, ours] = [
            this.#trees.lookup(this.#sides.base, other),
            this.#trees.lookup(this.#sides.ours, other),
          ];
          // What ours changed is added already.
          this.add(other, { base, ours, theirs }, { kind: "merged", node: theirs });
          queue.push(other);
        }
  }

  #isLeftOut(path: TreePath): boolean {
    if (this.#leftOut.size === 0) return false;
    for (let at = path; at !== ROOT; at = parentPath(at)) if (this.#leftOut.has(at)) return true;
    return false;
  }

  #group(side: keyof Sides, path: TreePath): LinkGroup {
    const tree: Tree = this.#sides[side];
    return this.#trees.linkMap(tree).get(path) ?? [path];
  }

  /** The first of the names that are one file's with it, which so stands for all. */
  #first(side: keyof Sides, path: TreePath): TreePath {
    return this.#group(side, path)[0] ?? path;
  }

  /** Names that are to be one file's. */
  #files(shown: ReadonlyMap<TreePath, MergedName>): MergedName[][] {
    const joined = new Joined();
    for (const [side, other] of [
      ["theirs", "ours"],
      ["ours", "theirs"],
    ] as const) {
      const seen = new Set<TreePath>();
      for (const path of shown.keys()) {
        const group = this.#group(side, path);
        if (group.length === 1 || seen.has(group[0] ?? path)) continue;
        seen.add(group[0] ?? path);
        const names = group.flatMap((member) => shown.get(member) ?? []);
        // Only names that were one file's, and that the other side has, can it have parted. One more is linked to each.
        const isOld =
          names.every((name) => isFile(name.base) && isFile(name[other])) &&
          new Set(names.map((name) => this.#first("base", name.path))).size === 1;
        const parts = isOld ? partsBy(names, (name) => this.#first(other, name.path)) : [names];
        for (const [first, ...others] of parts)
          for (const name of others) if (first !== undefined) joined.join(first.path, name.path);
      }
    }
    const files = partsBy([...shown.values()], ({ path }) => joined.find(path));
    for (const names of files) names.sort((a, b) => comparePaths(a.path, b.path));
    return files;
  }

  /** Names in conflict as one side has them; what is new is linked to what it was linked to. */
  #resolved(names: readonly MergedName[], side: Side): MergedFile[] {
    const files = new Map<TreePath, MergedFile>();
    for (const name of names.filter(isFixed)) {
      const node = isFile(name[side]) ? name[side] : undefined;
      const key = node === undefined ? name.path : this.#first(side, name.path);
      const file = files.get(key);
      if (file === undefined) files.set(key, { names: [name], node });
      else file.names.push(name);
    }
    const fileAt = new Map([...files.values()].flatMap((file) => file.names.map(({ path }) => [path, file] as const)));
    const added = names.filter((name) => !isFixed(name));
    for (const name of added) {
      const own = isFile(name.ours) ? "ours" : "theirs";
      const group = this.#group(own, name.path);
      let file = group.map((path) => fileAt.get(path)).find((found) => found?.node !== undefined);
      if (file === undefined) files.set(name.path, (file = { names: [], node: nodeOf(name) }));
      file.names.push(name);
      fileAt.set(name.path, file);
    }
    return [...files.values()];
  }

  #write({ names, node }: MergedFile, shown: ReadonlyMap<TreePath, MergedName>): RawChange[] {
    if (node === undefined) return names.flatMap(({ path, theirs }) => changesTo(path, theirs, undefined));
    const [first, ...others] = names.sort((a, b) => comparePaths(a.path, b.path));
    if (first === undefined || this.#isThere(first, names, node, shown)) return [];
    const whole = changesTo(first.path, undefined, node);
    return [...whole, ...others.map(({ path }): RawChange => ({ kind: "link", path, target: first.path }))];
  }

  /** True if theirs has it so, but perhaps with names that are no more. */
  #isThere(
    first: MergedName,
    names: readonly MergedName[],
    node: Node,
    shown: ReadonlyMap<TreePath, MergedName>,
  ): boolean {
    if (first.theirs === undefined || !isShown(first.theirs, node)) return false;
    const group = this.#group("theirs", first.path);
    const there = new Set(group.filter((path) => shown.has(path)));
    return there.size === names.length && names.every(({ path }) => there.has(path));
  }
}

interface MergedName extends Versions {
  readonly path: TreePath;
  readonly merged: MergedNode;
}

interface MergedFile {
  readonly names: MergedName[];
  /** Undefined: its names go. */
  readonly node: Node | undefined;
}

function nodeOf({ merged }: MergedName): Node | undefined {
  return merged.kind === "merged" ? merged.node : undefined;
}

function canBeFile(name: MergedName): boolean {
  return name.merged.kind === "conflict" || isFile(name.merged.node);
}

function isFile(node: Node | undefined): node is Exclude<Node, { type: "directory" }> {
  return node !== undefined && node.type !== "directory";
}

/** False for a name that one side added to a file. */
function isFixed({ base, ours, theirs, merged }: MergedName): boolean {
  return merged.kind === "conflict" || isFile(base) || (isFile(ours) && isFile(theirs));
}

function inConflict(names: readonly MergedName[]): boolean {
  const [first, ...others] = names.filter(isFixed);
  if (first === undefined) return false;
  const node = nodeOf(first);
  return (
    node === undefined ||
    others.some((name) => {
      const other = nodeOf(name);
      return other === undefined || !sameButTime(node, other);
    })
  );
}

/** One without conflicts. */
function fileOf(names: MergedName[]): MergedFile {
  const first = names.find(isFixed) ?? names[0];
  return { names, node: first && nodeOf(first) };
}

function conflictOf({ path, base, ours, theirs, merged }: MergedName): Conflict {
  return { path, base, ours, theirs, aspects: merged.kind === "conflict" ? merged.aspects : ["links"] };
}

function partsBy<T>(items: readonly T[], keyOf: (item: T) => TreePath): T[][] {
  const parts = new Map<TreePath, T[]>();
  for (const item of items) {
    const part = parts.get(keyOf(item));
    if (part === undefined) parts.set(keyOf(item), [item]);
    else part.push(item);
  }
  return [...parts.values()];
}

/** Sets of paths that grow together. */
class Joined {
  readonly #parents = new Map<TreePath, TreePath>();

  find(path: TreePath): TreePath {
    let at = path;
    for (let parent = this.#parents.get(at); parent !== undefined; parent = this.#parents.get(at)) at = parent;
    if (at !== path) this.#parents.set(path, at);
    return at;
  }

  join(a: TreePath, b: TreePath): void {
    const [from, to] = [this.find(a), this.find(b)];
    if (from !== to) this.#parents.set(from, to);
  }
}
