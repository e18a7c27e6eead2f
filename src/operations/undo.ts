import type { ContainerRef, HistoryEntry, Ref } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { refuseRunning } from "./container-state.ts";
import type { ContainerState } from "./container-state.ts";
import { describeState } from "./reflog.ts";
import type { NameChanged } from "./reflog.ts";
import { lineagesOf } from "./lineages.ts";
import type { Lineage } from "./lineages.ts";
import { directoryOf, requireFreeDirectory } from "./lxc-host.ts";
import { requireKept } from "./past.ts";
import { settle } from "./settle.ts";
import { takeBack } from "./take-back.ts";

export interface UndoParams {
  /**
   * How many entries of the history to take back, whatever they are. Default: the last one that is a command's. What containers did by
   * themselves, such as their capture when they stopped, is passed over then.
   */
  readonly count?: number;
  /** Everything is checked, and nothing changed. */
  readonly dryRun?: boolean;
}

export interface Undone {
  /** What was taken back, the newest first. */
  readonly entries: readonly UndoneEntry[];
  /** What it did to names. */
  readonly changes: readonly NameChanged[];
  readonly dryRun: boolean;
}

export interface UndoneEntry {
  readonly time: string;
  readonly command: string;
}

type Entry = HistoryEntry & { readonly number: number };

/**
 * Makes names what they were before the last entries of the history, and LXC directories with them: all at once, or nothing. It is
 * an entry itself, so that another undo takes it back.
 *
 * @throws {StoreError} NOT_FOUND if there is nothing, or less, to take back, or what it was is in the store no more; REFUSED if
 *   something was changed since, runs, or is not the store's any more; EXISTS if a place is taken
 */
export async function undo(context: Context, params: UndoParams = {}): Promise<Undone> {
  using _operation = context.store.begin();
  const { store } = context;
  const { count, dryRun = false } = params;
  await foldAll(context);
  const entries = await chosenEntries(store, count);
  const lineages = lineagesOf(entries).filter(isChanged);
  const states = new Map<Lineage, ContainerState>();
  for (const lineage of lineages) states.set(lineage, await settleNow(context, lineage, entries));
  await requireFreePlaces(store, lineages, entries);
  for (const { then } of lineages) if (then !== null) requireKept(store, then.ref, `"${then.name}"`);
  if (!dryRun && lineages.length > 0) await takeBack(context, states);
  const changes = lineages.map(({ now, then }) => ({
    name: then?.name ?? now?.name ?? "",
    from: now !== null && then !== null && now.name !== then.name ? now.name : null,
    before: describeState(store, now?.ref ?? null),
    after: describeState(store, then?.ref ?? null),
  }));
  return { entries: entries.map(({ time, command }) => ({ time, command })), changes, dryRun };
}

/** What views changed is a change like others, and the last one. */
async function foldAll(context: Context): Promise<void> {
  const { refs, uppers } = context.store;
  const names: string[] = [];
  for await (const [name] of uppers.headers()) names.push(name);
  for (const name of names) {
    const ref = refs.find(name);
    if (ref?.type === "container") await settle(context, name, ref);
  }
}

async function chosenEntries(store: Store, count: number | undefined): Promise<Entry[]> {
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 1))
    throw new StoreError("USAGE", { reason: `${count} is no number of changes to take back` });
  const chosen: Entry[] = [];
  for await (const entry of store.refs.history()) {
    if (count === undefined && isPassedOver(store, entry)) continue;
    chosen.push(entry);
    if (chosen.length === (count ?? 1)) return chosen;
  }
  throw new StoreError("NOT_FOUND", {
    what:
      count === undefined || chosen.length === 0
        ? "there is no change to take back"
        : `the history has ${chosen.length} changes, not ${count}`,
  });
}

/** What no command did; and what made something to be forgotten, which is gone by now. */
function isPassedOver({ refs }: Store, { changes }: HistoryEntry): boolean {
  return changes.every(({ name, before, after, byItself }) => {
    if (byItself === true) return true;
    return before === null && after?.type === "container" && after.ephemeral && refs.find(name) === undefined;
  });
}

function isChanged({ now, then }: Lineage): boolean {
  if (now === null || then === null || now.name !== then.name) return true;
  return refVersion(ungenerated(now.ref)) !== refVersion(ungenerated(then.ref));
}

/** A generation only ever rises. */
function ungenerated(ref: Ref): Ref {
  return ref.type === "layer" ? ref : { ...ref, generation: 0 };
}

async function settleNow(context: Context, lineage: Lineage, entries: readonly Entry[]): Promise<ContainerState> {
  const { now, then, isAdopted } = lineage;
  if (now === null) return "stored";
  const { name, ref } = now;
  let found = context.store.refs.find(name);
  let state: ContainerState = "stored";
  if (found?.type === "container" && ref.type === "container")
    ({ ref: found, state } = await settle(context, name, found));
  if (found === undefined || refVersion(found) !== refVersion(ref))
    throw await changedSince(context.store, name, entries);
  if (ref.type === "layer") return state;
  refuseRunning(name, state, ref.lxcPath);
  if (state === "foreign")
    throw new StoreError("REFUSED", {
      reason: `${directoryOf(name, ref) ?? name} is not a container of this store any more`,
      hint: `delta0 rm ${name} removes what the store has of it`,
    });
  if (then === null && isAdopted)
    throw new StoreError("REFUSED", {
      reason: `${name} was adopted: its directory cannot become what it was before`,
      hint: `delta0 rm ${name} removes it`,
    });
  return state;
}

async function requireFreePlaces(store: Store, lineages: readonly Lineage[], entries: readonly Entry[]): Promise<void> {
  const leaving = new Set(lineages.flatMap(({ now }) => now?.name ?? []));
  for (const { now, then, files } of lineages) {
    if (then === null || then.name === now?.name) continue;
    if (!leaving.has(then.name) && store.refs.find(then.name) !== undefined)
      throw await changedSince(store, then.name, entries);
    const hasDirectory = now !== null || files.length > 0;
    if (then.ref.type === "layer" || then.ref.lxcPath === null || !hasDirectory) continue;
    if (!leavesDirectory(lineages, then.name, then.ref.lxcPath)) requireFreeDirectory(then.ref.lxcPath, then.name);
  }
}

function leavesDirectory(lineages: readonly Lineage[], name: string, lxcPath: string): boolean {
  return lineages.some(({ now }) => now?.name === name && lxcPathOf(now.ref) === lxcPath);
}

function lxcPathOf(ref: Ref): ContainerRef["lxcPath"] {
  return ref.type === "layer" ? null : ref.lxcPath;
}

async function changedSince({ refs }: Store, name: string, entries: readonly Entry[]): Promise<StoreError> {
  const oldest = entries.at(-1)?.number ?? 0;
  let newest = oldest;
  let culprit: string | undefined;
  for await (const { number, command, changes } of refs.history()) {
    newest = Math.max(newest, number);
    if (changes.some((change) => change.name === name)) culprit = command;
    if (culprit !== undefined) break;
  }
  return new StoreError("REFUSED", {
    reason: `"${name}" was changed since${culprit === undefined ? "" : `, by "${culprit}"`}; nothing was changed`,
    hint: `delta0 undo ${newest - oldest + 1} takes back all that came since, too; delta0 reflog ${name} tells what that is`,
  });
}
