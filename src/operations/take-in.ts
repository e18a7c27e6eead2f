import type { ContainerRef, Layer, LayerRef, Ref, RefChange } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Store } from "../store.ts";
import type { Sent, SentItem, SentSnapshot } from "../transfer/send-note.ts";
import type { Context } from "./context.ts";
import type { Holdings } from "./holdings.ts";
import { isRefName, requireFree, requireName } from "./references.ts";
import { settle } from "./settle.ts";
import { snapshotRefName } from "./snapshots.ts";

export interface TakeInParams {
  /** The name that it gets, of one thing. */
  readonly as?: string;
  /** What each name gets before it. */
  readonly prefix?: string;
  /** Moves names that stand for something else of the same type. A container with an LXC directory is never replaced. */
  readonly replace?: boolean;
}

export interface TakenIn {
  readonly name: string;
  readonly type: "layer" | "container";
  readonly digest: Digest;
  readonly snapshots: readonly string[];
  readonly outcome: "new" | "changed" | "unchanged";
}

/** What comes to a store, with the names that it gets there. */
export interface Arrival {
  readonly name: string;
  readonly item: SentItem;
}

/**
 * @throws {StoreError} USAGE for what needs a name, EXISTS for one that is taken: before gigabytes are read
 */
export function planArrivals(store: Store, items: readonly SentItem[], params: TakeInParams): Arrival[] {
  const { as, prefix = "", replace = false } = params;
  if (as !== undefined && items.length > 1)
    throw new StoreError("USAGE", {
      reason: `${items.length} things come, which cannot all be called "${as}"`,
      hint: "--prefix gives each a name of its own",
    });
  const arrivals = items.map((item) => {
    const own = item.name === null ? undefined : `${prefix}${item.name}`;
    const name = as ?? own;
    if (name === undefined)
      throw new StoreError("USAGE", { reason: "what comes has no name of its own", hint: "--as NAME gives it one" });
    requireName(name);
    return { name, item };
  });
  if (new Set(arrivals.map(({ name }) => name)).size < arrivals.length)
    throw new StoreError("USAGE", { reason: "two things that come have one name" });
  for (const { name, item } of arrivals) requirePlace(store, name, item, replace);
  return arrivals;
}

/** @throws {StoreError} EXISTS unless what has the name may be replaced, or is the same */
function requirePlace(store: Store, name: string, item: SentItem, replace: boolean): void {
  const before = store.refs.find(name);
  if (item.type === "container" && !replace) requireSnapshotPlaces(store, name, item.snapshots);
  if (before === undefined) return;
  if (before.type !== item.type) requireFree(store, name, "--as or --prefix gives it another name");
  if (before.type === "container" && before.lxcPath !== null)
    requireFree(store, name, `it has an LXC directory (${before.lxcPath}/${name}): --as gives what comes another name`);
  if (!replace && !isSame(before, item)) requireFree(store, name, "--replace, or --as NAME");
}

/** @throws {StoreError} EXISTS unless each is free, may be replaced, or is the same */
function requireSnapshotPlaces(store: Store, container: string, snapshots: readonly SentSnapshot[]): void {
  for (const { name: snapshot, layer } of snapshots) {
    const name = snapshotRefName({ container, snapshot });
    const before = store.refs.find(name);
    if (before === undefined || (before.type === "layer" && before.layer === layer)) continue;
    throw new StoreError("EXISTS", { what: `${name} is another snapshot here`, hint: "--replace, or --as NAME" });
  }
}

function isSame(before: Ref, item: SentItem): boolean {
  if (before.type === "layer") return item.type === "layer" && before.layer === item.layer;
  return item.type === "container" && refVersion(before) === refVersion(arrived(item.ref, before));
}

/** A container as it arrives: it has no LXC directory. */
function arrived(ref: ContainerRef, before: ContainerRef | undefined): ContainerRef {
  return { ...ref, lxcPath: null, generation: before?.generation ?? 1 };
}

/**
 * Names what has come, all in one step. All of it must be in the store.
 *
 * @throws {StoreError} EXISTS, REFUSED if a name was changed meanwhile
 */
export async function takeIn(
  context: Context,
  arrivals: readonly Arrival[],
  sent: Sent,
  holdings: Holdings,
  { replace = false }: TakeInParams,
): Promise<TakenIn[]> {
  const { store } = context;
  const treeOf = new Map(sent.layers.map(({ digest, layer }) => [digest, layer.tree]));
  const changes: RefChange[] = [];
  const taken: TakenIn[] = [];
  for (const { name, item } of arrivals) {
    const before = await currentRef(context, name);
    requirePlace(store, name, item, replace);
    const news =
      item.type === "layer"
        ? changeOfLayer(store, name, item.layer, item.isPinned)
        : changesOfContainer(store, name, item, before?.type === "container" ? before : undefined);
    changes.push(...news);
    const isNew = before === undefined;
    taken.push({
      name,
      type: item.type,
      digest: item.type === "container" ? item.ref.tree : (treeOf.get(item.layer) ?? item.layer),
      snapshots: item.type === "container" ? item.snapshots.map((snapshot) => snapshot.name) : [],
      outcome: news.length === 0 ? "unchanged" : isNew ? "new" : "changed",
    });
  }
  const isHeld = (layer: Digest): boolean => holdings.hasLayer(layer) && store.refs.findLayer(layer) !== undefined;
  const layers: Layer[] = sent.layers.flatMap(({ digest, layer }) => (isHeld(digest) ? [] : [layer]));
  if (changes.length > 0) await store.change(context, changes, layers);
  return taken;
}

/** What views changed of a container is in its history before it is replaced. */
async function currentRef(context: Context, name: string): Promise<Ref | undefined> {
  const ref = context.store.refs.find(name);
  if (ref?.type !== "container") return ref;
  return (await settle(context, name, ref)).ref;
}

function changeOfLayer(store: Store, name: string, layer: Digest, isPinned: boolean): RefChange[] {
  const before = store.refs.find(name) ?? null;
  if (before?.type === "layer" && before.layer === layer) return [];
  const after: LayerRef = { type: "layer", layer, ...(isPinned && { pinned: true as const }) };
  return [{ name, before, after }];
}

function changesOfContainer(
  store: Store,
  name: string,
  { ref, snapshots }: Extract<SentItem, { type: "container" }>,
  before: ContainerRef | undefined,
): RefChange[] {
  const after = arrived(ref, before);
  const isSame = before !== undefined && refVersion(before) === refVersion(after);
  const changes: RefChange[] = isSame
    ? []
    : [
        {
          name,
          before: before ?? null,
          after: before === undefined ? after : { ...after, generation: after.generation + 1 },
        },
      ];
  for (const { name: snapshot, layer, isPinned } of snapshots)
    changes.push(...changeOfLayer(store, snapshotRefName({ container: name, snapshot }), layer, isPinned));
  return changes;
}

/** Names of snapshots come from anywhere. @throws {StoreError} FORMAT_INVALID */
export function requireSnapshotNames(items: readonly SentItem[]): void {
  for (const item of items)
    if (item.type === "container" && !item.snapshots.every(({ name }) => isRefName(name)))
      throw new StoreError("FORMAT_INVALID", { record: "the stream", reason: "has a snapshot without a name" });
}
