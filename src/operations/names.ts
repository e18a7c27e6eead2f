import type { ContainerRef, Layer, LayerRef, Ref, RefChange } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { stopContainer } from "../lxc/lxc-programs.ts";
import { runningContainers } from "../lxc/running.ts";
import { Staging } from "../lxc/staging.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { replaceable } from "./import.ts";
import { directoryOf } from "./lxc-host.ts";
import { requireFree, requireRef } from "./references.ts";
import { refuseRunning, settle, settledRef } from "./settle.ts";

export interface TagParams {
  readonly ref: string;
  readonly name: string;
  readonly replace?: boolean;
}

/** Gives a state one more name: that of a layer. */
export async function tag(
  context: Context,
  params: TagParams,
): Promise<{ readonly name: string; readonly digest: Digest }> {
  const { store, command } = context;
  const { ref, name, replace = false } = params;
  const before = replaceable(context, name, replace);
  const found = await settledRef(context, ref);
  const layers: Layer[] = [];
  let after: LayerRef;
  if (found.kind === "layer") after = found.ref;
  else {
    const parent = found.kind === "container" ? found.ref.base : null;
    const source = found.kind === "container" ? `container ${found.name}` : `tree ${found.tree}`;
    const layer: Layer = { tree: found.tree, parent, created: timestamp(), message: "", source };
    layers.push(layer);
    after = { type: "layer", layer: layerDigest(layer) };
  }
  await store.change(command, [{ name, before, after }], layers);
  return { name, digest: found.tree };
}

export interface RenameParams {
  readonly from: string;
  readonly to: string;
}

/** Renames a layer, or a container with its LXC directory. Clones stand on trees, not on names: they never notice. */
export async function rename(context: Context, { from, to }: RenameParams): Promise<RenameParams> {
  const { store, command } = context;
  const found = await requireRef(store, from);
  requireFree(store, to);
  const ref = found.type === "container" ? await stopped(context, from, found) : found;
  const changes: RefChange[] = [
    { name: from, before: ref, after: null },
    { name: to, before: null, after: ref },
  ];
  if (ref.type === "layer" || ref.lxcPath === null) {
    await store.change(command, changes);
    return { from, to };
  }
  using staging = Staging.begin(store.paths.staging, ref.lxcPath, store.refs);
  const moved = staging.takeAwayAs(from, to);
  refuseStarted(from, ref);
  staging.sync();
  await store.change(command, changes);
  if (moved) staging.publish(to);
  return { from, to };
}

export interface RemoveParams {
  readonly names: readonly string[];
  /** Stops what runs. */
  readonly force?: boolean;
}

/** Removes names, and containers' LXC directories with them. All are checked before the first is touched. */
export async function remove(context: Context, params: RemoveParams): Promise<{ readonly removed: readonly string[] }> {
  const { store, command } = context;
  const names = [...new Set(params.names)];
  const refs = new Map<string, Ref>();
  for (const name of names) refs.set(name, await requireRef(store, name));
  const containers: [name: string, ref: ContainerRef][] = [];
  for (const [name, found] of refs) {
    if (found.type === "layer") continue;
    if (params.force === true) stopIfRunning(name, found);
    // What it changed goes into the store before it goes away: its name's history can bring it back.
    const ref = await stopped(context, name, found);
    refs.set(name, ref);
    containers.push([name, ref]);
  }
  const stagings = new Map<string, Staging>();
  try {
    for (const [name, ref] of containers) {
      if (ref.lxcPath === null) continue;
      let staging = stagings.get(ref.lxcPath);
      if (staging === undefined)
        stagings.set(ref.lxcPath, (staging = Staging.begin(store.paths.staging, ref.lxcPath, store.refs)));
      staging.takeAway(name);
      refuseStarted(name, ref);
    }
    for (const staging of stagings.values()) staging.sync();
    await store.change(
      command,
      Array.from(refs, ([name, before]) => ({ name, before, after: null })),
    );
  } finally {
    for (const staging of stagings.values()) staging[Symbol.dispose]();
  }
  return { removed: names };
}

async function stopped(context: Context, name: string, ref: ContainerRef): Promise<ContainerRef> {
  const settled = await settle(context, name, ref);
  refuseRunning(name, settled.state);
  return settled.ref;
}

/** A start that slipped in between the look and the move: whoever disposes of the staging puts the directory back. */
function refuseStarted(name: string, { lxcPath }: ContainerRef): void {
  if (lxcPath !== null && runningContainers().isRunning({ name, lxcPath })) refuseRunning(name, "running");
}

function stopIfRunning(name: string, ref: ContainerRef): void {
  const directory = directoryOf(name, ref);
  if (directory === undefined || ref.lxcPath === null) return;
  const place = { name, lxcPath: ref.lxcPath, upper: `${directory}/delta0` };
  if (!runningContainers().isRunning(place)) return;
  const failure = stopContainer(ref.lxcPath, name);
  if (failure !== undefined) throw new StoreError("PROGRAM_FAILED", { program: "lxc-stop", reason: failure });
}
