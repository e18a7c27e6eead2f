import { statfsSync } from "node:fs";
import type { StatsFs } from "node:fs";
import type { ContainerRef, Ref } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import { asStoreError, StoreError } from "../errors.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { ContainerView } from "../overlay/container-view.ts";
import type { Credentials } from "../overlay/credentials.ts";
import type { Recorded } from "../overlay/shared-upper.ts";
import { processUmask } from "../sys/umask.ts";
import { announceChange } from "./change-container.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { directoryOf } from "./lxc-host.ts";
import { requireContainer } from "./references.ts";
import { settleDirectory } from "./settle.ts";

export interface OpenContainerParams {
  readonly name: string;
  /** Default: permissions are not asked for, and what is made is root's. */
  readonly credentials?: Credentials;
  /** Default: the process's. */
  readonly umask?: number;
}

/**
 * The filesystem of a container, to read and change without exporting it. Good until it is closed, and while the store is open.
 *
 * What a call changed is the container's from then on: commands that read it find it, and an LXC container starts with it. While
 * a view holds changes, a start waits for this process to close the store.
 *
 * @throws {StoreError} NOT_FOUND; REFUSED while it runs. Should it be started later on, changes fail with EBUSY
 */
export async function openContainer(context: Context, params: OpenContainerParams): Promise<ContainerView> {
  const { store } = context;
  const { name, credentials, umask = processUmask() } = params;
  const { ref, state } = await settleDirectory(context, name, await requireContainer(store, name));
  refuseRunning(name, state, ref.lxcPath);
  const upper = await store.uppers.share(
    name,
    () => {
      const now = store.refs.find(name);
      return now?.type === "container" ? recordedOf(now) : undefined;
    },
    () => announce(name, store.refs.find(name)),
  );
  const space = (): StatsFs => statfsSync(store.paths.directory);
  return new ContainerView(upper, { ...(credentials && { credentials }), umask, space });
}

function recordedOf(ref: ContainerRef): Recorded {
  return { tree: ref.tree, version: refVersion(ref) };
}

/** @throws {StoreError} REFUSED if it runs by now, or has been started since it was last captured */
function announce(name: string, ref: Ref | undefined): void {
  if (ref?.type !== "container" || ref.lxcPath === null) return;
  const directory = directoryOf(name, ref);
  if (directory === undefined) return;
  const found = readContainerDirectory(directory);
  if (found.type === "container" && found.uncaptured)
    throw new StoreError("REFUSED", { reason: `"${name}" was started since it was opened`, hint: "open it again" });
  try {
    announceChange(name, ref, directory, ref.lxcPath);
  } catch (error) {
    throw asStoreError(error, `changing ${directory}`);
  }
}
