import { isStoreError } from "../../src/errors.ts";
import type { RawChange } from "../../src/model/change.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import type { Tree, TreeStore } from "../../src/trees/tree-store.ts";

/** Builds a tree of those changes that can be. @returns also those that were refused */
export function build(
  trees: TreeStore,
  changes: Iterable<RawChange>,
  base?: Tree,
): { tree: Tree; refused: RawChange[] } {
  const builder = new TreeBuilder(trees, base);
  const refused: RawChange[] = [];
  for (const change of changes) {
    try {
      builder.apply(change);
    } catch (error) {
      if (!isStoreError(error, "SOURCE_INVALID")) throw error;
      refused.push(change);
    }
  }
  return { tree: builder.finish(), refused };
}
