import type { RawChange } from "../model/change.ts";
import { baseName, comparePaths, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { DirectoryNode, Node } from "../model/node.ts";
import { diffTrees, pairs } from "./diff.ts";
import { MergedLinks } from "./merge-links.ts";
import { isTouched, mergeNodes, sameButTime } from "./merge-node.ts";
import type { MergeAspect, MergedNode, Side, Versions } from "./merge-node.ts";
import { changesTo, rawNode } from "./merge-parts.ts";
import type { Conflict, Sides } from "./merge-parts.ts";
import type { TreeStore } from "./tree-store.ts";
import { walkBelow } from "./walk.ts";

export interface Merge {
  /** What makes the merged tree of `theirs`. None if there are conflicts that nobody resolved. */
  readonly changes: readonly RawChange[];
  /** In canonical order. Those that were resolved, too. */
  readonly conflicts: readonly Conflict[];
}

/**
 * Merges what two sides made of one tree, entry by entry, by paths: what was renamed is one entry less and one more. Hard links are
 * merged as pairs of names; a name that one side added to a file goes with that, whatever the other side made of it.
 *
 * Costs what `ours` changed, and what `theirs` changed in the directories that `ours` removed; and the link tables, if files with
 * several names changed. Memory: about that of the changes.
 *
 * @param prefer resolves all conflicts: these entries are as that side has them
 */
export function mergeTrees(trees: TreeStore, sides: Sides, prefer?: Side): Merge {
  const merger = new Merger(trees, sides, prefer);
  return merger.merge();
}

class Merger {
  readonly #trees: TreeStore;
  readonly #sides: Sides;
  readonly #prefer: Side | undefined;
  readonly #changes: RawChange[] = [];
  readonly #conflicts: Conflict[] = [];
  readonly #links: MergedLinks;
  /** What theirs has at the last path, and at those of all directories above. `end` is where these end in it. */
  readonly #trail: { readonly end: number; readonly node: Node | undefined }[] = [];
  #lastPath: TreePath = ROOT;

  constructor(trees: TreeStore, sides: Sides, prefer: Side | undefined) {
    this.#trees = trees;
    this.#sides = sides;
    this.#prefer = prefer;
    this.#links = new MergedLinks(trees, sides, prefer);
  }

  merge(): Merge {
    const { base, ours } = this.#sides;
    /** What is below it is decided already. */
    let whole: TreePath | undefined;
    for (const { path, before, after } of diffTrees(this.#trees, base, ours, { parents: true })) {
      if (whole !== undefined && path.startsWith(`${whole}/`)) continue;
      const versions = { base: before, ours: after, theirs: this.#inTheirs(path) };
      whole = this.#entry(path, versions) === "whole" ? path : undefined;
    }
    const { changes, conflicts } = this.#links.settle();
    this.#conflicts.push(...conflicts);
    this.#conflicts.sort((a, b) => comparePaths(a.path, b.path));
    const isResolved = this.#conflicts.length === 0 || this.#prefer !== undefined;
    return { changes: isResolved ? [...this.#changes, ...changes] : [], conflicts: this.#conflicts };
  }

  /** Called for a directory before what is in it: deep trees are not walked from the root for each entry. */
  #inTheirs(path: TreePath): Node | undefined {
    const trail = this.#trail;
    while (trail.length > 0 && !isBelow(path, this.#lastPath, trail.at(-1)?.end ?? 0)) trail.pop();
    const parent = trail.at(-1)?.node;
    const inParent = parent?.type === "directory" ? this.#trees.find(parent.listing, baseName(path)) : undefined;
    const node = path === ROOT ? this.#sides.theirs.root : inParent;
    this.#lastPath = path;
    trail.push({ end: path.length, node });
    return node;
  }

  #entry(path: TreePath, versions: Versions): "whole" | undefined {
    const { ours, theirs } = versions;
    if ((ours?.type === "directory") !== (theirs?.type === "directory")) return this.#oneDirectory(path, versions);
    const merged = mergeNodes(versions);
    const isLinked = Object.values(versions).some((node: Node | undefined) => node?.linked === true);
    if (isLinked && ours?.type !== "directory") this.#links.add(path, versions, merged);
    else this.#write(path, versions, merged);
    return undefined;
  }

  #write(path: TreePath, versions: Versions, merged: MergedNode): void {
    if (merged.kind === "merged") return this.#show(path, versions.theirs, merged.node);
    this.#conflicts.push({ path, ...versions, aspects: merged.aspects });
    if (this.#prefer !== undefined) this.#show(path, versions.theirs, versions[this.#prefer]);
  }

  /** One side has a directory where the other has none: what is below goes with it, or is a conflict. */
  #oneDirectory(path: TreePath, versions: Versions): "whole" | undefined {
    const { ours, theirs } = versions;
    const isOurs = ours?.type === "directory";
    const [directory, other] = isOurs ? [ours, theirs] : [theirs as DirectoryNode, ours];
    // Of a directory that ours did not change itself, the difference gives ours on both sides.
    const base = versions.base === ours ? this.#trees.lookup(this.#sides.base, path) : versions.base;
    let changedBelow: number | undefined;
    if (base?.type === "directory") {
      changedBelow = this.#changedBelow(base, directory);
      if (changedBelow === 0 && sameButTime(base, directory))
        return this.#take(path, versions, isOurs ? "theirs" : "ours");
    } else if (!isTouched(base, other)) return this.#take(path, versions, isOurs ? "ours" : "theirs");
    const aspects: MergeAspect[] = other === undefined ? [] : ["type"];
    this.#conflicts.push({ path, base, ours, theirs, aspects, ...(changedBelow !== undefined && { changedBelow }) });
    this.#links.leaveOut(path);
    if (this.#prefer !== "ours") return "whole";
    this.#show(path, theirs, ours);
    if (ours?.type === "directory") this.#copyBelow(path, ours);
    return "whole";
  }

  #take(path: TreePath, versions: Versions, side: Side): "whole" | undefined {
    const { ours, theirs } = versions;
    if (side === "theirs") return "whole";
    if (theirs?.type === "directory") this.#links.leaveOut(path);
    const isFileOfGroup = ours?.type !== "directory" && ours?.linked === true;
    if (isFileOfGroup || theirs?.linked === true) this.#links.add(path, versions, { kind: "merged", node: ours });
    if (!isFileOfGroup) this.#show(path, theirs, ours);
    return undefined;
  }

  #show(path: TreePath, theirs: Node | undefined, node: Node | undefined): void {
    this.#changes.push(...changesTo(path, theirs, node));
  }

  /** How many entries differ, but for their times. */
  #changedBelow(before: DirectoryNode, after: DirectoryNode): number {
    let count = 0;
    const stack: [DirectoryNode, DirectoryNode][] = [[before, after]];
    for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
      if (pair[0].listing.root === pair[1].listing.root) continue;
      for (const [, a, b] of pairs(this.#trees, ...pair)) {
        if (isTouched(a, b)) count++;
        if (a?.type === "directory" && b?.type === "directory") stack.push([a, b]);
      }
    }
    return count;
  }

  /** All that ours has there, linked among itself. */
  #copyBelow(path: TreePath, directory: DirectoryNode): void {
    const links = this.#trees.linkMap(this.#sides.ours);
    const first = new Map<unknown, TreePath>();
    for (const [below, node] of walkBelow(this.#trees, path, directory)) {
      const group = node.linked ? links.get(below) : undefined;
      const target = group && first.get(group);
      if (group !== undefined && target === undefined) first.set(group, below);
      if (target !== undefined) this.#changes.push({ kind: "link", path: below, target });
      else this.#changes.push({ kind: "put", path: below, node: rawNode(node) });
    }
  }
}

/** True if the first `end` bytes of `last` are a directory that `path` is below. */
function isBelow(path: TreePath, last: TreePath, end: number): boolean {
  if (end === 0) return path !== ROOT;
  return path[end] === "/" && path.startsWith(last.slice(0, end));
}
