import type { Digest } from "../model/digest.ts";
import type { IdMap } from "../model/id-map.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import { mapOf } from "./export-key.ts";
import { belowTop, hasMap, stackOver, treeOfStack, wholeStack } from "./export-stack.ts";
import type { ExportStack } from "./export-stack.ts";
import { changeSize, isWithin, shareOf, SMALL } from "./near-trees.ts";
import type { ChangeSize } from "./near-trees.ts";
import type { PresentExports } from "./present-exports.ts";

/** What a container is to stand on. */
export interface StackWish {
  readonly tree: Digest;
  readonly idMap: IdMap | null;
  /** Stacks of trees that may be near, as their history has it; the nearest first. They need not be there yet. */
  readonly near: Iterable<ExportStack>;
  /** Whether a config can hold a stack. Not asked of a whole export. */
  readonly fits: (stack: ExportStack) => boolean;
}

/**
 * Chooses how a tree is to be on disk: as it is there already; else as what it changes of a near one that is; else whole.
 *
 * A delta lies over the lowest export of the near stack to which the difference is small, so that many small changes make no deep
 * stack; else over the whole stack. What would get too deep is flattened: over the lowest export that is near still, or to a whole one.
 */
export function chooseStack(trees: TreeStore, present: PresentExports, wish: StackWish): ExportStack {
  const { idMap, fits } = wish;
  const tree = trees.tree(wish.tree);
  const whole = wholeStack(tree.digest, idMap);
  const isUsable = (stack: ExportStack): boolean => stack.length === 1 || (stack.length <= MAX_EXPORTS && fits(stack));
  const there = present.find(tree.digest, mapOf(idMap));
  if (there !== undefined && isUsable(there)) return there;
  if (isWithin(tree.root.listing, SMALL)) return whole;
  const isNear = (stack: ExportStack, limit: ChangeSize): boolean =>
    changeSize(trees, treeOfStack(stack), tree.digest, limit) !== undefined;
  const tried = new Set<Digest>();
  for (const near of wish.near) {
    if (!hasMap(near, idMap) || tried.has(treeOfStack(near))) continue;
    tried.add(treeOfStack(near));
    const all = suffixesOf(near).map((below) => [below, stackOver(tree.digest, idMap, below)] as const);
    const choices = [
      [SMALL, all],
      [shareOf(tree, NEAR), all.slice(-1)],
      [shareOf(tree, WORTH_FLATTENING), all],
    ] as const;
    for (const [limit, found] of choices) {
      const chosen = found.find(([below, stack]) => isUsable(stack) && isNear(below, limit));
      if (chosen !== undefined) return chosen[1];
    }
  }
  return whole;
}

/** Beyond, a whole export costs little more than the delta, and is read faster. */
const NEAR = 2 / 3;
/** What is written again of what lies below, to have it less deep. */
const WORTH_FLATTENING = 1 / 3;

/**
 * Of how many exports a stack may be. Each costs what looks into directories that all of them changed: a cold walk of a Debian takes 1.4
 * to 2.2 times as long with 24. docs/performance.md, "Near exports".
 */
const MAX_EXPORTS = 24;

/** The stack itself and what is left of it without its topmost exports; the lowest first. */
function suffixesOf(stack: ExportStack): ExportStack[] {
  const below = belowTop(stack);
  return below === undefined ? [stack] : [...suffixesOf(below), stack];
}
