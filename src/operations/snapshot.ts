import type { Layer, LayerRef } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { settleToCopy } from "./capture-running.ts";
import type { Context } from "./context.ts";
import { requireContainer, requireName } from "./references.ts";
import { describeSnapshots, snapshotRefName, snapshotsOf } from "./snapshots.ts";
import type { SnapshotItem } from "./snapshots.ts";

export interface SnapshotParams {
  /** The container's. */
  readonly name: string;
  /** Default: snap0, snap1, and so on, the first number above those that there are. */
  readonly snapshot?: string;
  readonly message?: string;
  /** One that runs is frozen for as long as it is read. */
  readonly allowRunning?: boolean;
  /** `retain` does not remove it. */
  readonly pinned?: boolean;
}

export interface SnapshotTaken {
  readonly name: string;
  readonly snapshot: string;
  /** `NAME@SNAPSHOT`, which can be given wherever a ref can. */
  readonly ref: string;
  readonly digest: Digest;
}

/** Keeps a container's state under a name. It costs a record, and the container goes on as if nothing had been. */
export async function snapshot(context: Context, params: SnapshotParams): Promise<SnapshotTaken> {
  using _operation = context.store.begin();
  const { store } = context;
  const { name, message = "", allowRunning = false, pinned = false } = params;
  const container = await requireContainer(store, name);
  const taken = (await snapshotsOf(store, name)).map(([known]) => known);
  const snapshot = params.snapshot ?? nextName(taken);
  requireName(snapshot);
  if (taken.includes(snapshot))
    throw new StoreError("EXISTS", {
      what: `${name} has a snapshot "${snapshot}" already`,
      hint: `choose another name, or remove it: delta0 snapshot -d ${name} ${snapshot}`,
    });
  const { tree, base } = await settleToCopy(context, name, container, allowRunning);
  const layer: Layer = { tree, parent: base, created: timestamp(), message, source: `snapshot of ${name}` };
  const ref = snapshotRefName({ container: name, snapshot });
  const after: LayerRef = { type: "layer", layer: layerDigest(layer), ...(pinned && { pinned }) };
  await store.change(context, [{ name: ref, before: null, after }], [layer]);
  return { name, snapshot, ref, digest: tree };
}

/** A container's snapshots: snap2 before snap10. */
export async function listSnapshots(
  { store }: Context,
  { name }: { readonly name: string },
): Promise<readonly SnapshotItem[]> {
  await requireContainer(store, name);
  return await describeSnapshots(store, name);
}

/** Above all that there are: names in the order in which they were taken. */
function nextName(taken: readonly string[]): string {
  const numbers = taken.map((name) => Number(/^snap(0|[1-9][0-9]{0,14})$/.exec(name)?.[1] ?? -1));
  return `snap${Math.max(-1, ...numbers) + 1}`;
}
