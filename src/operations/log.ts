import { ancestry, describeAncestor, namesOf } from "./ancestry.ts";
import type { LineageState } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

export interface LogParams {
  readonly ref: string;
  /** How many states at most. */
  readonly limit?: number;
}

/** A state, and what it is more or less than the one that it stands on. */
export interface LogItem extends LineageState {
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
  for (const state of ancestry(store, found)) {
    const { entries: files, bytes: sizeBytes } = store.trees.tree(state.tree).root.listing;
    const above = items.at(-1);
    if (above !== undefined)
      items[items.length - 1] = { ...above, moreFiles: above.files - files, moreBytes: above.sizeBytes - sizeBytes };
    if (items.length >= limit) break;
    const whole = { files, sizeBytes, moreFiles: files, moreBytes: sizeBytes };
    items.push({ ...describeAncestor(state, found, ofLayer), ...whole });
  }
  return items;
}
