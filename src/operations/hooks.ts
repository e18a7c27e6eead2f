import { basename, dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { parseConfig } from "../lxc/config-file.ts";
import { readContainerDirectory, setExport } from "../lxc/container-directory.ts";
import type { OwnDirectory } from "../lxc/container-directory.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { runningContainers } from "../lxc/running.ts";
import type { Digest } from "../model/digest.ts";
import { makeUpper } from "./change-container.ts";
import type { Context } from "./context.ts";
import { findOver, removeOver } from "./ephemeral.ts";
import { foldForStart } from "./fold.ts";
import { idMapOfExport, warnOfLosses } from "./id-maps.ts";
import { applyIdentity } from "./identity.ts";
import { settle } from "./settle.ts";

/** What LXC tells its hooks, in their environment. */
export interface HookParams {
  /** LXC_CONFIG_FILE: that of the container, whoever's it is by now. */
  readonly configFile: string;
  /** LXC_ROOTFS_PATH: what this start mounts, whatever the config says by now. */
  readonly rootfsPath: string;
}

/**
 * Gets a container ready to start: the export that it stands on, the identity that it waits for, and its upper. A container
 * the store does not know, such as a copy that lxc-copy made, gets the export alone.
 *
 * @throws {StoreError} REFUSED if the upper is missing though it should hold changes: LXC would make it anew, empty
 */
export async function preStart(context: Context, params: HookParams): Promise<void> {
  const { store } = context;
  const key = keyOf(context, params.rootfsPath);
  if (key === undefined) return;
  const lower = partsOfKey(key).tree;
  const directory = dirname(params.configFile);
  const name = basename(directory);
  const found = readContainerDirectory(directory);
  const known = store.refs.find(name);
  const recorded = known?.type === "container" && known.lxcPath === dirname(directory) ? known : undefined;
  const idMap = idMapOfExport(key, recorded, found.type === "none" ? parseConfig("") : found.config);
  const made = await store.exports.ensure(lower, { idMap });
  warnOfLosses(context, `the export of ${lower}`, made?.losses ?? []);
  if (found.type === "none" || recorded === undefined) return;
  // What views changed, after they announced it.
  const isAnnounced = found.pendingGeneration !== undefined && !found.uncaptured;
  let ref = isAnnounced ? await foldForStart(context, name, recorded) : recorded;
  if (ref.identityPending && isPending(found, ref.generation))
    ref = await applyIdentity(context, name, ref, found.config);
  const upper = { lower, tree: ref.tree, idMap };
  if (keyOf(context, `overlay:${found.rootfs.lowers[0] ?? ""}:/`) !== key) {
    // This start has read its config before a command changed it: what it mounts is what counts.
    setExport(directory, store.exports.path(key));
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

/** The export that a rootfs has as its one lower. */
function keyOf({ store }: Context, rootfsPath: string): ExportKey | undefined {
  const rootfs = parseRootfsPath(rootfsPath.startsWith("overlay") ? rootfsPath : `overlay:${rootfsPath}`);
  if (rootfs.type !== "overlay" || rootfs.lowers.length !== 1) return undefined;
  return store.exports.keyOf(rootfs.lowers[0] ?? "");
}

function missingUpper({ store }: Context, name: string, found: OwnDirectory, tree: Digest): StoreError {
  const { entries } = store.trees.tree(tree).root.listing;
  return new StoreError("REFUSED", {
    reason: `${name}: ${found.rootfs.upper} is missing, though the store has changes of ${name} (${entries} entries in all)`,
    hint: `put it back, or clone ${name} to have its last captured state`,
  });
}
