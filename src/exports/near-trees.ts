import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { diffTrees } from "../trees/diff.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import { treeOfStack } from "./export-stack.ts";
import type { ExportStack } from "./export-stack.ts";

/** How much is written for a change: regular files whole, each node and each whiteout one entry. */
export interface ChangeSize {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * What writing a delta of this size costs is not worth a layer of its own, nor does a whole tree so small need one: about 0.1 s.
 * docs/performance.md, "Near exports".
 */
export const SMALL: ChangeSize = { entries: 1000, bytes: 4 << 20 };

/** A part of what is in a tree. */
export function shareOf({ root }: Tree, share: number): ChangeSize {
  return { entries: root.listing.entries * share, bytes: root.listing.bytes * share };
}

export function isWithin(size: ChangeSize, limit: ChangeSize): boolean {
  return size.entries <= limit.entries && size.bytes <= limit.bytes;
}

/**
 * The size of the delta of `after` over `before`. It costs what differs, and no more than the limit.
 *
 * @returns undefined beyond the limit, and if a tree is damaged, or not in the store any more
 */
export function changeSize(trees: TreeStore, before: Digest, after: Digest, limit: ChangeSize): ChangeSize | undefined {
  const size = { entries: 0, bytes: 0 };
  if (before === after) return size;
  try {
    for (const change of diffTrees(trees, trees.tree(before), trees.tree(after))) {
      size.entries++;
      if (change.after?.type === "file") size.bytes += change.after.content.size;
      if (!isWithin(size, limit)) return undefined;
    }
    return size;
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

/** Of these stacks the one whose tree has most in common with `tree`; undefined if none has half of it. */
export function nearestStack(trees: TreeStore, stacks: Iterable<ExportStack>, tree: Tree): ExportStack | undefined {
  let limit = shareOf(tree, 1 / 2);
  let nearest: ExportStack | undefined;
  for (const stack of stacks) {
    const size = changeSize(trees, treeOfStack(stack), tree.digest, limit);
    if (size === undefined) continue;
    limit = size;
    nearest = stack;
  }
  return nearest;
}
