import type { Digest } from "../model/digest.ts";
import { ancestry, namesOf } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

export interface LogParams {
  readonly ref: string;
  /** How many states at most. */
  readonly limit?: number;
}

/** A state, and what it is more or less than the one that it stands on. */
export interface LogItem {
  readonly type: "container" | "layer" | "tree";
  /** Those that the state has now; none for a layer whose name went elsewhere. */
  readonly names: readonly string[];
  readonly digest: Digest;
  /** When the layer was made, or the container captured; null if it is not known. */
  readonly time: string | null;
  readonly message: string;
  readonly source: string;
  readonly files: number;
  readonly sizeBytes: number;
  /** Less where they are negative: entries and bytes of regular files. */
  readonly moreFiles: number;
  readonly moreBytes: number;
}

/** A ref's own state and all that it stands on, the newest first. What was done to names is told by `reflog`. */
export async function log(context: Context, { ref, limit = Infinity }: LogParams): Promise<LogItem[]> {
  const { store } = context;
  const found = await settledRef(context, ref);
  const { ofLayer } = await namesOf(context);
  const items: LogItem[] = [];
  for (const { type, tree, layer, created, message, source } of ancestry(store, found)) {
    const { entries: files, bytes: sizeBytes } = store.trees.tree(tree).root.listing;
    const above = items.at(-1);
    if (above !== undefined)
      items[items.length - 1] = { ...above, moreFiles: above.files - files, moreBytes: above.sizeBytes - sizeBytes };
    if (items.length >= limit) break;
    const names = layer === null ? (found.kind === "container" ? [found.name] : []) : (ofLayer.get(layer) ?? []);
    const whole = { files, sizeBytes, moreFiles: files, moreBytes: sizeBytes };
    items.push({ type, names, digest: tree, time: created, message, source, ...whole });
  }
  return items;
}
