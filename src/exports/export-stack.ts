import type { Digest } from "../model/digest.ts";
import type { IdMap } from "../model/id-map.ts";
import { exportKey, liesOver, mapOf, partsOfKey } from "./export-key.ts";
import type { ExportKey } from "./export-key.ts";

/**
 * What containers stand on: exports that overlayfs merges, the topmost first. The last is of a whole tree, each other one of what
 * its tree changes of the next one's; the topmost one's tree is what they show together. The ids of all are of one id map.
 */
export type ExportStack = readonly [ExportKey, ...ExportKey[]];

/** @returns undefined for what is none */
export function stackOfKeys(keys: readonly ExportKey[]): ExportStack | undefined {
  const parts = keys.map(partsOfKey);
  const isStack = parts.every(({ over, map }, i) => {
    const next = parts[i + 1];
    return map === parts[0]?.map && (next === undefined ? over === undefined : liesOver(over, next.tree));
  });
  const [top, ...others] = keys;
  return top === undefined || !isStack ? undefined : [top, ...others];
}

/** The tree that a stack shows. */
export function treeOfStack(stack: ExportStack): Digest {
  return partsOfKey(stack[0]).tree;
}

/** The stack of one whole export. */
export function wholeStack(tree: Digest, idMap: IdMap | null): ExportStack {
  return [exportKey(tree, idMap)];
}

/** The stack that shows `tree`, by one more export over `stack`. */
export function stackOver(tree: Digest, idMap: IdMap | null, stack: ExportStack): ExportStack {
  return [exportKey(tree, idMap, treeOfStack(stack)), ...stack];
}

export function hasMap(stack: ExportStack, idMap: IdMap | null): boolean {
  return partsOfKey(stack[0]).map === mapOf(idMap);
}

/** What is below the topmost export; undefined if that is a whole one. */
export function belowTop([, next, ...others]: ExportStack): ExportStack | undefined {
  return next && [next, ...others];
}

/** Its exports, each with the tree that it lies over; null for the lowest. */
export function lowestFirst(stack: ExportStack): (readonly [key: ExportKey, over: Digest | null])[] {
  const treeAt = (i: number): Digest | null => {
    const key = stack[i];
    return key === undefined ? null : partsOfKey(key).tree;
  };
  return stack.map((key, i) => [key, treeAt(i + 1)] as const).reverse();
}
