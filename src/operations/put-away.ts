import type { ContainerRef } from "../containers/records.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { getValues } from "../lxc/config-file.ts";
import { clearPending, markPending, readContainerDirectory } from "../lxc/container-directory.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { runningContainers } from "../lxc/running.ts";
import { removeUpper } from "../lxc/upper.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { ExportUsers } from "./export-users.ts";
import { directoryOf } from "./lxc-host.ts";
import { requireContainer } from "./references.ts";
import { settle } from "./settle.ts";

export interface PutAwayParams {
  /** Default: all containers that are stopped. */
  readonly names?: readonly string[];
}

export interface PutAway {
  /** Whose deltas are gone. Their next starts make them anew. */
  readonly names: readonly string[];
  readonly exports: readonly ExportKey[];
}

/**
 * Takes away what the store can make again at the next start: the deltas of stopped containers, and the shared exports that none but these stand
 * on. What the containers hold is in the store.
 *
 * From its `pending` mark on each start of such a container waits in its hook for this store: none finds a part of it.
 *
 * @throws {StoreError} REFUSED if one of `names` is running
 */
export async function putAway(context: Context, params: PutAwayParams = {}): Promise<PutAway> {
  using _operation = context.store.begin();
  const { store } = context;
  const names = new Set<string>();
  for (const name of params.names ?? (await containersOf(context))) {
    const { ref, state } = await settle(context, name, await requireContainer(store, name));
    if (params.names !== undefined) refuseRunning(name, state, ref.lxcPath);
    if (state === "stopped" && putAwayDelta(context, name, ref)) names.add(name);
  }
  const users = await ExportUsers.find(context);
  const isIdle = (key: ExportKey): boolean => !users.isMounted(key) && users.of(key).every((name) => names.has(name));
  const exports = store.exports.keys().filter((key) => users.of(key).length > 0 && isIdle(key));
  for (const key of exports) store.exports.remove(key);
  return { names: [...names], exports };
}

async function containersOf({ store }: Context): Promise<string[]> {
  const names: string[] = [];
  for (const [name, ref] of await store.refs.list(() => undefined))
    if (ref.type === "container" && ref.lxcPath !== null) names.push(name);
  return names;
}

/** @returns false for one that could not be started again: that has no hooks, or runs by now */
function putAwayDelta({ store }: Context, name: string, ref: ContainerRef): boolean {
  const directory = directoryOf(name, ref);
  const found = directory === undefined ? undefined : readContainerDirectory(directory);
  if (directory === undefined || ref.lxcPath === null || found?.type !== "container") return false;
  if (!getValues(found.config, "lxc.include").includes(hooksFile(store.paths))) return false;
  const { upper } = found.rootfs;
  if (found.pendingGeneration === undefined) markPending(directory, ref.generation);
  // A start that went before the mark shows by now.
  if (runningContainers().isRunning({ name, lxcPath: ref.lxcPath, upper })) {
    if (found.pendingGeneration === undefined) clearPending(directory);
    return false;
  }
  removeUpper(upper);
  return true;
}
