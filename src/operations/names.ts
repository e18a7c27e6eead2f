import { dirname } from "node:path";
import type { ContainerRef, Layer, LayerRef, Ref, RefChange } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { claimContainer } from "../lxc/claim.ts";
import { stopContainer } from "../lxc/lxc-programs.ts";
import { runningContainers } from "../lxc/running.ts";
import { Staging } from "../lxc/staging.ts";
import type { Digest } from "../model/digest.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { directoryOf, requireFreeDirectory } from "./lxc-host.ts";
import { keepFiles } from "./kept-files.ts";
import { gc } from "./gc.ts";
import { replaceable, requireFree, requireRef } from "./references.ts";
import { refuseRunning } from "./container-state.ts";
import type { Settled } from "./container-state.ts";
import { findOver } from "./ephemeral.ts";
import { settle, settleDirectory, settledRef, settleReadable } from "./settle.ts";
import { sweepExports } from "./sweep-exports.ts";
import { refuseStarted, renamedSnapshots, takeAway } from "./take-away.ts";
import { requireWhole } from "./whole-tree.ts";

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
  using _operation = context.store.begin();
  const { store } = context;
  const { ref, name, replace = false } = params;
  const before = replaceable(store, name, replace);
  const found = await settledRef(context, ref);
  await requireWhole(context, ref, found);
  const layers: Layer[] = [];
  let after: LayerRef;
  // A pin is the name's, not the layer's.
  if (found.kind === "layer") after = { type: "layer", layer: found.ref.layer };
  else {
    const parent = found.kind === "container" ? found.ref.base : null;
    const source = found.kind === "container" ? `container ${found.name}` : `tree ${found.tree}`;
    const layer: Layer = { tree: found.tree, parent, created: timestamp(), message: "", source };
    layers.push(layer);
    after = { type: "layer", layer: layerDigest(layer) };
  }
  await store.change(context, [{ name, before, after }], layers);
  return { name, digest: found.tree };
}

export interface RenameParams {
  readonly from: string;
  readonly to: string;
}

/**
 * Renames a layer, or a container with its snapshots and its LXC directory. Clones stand on trees, not on names: they never notice.
 */
export async function rename(context: Context, { from, to }: RenameParams): Promise<RenameParams> {
  using _operation = context.store.begin();
  const { store } = context;
  const found = await requireRef(store, from);
  requireFree(store, to);
  if (found.type === "container" && found.lxcPath !== null) requireFreeDirectory(found.lxcPath, to);
  const { ref, directory } = found.type === "container" ? await stopped(context, from, found) : { ref: found };
  const files = directory === undefined ? [] : keepFiles(directory);
  const changes: RefChange[] = [
    { name: from, before: ref, after: null, files },
    { name: to, before: null, after: ref, from },
    ...(ref.type === "container" ? await renamedSnapshots(context, from, to) : []),
  ];
  if (directory === undefined) {
    await store.change(context, changes);
    return { from, to };
  }
  using staging = Staging.begin(store.paths.staging, dirname(directory), store.refs);
  const moved = staging.takeAwayAs(from, to);
  refuseStarted(directory);
  staging.sync();
  await store.change(context, changes);
  if (moved) staging.publish(to);
  return { from, to };
}

export interface RemoveParams {
  readonly names: readonly string[];
  /** Stops what runs. */
  readonly force?: boolean;
  /** Nothing brings them back, and their room is given back at once. */
  readonly now?: boolean;
  /** Everything is checked, and nothing removed or stopped. */
  readonly dryRun?: boolean;
}

/**
 * Removes names, with containers their snapshots and their LXC directories, but for those that are another's by now. All are
 * checked before the first is touched.
 */
export async function remove(context: Context, params: RemoveParams): Promise<{ readonly removed: readonly string[] }> {
  using _operation = context.store.begin();
  const { store } = context;
  const { force = false, now = false, dryRun = false } = params;
  using _room = dryRun ? undefined : await store.makeRoom();
  const names = [...new Set(params.names)];
  const refs = new Map<string, Ref>();
  for (const name of names) refs.set(name, await requireRef(store, name));
  const directories: string[] = [];
  for (const [name, found] of refs) {
    if (found.type === "layer") continue;
    // What it changed goes into the store before it goes away, so that its name's history can bring it back, unless nothing shall.
    const running = force ? (dryRun ? "let be" : "stop") : "refuse";
    const { ref, directory } = await stopped(context, name, found, { running, isDiscarded: now });
    refs.set(name, ref);
    if (directory !== undefined) directories.push(directory);
  }
  if (!dryRun) {
    const removed = await takeAway(context, refs, directories);
    if (now) {
      await store.refs.forget(removed);
      await gc(context);
    } else await sweepExports(context);
  }
  return { removed: names };
}

interface Stopped {
  readonly ref: ContainerRef;
  /** Its LXC directory, if it is there and ours. */
  readonly directory?: string | undefined;
}

interface StoppedOptions {
  /** What becomes of one that runs. */
  readonly running?: "refuse" | "stop" | "let be";
  /** What it changed is of no use. */
  readonly isDiscarded?: boolean;
}

async function stopped(
  context: Context,
  name: string,
  ref: ContainerRef,
  { running = "refuse", isDiscarded = false }: StoppedOptions = {},
): Promise<Stopped> {
  const directory = directoryOf(name, ref);
  // Nobody wants to have back what was made to be forgotten.
  const over = findOver(context.store, name, ref, runningContainers());
  if (over !== undefined) return { ref, ...over };
  const look = isDiscarded ? discard : running === "refuse" ? settle : settleReadable;
  let settled = await look(context, name, ref);
  if (settled.state === "running" && running === "stop" && ref.lxcPath !== null) {
    stop(name, ref.lxcPath);
    const over = findOver(context.store, name, ref, runningContainers());
    if (over !== undefined) return { ref, ...over };
    settled = await look(context, name, settled.ref);
  }
  if (running !== "let be") refuseRunning(name, settled.state, ref.lxcPath);
  if (settled.state === "foreign")
    warn(context, `${directory ?? ""} is not a container of this store any more: it stays`);
  return { ref: settled.ref, directory: settled.state === "stopped" ? directory : undefined };
}

async function discard(context: Context, name: string, ref: ContainerRef): Promise<Settled> {
  return await settleDirectory(context, name, ref, { isDiscarded: true });
}

function stop(name: string, lxcPath: string): void {
  // Its post-stop hook would wait for the store, which this process has.
  using _claim = claimContainer(`${lxcPath}/${name}`);
  const failure = stopContainer(lxcPath, name);
  if (failure !== undefined) throw new StoreError("PROGRAM_FAILED", { program: "lxc-stop", reason: failure });
}
