import { basename, dirname } from "node:path";
import type { ContainerRef, Layer, LayerRef, Ref, RefChange } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { stopContainer } from "../lxc/lxc-programs.ts";
import { runningContainers } from "../lxc/running.ts";
import { Staging } from "../lxc/staging.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { directoryOf, requireFreeDirectory } from "./lxc-host.ts";
import { replaceable, requireFree, requireRef } from "./references.ts";
import { refuseRunning } from "./container-state.ts";
import { settle, settledRef } from "./settle.ts";

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
  const before = replaceable(store, name, replace);
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
  if (found.type === "container" && found.lxcPath !== null) requireFreeDirectory(found.lxcPath, to);
  const { ref, directory } = found.type === "container" ? await stopped(context, from, found) : { ref: found };
  const changes: RefChange[] = [
    { name: from, before: ref, after: null },
    { name: to, before: null, after: ref },
  ];
  if (directory === undefined) {
    await store.change(command, changes);
    return { from, to };
  }
  using staging = Staging.begin(store.paths.staging, dirname(directory), store.refs);
  const moved = staging.takeAwayAs(from, to);
  refuseStarted(directory);
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

/**
 * Removes names, and containers' LXC directories with them, but for those that are another's by now. All are checked before
 * the first is touched.
 */
export async function remove(context: Context, params: RemoveParams): Promise<{ readonly removed: readonly string[] }> {
  const { store, command } = context;
  const names = [...new Set(params.names)];
  const refs = new Map<string, Ref>();
  for (const name of names) refs.set(name, await requireRef(store, name));
  const directories: string[] = [];
  for (const [name, found] of refs) {
    if (found.type === "layer") continue;
    // What it changed goes into the store before it goes away: its name's history can bring it back.
    const { ref, directory } = await stopped(context, name, found, params.force);
    refs.set(name, ref);
    if (directory !== undefined) directories.push(directory);
  }
  const stagings = new Map<string, Staging>();
  try {
    for (const directory of directories) {
      const lxcPath = dirname(directory);
      let staging = stagings.get(lxcPath);
      if (staging === undefined)
        stagings.set(lxcPath, (staging = Staging.begin(store.paths.staging, lxcPath, store.refs)));
      staging.takeAway(basename(directory));
      refuseStarted(directory);
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

interface Stopped {
  readonly ref: ContainerRef;
  /** Its LXC directory, if it is there and ours. */
  readonly directory?: string | undefined;
}

/** @param stop what runs is stopped, not refused */
async function stopped(context: Context, name: string, ref: ContainerRef, stop = false): Promise<Stopped> {
  let settled = await settle(context, name, ref);
  if (settled.state === "running" && stop && ref.lxcPath !== null) {
    const failure = stopContainer(ref.lxcPath, name);
    if (failure !== undefined) throw new StoreError("PROGRAM_FAILED", { program: "lxc-stop", reason: failure });
    settled = await settle(context, name, settled.ref);
  }
  refuseRunning(name, settled.state, ref.lxcPath);
  const directory = directoryOf(name, ref);
  if (settled.state === "foreign")
    warn(context, `${directory ?? ""} is not a container of this store any more: it stays`);
  return { ref: settled.ref, directory: settled.state === "stopped" ? directory : undefined };
}

/** A start that slipped in between the look and the move: whoever disposes of the staging puts the directory back. */
function refuseStarted(directory: string): void {
  const place = { name: basename(directory), lxcPath: dirname(directory) };
  if (runningContainers().isRunning(place)) refuseRunning(place.name, "running", place.lxcPath);
}
