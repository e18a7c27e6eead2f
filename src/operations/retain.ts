import picomatch from "picomatch";
import type { LayerRef, Ref, RefChange } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Context } from "./context.ts";
import { requireContainer, requireRef } from "./references.ts";
import { keepsAnything, reasonsToKeep } from "./retention.ts";
import type { RetentionRules } from "./retention.ts";
import { compareSnapshots, parseSnapshotName, snapshotRefName, snapshotsOf } from "./snapshots.ts";
import { takeAway } from "./take-away.ts";

export interface RetainParams extends RetentionRules {
  /** Containers, of each of which snapshots are thinned out by themselves. Default: all that have any. */
  readonly names?: readonly string[];
  /** A glob over names of layers, which are thinned out together, instead of snapshots. */
  readonly layers?: string;
  /** Tells what would go, and removes nothing. */
  readonly dryRun?: boolean;
}

export interface Retained {
  readonly items: readonly RetainedItem[];
  readonly dryRun: boolean;
}

export interface RetainedItem {
  /** `CONTAINER@SNAPSHOT`, or a layer's name. */
  readonly ref: string;
  readonly created: string;
  /** Why it is kept; none: it is removed. */
  readonly reasons: readonly string[];
}

type Candidate = readonly [name: string, ref: LayerRef];

/**
 * Removes snapshots, or layers, that no rule keeps: all in one entry of the history, so that an undo brings them back. What is pinned stays.
 *
 * @throws {StoreError} NOT_FOUND; USAGE for rules that would keep nothing
 */
export async function retain(context: Context, params: RetainParams): Promise<Retained> {
  const { names, layers, dryRun = false, ...rules } = params;
  if (!keepsAnything(rules))
    throw new StoreError("USAGE", { reason: "no rule keeps anything", hint: "delta0 retain --keep-last 3" });
  if (names !== undefined && layers !== undefined)
    throw new StoreError("USAGE", { reason: "containers and layers are given", hint: "give either" });
  const groups = layers === undefined ? await groupsOf(context, names) : [await layersLike(context, layers)];
  const items: RetainedItem[] = [];
  const removed = new Map<string, Ref>();
  for (const group of groups) {
    const things = newestFirst(group.map((candidate) => described(context, candidate)));
    for (const [i, reasons] of reasonsToKeep(things, rules).entries()) {
      const thing = things[i];
      if (thing === undefined) continue;
      items.push({ ref: thing.name, created: thing.created, reasons });
      if (reasons.length === 0) removed.set(thing.name, thing.ref);
    }
  }
  if (!dryRun && removed.size > 0) await takeAway(context, removed, []);
  return { items, dryRun };
}

export interface PinParams {
  /** Names of layers and snapshots. */
  readonly refs: readonly string[];
  /** false: no longer. */
  readonly pinned: boolean;
}

/** Has `retain` keep layers and snapshots, whatever its rules. `rm` removes them all the same. @throws {StoreError} NOT_FOUND, USAGE */
export async function pin(context: Context, { refs, pinned }: PinParams): Promise<PinParams> {
  const { store } = context;
  const changes: RefChange[] = [];
  for (const name of new Set(refs)) {
    const before = await requireRef(store, name);
    if (before.type !== "layer")
      throw new StoreError("USAGE", { reason: `"${name}" is a container`, hint: `pin a snapshot of it: ${name}@SNAP` });
    if ((before.pinned === true) === pinned) continue;
    const after: LayerRef = { type: "layer", layer: before.layer, ...(pinned && { pinned }) };
    changes.push({ name, before, after });
  }
  if (changes.length > 0) await store.change(context, changes);
  return { refs, pinned };
}

async function groupsOf({ store }: Context, names: readonly string[] | undefined): Promise<Candidate[][]> {
  const groups: Candidate[][] = [];
  for (const container of new Set(names ?? (await ownersOfSnapshots(store)))) {
    await requireContainer(store, container);
    const snapshots = await snapshotsOf(store, container);
    groups.push(snapshots.map(([snapshot, ref]) => [snapshotRefName({ container, snapshot }), ref]));
  }
  return groups;
}

async function ownersOfSnapshots({ refs }: Context["store"]): Promise<Set<string>> {
  const owners = new Set<string>();
  for (const [name] of await refs.list(() => undefined)) {
    const owner = parseSnapshotName(name)?.container;
    if (owner !== undefined && refs.find(owner)?.type === "container") owners.add(owner);
  }
  return owners;
}

async function layersLike({ store }: Context, glob: string): Promise<Candidate[]> {
  const fits = picomatch(glob);
  const found: Candidate[] = [];
  for (const [name, ref] of await store.refs.list(() => undefined))
    if (ref.type === "layer" && parseSnapshotName(name) === undefined && fits(name)) found.push([name, ref]);
  return found;
}

interface Thing {
  readonly name: string;
  readonly ref: LayerRef;
  readonly created: string;
  readonly isPinned: boolean;
}

function described({ store }: Context, [name, ref]: Candidate): Thing {
  return { name, ref, created: store.refs.layer(ref.layer).created, isPinned: ref.pinned === true };
}

/** Of equal times, by names as people count: snap10 is newer than snap9. */
function newestFirst(things: readonly Thing[]): Thing[] {
  return things.toSorted((a, b) =>
    a.created === b.created ? compareSnapshots(b.name, a.name) : a.created < b.created ? 1 : -1,
  );
}
