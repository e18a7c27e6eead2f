import type { Dialect } from "../format/overlay-xattrs.ts";
import type { Digest } from "../model/digest.ts";
import { deltaChanges } from "../sources/delta.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";

/** Reads a delta directory over the tree of its lower. It reads nothing of the lower but what the delta touches. */
export async function readDelta(context: Context, directory: string, lower: Digest, dialect: Dialect): Promise<Tree> {
  const { store, signal, onProgress } = context;
  const builder = new TreeBuilder(store.trees, store.trees.tree(lower));
  const changes = deltaChanges(directory, store.content.writer(), {
    dialect,
    ...(signal && { signal }),
    onProgress: ({ entries, bytes }) => onProgress?.({ phase: "capturing", entries, bytes }),
  });
  for await (const batch of changes) for (const change of batch) builder.apply(change);
  return builder.finish();
}
