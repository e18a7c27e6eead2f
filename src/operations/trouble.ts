import type { Ref } from "../containers/records.ts";
import { getValue, getValues } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import { isDirectory } from "../lxc/upper.ts";
import type { Store } from "../store.ts";
import type { Settled } from "./container-state.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { lxcContainers, readForeignConfig } from "./foreign.ts";
import { directoryOf } from "./lxc-host.ts";

/** What somebody did to a container's LXC directory behind our back, for people. */
export interface Trouble {
  readonly what: string;
  /** What can be done about it. */
  readonly remedy: string;
  /** All is still there, but elsewhere. */
  readonly isMoved?: boolean;
}

type Found = readonly [name: string, settled: Pick<Settled, "ref" | "state">];

/** Warns of each of these containers whose LXC directory is gone, or is none of ours any more. */
export function warnOfTrouble(context: Context, containers: readonly Found[]): void {
  for (const [name, { what, remedy }] of troublesOf(context.store, containers))
    warn(context, `${name}: ${what}: ${remedy}`);
}

/** By the names of those that have any. */
export function troublesOf(store: Store, containers: readonly Found[]): Map<string, Trouble> {
  const troubles = new Map<string, Trouble>();
  let byUpper: ReadonlyMap<string, string> | undefined;
  for (const [name, { ref, state }] of containers) {
    const directory = directoryOf(name, ref);
    if (directory === undefined) continue;
    if (state === "foreign") troubles.set(name, foreignTrouble(store, name, directory));
    if (state !== "missing") continue;
    byUpper ??= directoriesByUpper(
      store,
      containers.map(([name, { ref }]) => [name, ref]),
    );
    troubles.set(name, missingTrouble(name, directory, byUpper.get(`${directory}/delta0`)));
  }
  return troubles;
}

/** Whether that config, of a container's directory, was ours once: nobody else's has these marks. */
export function wasOurs(store: Store, directory: string, config: ConfigFile): boolean {
  return getValues(config, "lxc.include").includes(hooksFile(store.paths)) || isDirectory(`${directory}/delta0`);
}

function missingTrouble(name: string, directory: string, movedTo: string | undefined): Trouble {
  if (movedTo !== undefined)
    return {
      what: `its LXC directory was moved to ${movedTo}, where it cannot start`,
      remedy: `move it back to ${directory}, then use delta0 rename`,
      isMoved: true,
    };
  return {
    what: `its LXC directory ${directory} is gone`,
    remedy: `delta0 lxc repair ${name} makes it anew as it was last captured, delta0 rm ${name} forgets it`,
  };
}

function foreignTrouble(store: Store, name: string, directory: string): Trouble {
  const config = readForeignConfig(`${directory}/config`);
  if (config === undefined)
    return {
      what: `there is no ${directory}/config that could be read`,
      remedy: `delta0 lxc repair ${name} writes it anew`,
    };
  if (!wasOurs(store, directory, config))
    return {
      what: `${directory} is another container's by now`,
      remedy: `move that away, or forget ours: delta0 rm ${name}`,
    };
  return {
    what: `its config has lxc.rootfs.path = ${getValue(config, "lxc.rootfs.path") ?? ""}, which is not delta0's`,
    remedy: `delta0 lxc repair ${name} puts it back`,
  };
}

/** The directories of LXC containers by the uppers that their configs name. */
function directoriesByUpper(
  store: Store,
  refs: readonly (readonly [name: string, ref: Ref])[],
): ReadonlyMap<string, string> {
  const directories = new Map<string, string>();
  for (const { name, lxcPath } of lxcContainers(store, refs)) {
    const config = readForeignConfig(`${lxcPath}/${name}/config`);
    const rootfs = parseRootfsPath((config && getValue(config, "lxc.rootfs.path")) ?? "");
    if (rootfs.type === "overlay") directories.set(rootfs.upper, `${lxcPath}/${name}`);
  }
  return directories;
}
