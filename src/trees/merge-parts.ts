import type { RawChange, RawNode } from "../model/change.ts";
import type { TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { sameButTime, sameTime } from "./merge-node.ts";
import type { MergeAspect, Versions } from "./merge-node.ts";
import type { Tree } from "./tree-store.ts";

/** Three trees: what two sides made of one. */
export interface Sides {
  readonly base: Tree;
  readonly ours: Tree;
  readonly theirs: Tree;
}

/**
 * An entry that both sides changed, each in its own way. A directory that one side removed or replaced, and in which the other
 * changed anything, is one conflict.
 */
export interface Conflict extends Versions {
  readonly path: TreePath;
  readonly aspects: readonly MergeAspect[];
  /** Of such a directory: how many entries in it were changed. */
  readonly changedBelow?: number;
}

/** What has `theirs` show another node, or none. A directory's entries stay, if both are directories. */
export function changesTo(path: TreePath, theirs: Node | undefined, node: Node | undefined): readonly RawChange[] {
  const isOther = theirs !== undefined && theirs.type !== node?.type;
  const hidden: RawChange[] = isOther ? [{ kind: "whiteout", path }] : [];
  if (node === undefined || (theirs !== undefined && isShown(theirs, node))) return hidden;
  return [...hidden, { kind: "put", path, node: rawNode(node) }];
}

/** True if the two are the same but for what directories hold, and hard links. */
export function isShown(theirs: Node, node: Node): boolean {
  return sameButTime(theirs, node) && sameTime(theirs, node);
}

/** As a source would say it. */
export function rawNode(node: Node): RawNode {
  const { linked: _linked, ...raw } = node;
  if (raw.type !== "directory") return raw;
  const { listing: _listing, ...directory } = raw;
  return directory;
}
