import { basename, dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import { parseConfig } from "../lxc/config-file.ts";
import { readContainerDirectory, setLowers } from "../lxc/container-directory.ts";
import type { OwnDirectory } from "../lxc/container-directory.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { runningContainers } from "../lxc/running.ts";
import { isDirectory } from "../lxc/upper.ts";
import type { Digest } from "../model/digest.ts";
import { makeUpper } from "./change-container.ts";
import type { Context } from "./context.ts";
import { findOver, removeOver } from "./ephemeral.ts";
import { foldForStart } from "./fold.ts";
import { idMapOfExport, warnOfLosses } from "./id-maps.ts";
import { applyIdentity } from "./identity.ts";
import { settle } from "./settle.ts";
import { standsOn } from "./standing.ts";

/** What LXC tells its hooks, in their environment. */
export interface HookParams {
  /** LXC_CONFIG_FILE: that of the container, whoever's it is by now. */
  readonly configFile: string;
  /** LXC_ROOTFS_PATH: what this start mounts, whatever the config says by now. */
  readonly rootfsPath: string;
}

/**
 * Gets a container ready to start: the exports that it stands on, the identity that it waits for, and its upper. A container
 * the store does not know, such as a copy that lxc-copy made, gets the exports alone.
 *
 * @throws {StoreError} REFUSED if the upper is missing though it should hold changes: LXC would make it anew, empty
 */
export async function preStart(context: Context, params: HookParams): Promise<void> {
  using _operation = context.store.begin();
  const { store } = context;
  const stack = stackOf(context, params.rootfsPath);
  if (stack === undefined) return;
  const lower = treeOfStack(stack);
  const directory = dirname(params.configFile);
  const name = basename(directory);
  const found = readContainerDirectory(directory);
  const known = store.refs.find(name);
  const recorded = known?.type === "container" && known.lxcPath === dirname(directory) ? known : undefined;
  const idMap = idMapOfExport(stack[0], recorded, found.type === "none" ? parseConfig("") : found.config);
  const made = await store.exports.ensure(stack, { idMap });
  for (const { losses } of made) warnOfLosses(context, `the export of ${lower}`, losses);
  if (found.type === "none") return;
  if (recorded === undefined) {
    const { upper } = found.rootfs;
    if (!upper.startsWith(`${directory}/`) && !isDirectory(upper)) throw movedAway(name, directory, found);
    return;
  }
  // What views changed, after they announced it.
  const isAnnounced = found.pendingGeneration !== undefined && !found.uncaptured;
  let ref = isAnnounced ? await foldForStart(context, name, recorded) : recorded;
  if (ref.identityPending && isPending(found, ref.generation))
    ref = await applyIdentity(context, name, ref, found.config);
  const upper = { lower, tree: ref.tree, idMap };
  if (standsOn(store, found)?.join() !== stack.join()) {
    // This start has read its config before a command changed it: what it mounts is what counts.
    setLowers(directory, store.exports.pathsOf(stack));
    await makeUpper(context, directory, upper);
  } else if (isPending(found, ref.generation)) {
    await makeUpper(context, directory, upper);
  } else if (!found.hasUpper) {
    if (ref.tree !== lower) throw missingUpper(context, name, found, ref.tree);
    await makeUpper(context, directory, upper);
  }
}

/** Captures what a container changed, now that it has stopped; an ephemeral one is removed. */
export async function postStop(context: Context, params: HookParams): Promise<void> {
  const directory = dirname(params.configFile);
  const name = basename(directory);
  const ref = context.store.refs.find(name);
  if (ref?.type !== "container" || ref.lxcPath !== dirname(directory)) return;
  const over = findOver(context.store, name, ref, runningContainers());
  if (over === undefined) await settle(context, name, ref);
  else await removeOver(context, name, ref, over);
}

function isPending({ pendingGeneration, uncaptured }: OwnDirectory, generation: number): boolean {
  return pendingGeneration !== undefined && pendingGeneration <= generation && !uncaptured;
}

/** The exports that a rootfs stands on. */
function stackOf({ store }: Context, rootfsPath: string): ExportStack | undefined {
  const rootfs = parseRootfsPath(rootfsPath.startsWith("overlay") ? rootfsPath : `overlay:${rootfsPath}`);
  return rootfs.type === "overlay" ? store.exports.stackOf(rootfs.lowers) : undefined;
}

/** LXC would make it, empty. */
function movedAway(name: string, directory: string, { rootfs }: OwnDirectory): StoreError {
  return new StoreError("REFUSED", {
    reason: `${name}: ${rootfs.upper} is missing: ${directory} was moved, and the store has no container ${name} there`,
    hint: `move it back to ${dirname(rootfs.upper)}, then use delta0 rename`,
  });
}

function missingUpper({ store }: Context, name: string, found: OwnDirectory, tree: Digest): StoreError {
  const { entries } = store.trees.tree(tree).root.listing;
  return new StoreError("REFUSED", {
    reason: `${name}: ${found.rootfs.upper} is missing, though the store has changes of ${name} (${entries} entries in all)`,
    hint: `put it back, or have it as it was last captured: delta0 lxc repair ${name}`,
  });
}
