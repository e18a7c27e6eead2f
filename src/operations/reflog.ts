import type { HistoryEntry, Ref } from "../containers/records.ts";
import { isStoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { settle } from "./settle.ts";
import { requireRef } from "./references.ts";

export interface ReflogParams {
  /** That of a layer, a container, or a snapshot, or one that is gone. Default: all names. */
  readonly name?: string;
  /** How many entries at most. */
  readonly limit?: number;
}

/** One entry of the history. */
export interface ReflogItem {
  /** `undo N` takes back this entry and all since. */
  readonly undo: number;
  /** Of a name's history: what `after` of the change is called. */
  readonly ref: string | null;
  readonly time: string;
  readonly command: string;
  /** No command did it, but the container itself. */
  readonly byItself: boolean;
  /** Of a name's history, that of this name alone. */
  readonly changes: readonly NameChanged[];
}

export interface NameChanged {
  readonly name: string;
  /** What it was named before, if that was another name. */
  readonly from: string | null;
  /** null: there was nothing of that name. */
  readonly before: NameState | null;
  readonly after: NameState | null;
}

export interface NameState {
  readonly type: "layer" | "container";
  /** null if the layer is in the store no more. */
  readonly digest: Digest | null;
}

/**
 * What was done to names, the newest first. A name's history goes on with the names that the container had before.
 *
 * @throws {StoreError} NOT_FOUND for a name that there never was
 */
export async function reflog(context: Context, params: ReflogParams = {}): Promise<ReflogItem[]> {
  const { name, limit = Infinity } = params;
  if (name !== undefined) return await reflogOf(context, name, limit);
  const { store } = context;
  const items: ReflogItem[] = [];
  if (limit < 1) return items;
  for await (const entry of store.refs.history()) {
    const { time, command } = entry;
    const byItself = entry.changes.some((change) => change.byItself === true);
    items.push({ undo: items.length + 1, ref: null, time, command, byItself, changes: describeChanges(store, entry) });
    if (items.length >= limit) break;
  }
  return items;
}

async function reflogOf(context: Context, name: string, limit: number): Promise<ReflogItem[]> {
  const { store } = context;
  const ref = store.refs.find(name);
  if (ref?.type === "container") await settle(context, name, ref);
  const newest = await newestNumber(store);
  const items: ReflogItem[] = [];
  for await (const change of store.refs.historyOf(name)) {
    if (items.length >= limit) return items;
    const { number, time, command, byItself, name: called, from, before, after } = change;
    const changed = {
      name: called,
      from: from === called ? null : from,
      before: describeState(store, before),
      after: describeState(store, after),
    };
    const [undo, ref] = [newest - number + 1, `${name}@{${items.length}}`];
    items.push({ undo, ref, time, command, byItself, changes: [changed] });
  }
  // Tells what was perhaps meant.
  if (items.length === 0 && limit > 0) await requireRef(store, name);
  return items;
}

async function newestNumber(store: Store): Promise<number> {
  for await (const { number } of store.refs.history()) return number;
  return 0;
}

function describeChanges(store: Store, { changes }: HistoryEntry): NameChanged[] {
  return changes.map(({ name, from = null, before, after }) => ({
    name,
    from,
    before: describeState(store, before),
    after: describeState(store, after),
  }));
}

export function describeState({ refs }: Store, ref: Ref | null): NameState | null {
  if (ref === null) return null;
  try {
    return { type: ref.type, digest: refs.treeOf(ref) };
  } catch (error) {
    if (isStoreError(error, "NODE_MISSING")) return { type: ref.type, digest: null };
    throw error;
  }
}
