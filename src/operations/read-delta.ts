import type { Dialect } from "../format/overlay-xattrs.ts";
import { shiftedIn } from "../format/shift-ids.ts";
import type { Digest } from "../model/digest.ts";
import type { IdMap } from "../model/id-map.ts";
import { LossTally } from "../sinks/written.ts";
import type { Losses } from "../sinks/written.ts";
import { deltaChanges } from "../sources/delta.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { warnOfLosses } from "./id-maps.ts";

export interface DeltaForm {
  readonly dialect: Dialect;
  /** The one whose ids it has. */
  readonly idMap: IdMap | null;
}

/**
 * Reads a delta directory over the tree of its lower. It reads nothing of the lower but what the delta touches.
 *
 * @param lower null for the lowest directory of an overlay, in which the kernel takes marks for marks, too
 * @returns with what of the ids is not mapped, which is warned of as well
 */
export async function readDelta(
  context: Context,
  directory: string,
  lower: Digest | null,
  { dialect, idMap }: DeltaForm,
): Promise<{ readonly tree: Tree; readonly losses: Losses }> {
  const { store, signal, onProgress } = context;
  const builder = new TreeBuilder(store.trees, lower === null ? undefined : store.trees.tree(lower));
  const changes = deltaChanges(directory, store.content.writer(), {
    dialect,
    ...(signal && { signal }),
    onProgress: ({ entries, bytes }) => onProgress?.({ phase: "capturing", entries, bytes }),
  });
  const losses = new LossTally();
  const shifted = idMap && shiftedIn(idMap, (...loss) => losses.add(...loss));
  for await (const batch of changes) for (const change of batch) builder.apply(shifted ? shifted(change) : change);
  warnOfLosses(context, `what was captured of ${directory}`, losses.list);
  return { tree: builder.finish(), losses: losses.list };
}
