import { BlockWriter } from "../chunks/content-writer.ts";
import { FORGOTTEN_CHUNKS, ScratchNodes } from "../chunks/scratch.ts";
import { errnoOf, isStoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import type { ExportKey } from "../exports/export-key.ts";
import type { ManifestHeader } from "../exports/manifest.ts";
import type { ExportOf } from "../exports/write-export.ts";
import { shiftedIn } from "../format/shift-ids.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import { deltaChanges } from "../sources/delta.ts";
import { TreeBuilder } from "../trees/builder.ts";
import { TreeStore } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { isDamage } from "./references.ts";

/** A shared export that is not what it should be. */
export interface DamagedExport {
  readonly key: ExportKey;
  readonly reason: string;
  /** What is needed to make it anew; undefined if nobody knows that any more. */
  readonly of: ExportOf | undefined;
}

/**
 * Walks each shared export to see whether somebody changed it since it was made.
 *
 * @param deep reads its files, too, and compares them with the tree that it should show
 * @param skip called with what could not be compared, and why
 */
export async function* damagedExports(
  context: Context,
  deep: boolean,
  skip: (note: string) => void,
): AsyncGenerator<DamagedExport> {
  const { exports } = context.store;
  for (const key of keysThere(context)) {
    context.signal?.throwIfAborted();
    const { header, changed } = exports.check(key);
    const of = await exportOf(context, key, header);
    if (changed === undefined) yield { key, reason: "its manifest is lost", of };
    else if (changed.length > 0) {
      const [first = ""] = changed;
      const others = changed.length > 1 ? ` and ${changed.length - 1} more` : "";
      yield { key, reason: `was changed from outside: ${displayName(first)}${others}`, of };
    } else if (deep && of !== undefined) {
      const reason = await whyOther(context, of).catch((error: unknown) => {
        if (!isDamage(error) && !isStoreError(error, "NOT_PERMITTED")) throw error;
        skip(`export ${key} was not compared with its tree: ${error.message}`);
        return undefined;
      });
      if (reason !== undefined) yield { key, reason, of };
    }
  }
}

function keysThere({ store }: Context): readonly ExportKey[] {
  try {
    return store.exports.keys();
  } catch (error) {
    // The directory is lost; that is told elsewhere.
    if (errnoOf(error) !== "ENOENT") throw error;
    return [];
  }
}

/** Undefined if it cannot be told. */
async function exportOf(
  { store }: Context,
  key: ExportKey,
  header: ManifestHeader | undefined,
): Promise<ExportOf | undefined> {
  const { over, map } = partsOfKey(key);
  if (header !== undefined) return { key, over: header.over, idMap: header.idMap };
  if (map !== undefined) return undefined;
  if (over === undefined) return { key, over: null, idMap: null };
  const [below] = await store.treesByPrefix(over);
  return below && { key, over: below, idMap: null };
}

/** Reads it as a container would see it. */
async function whyOther(context: Context, { key, over, idMap }: ExportOf): Promise<string | undefined> {
  const { store, signal } = context;
  const trees = new TreeStore(new ScratchNodes(store.nodes));
  const builder = new TreeBuilder(trees, over === null ? undefined : trees.tree(over));
  const shift = idMap && shiftedIn(idMap, () => undefined);
  const changes = deltaChanges(store.exports.home(key), new BlockWriter(FORGOTTEN_CHUNKS, trees.nodes), {
    dialect: idMap === null ? "trusted" : "user",
    ...(signal && { signal }),
    onProgress: ({ entries, bytes }) => context.onProgress?.({ phase: "reading exports", entries, bytes }),
  });
  for await (const batch of changes) for (const change of batch) builder.apply(shift ? shift(change) : change);
  const { digest } = builder.finish();
  const expected: Digest = partsOfKey(key).tree;
  return digest === expected ? undefined : `reads as the tree ${digest}`;
}
