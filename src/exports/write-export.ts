import type { FrameReader } from "../format/chunk-value.ts";
import type { Digest } from "../model/digest.ts";
import type { IdMap } from "../model/id-map.ts";
import { writeDelta } from "../sinks/delta.ts";
import { writeDirectory } from "../sinks/directory.ts";
import type { TreeWriterOptions } from "../sinks/tree-writer.ts";
import type { Written } from "../sinks/written.ts";
import { diffTrees } from "../trees/diff.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import { partsOfKey } from "./export-key.ts";
import type { ExportKey } from "./export-key.ts";

/** An export, and what its key alone does not say of it. */
export interface ExportOf {
  readonly key: ExportKey;
  /** The tree that it lies over; null for a whole one. */
  readonly over: Digest | null;
  readonly idMap: IdMap | null;
}

/** Writes what an export holds to a new directory. */
export async function writeExport(
  trees: TreeStore,
  content: FrameReader,
  { key, over, idMap }: ExportOf,
  target: string,
  options: TreeWriterOptions,
): Promise<Written> {
  const tree = trees.tree(partsOfKey(key).tree);
  const dialect = idMap === null ? "trusted" : "user";
  if (over === null) {
    const changes = diffTrees(trees, undefined, tree);
    return await writeDirectory(target, changes, content, { ...options, lower: dialect, idMap });
  }
  const changes = diffTrees(trees, trees.tree(over), tree, { parents: true });
  return await writeDelta(target, changes, content, { ...options, dialect, idMap });
}
