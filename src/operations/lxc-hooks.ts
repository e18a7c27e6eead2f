import type { Ref } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import { getValues } from "../lxc/config-file.ts";
import { hooksFile, removeHookFiles } from "../lxc/hooks.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { lxcContainers, namesIn, readForeignConfig } from "./foreign.ts";
import { ensureHooks } from "./lxc-host.ts";

export interface HooksParams {
  /** Everything is checked, and nothing written or removed. */
  readonly dryRun?: boolean;
}

export interface HooksChanged {
  readonly directory: string;
  /** The files that were not as they should be. */
  readonly changed: readonly string[];
}

/** Writes the hooks that containers' configs take in anew, where delta0 or Node has moved. */
export async function installHooks({ store }: Context, params: HooksParams = {}): Promise<HooksChanged> {
  return await Promise.resolve({ directory: store.paths.lxc, changed: ensureHooks(store, params) });
}

/**
 * Takes the hooks away that containers' configs take in. The next container that is made brings them back.
 *
 * @throws {StoreError} REFUSED while a config takes them in: LXC could not load that any more
 */
export async function removeHooks({ store }: Context, { dryRun = false }: HooksParams = {}): Promise<HooksChanged> {
  const refs: [name: string, ref: Ref][] = [];
  for (const [name, ref] of await store.refs.list(raise)) refs.push([name, ref]);
  const users = includersOf(store, refs);
  if (users.length > 0) {
    const more = users.length > MOST_NAMES ? ` and ${users.length - MOST_NAMES} more` : "";
    throw new StoreError("REFUSED", {
      reason: `the hooks are in use by ${users.slice(0, MOST_NAMES).join(", ")}${more}; nothing was removed`,
      hint: `remove these containers, or the line "lxc.include = ${hooksFile(store.paths)}" from their configs`,
    });
  }
  return { directory: store.paths.lxc, changed: removeHookFiles(store.paths, { dryRun }) };
}

const MOST_NAMES = 10;

/** The containers whose configs take in our hooks, and the snapshots that LXC itself has made of them. */
function includersOf(store: Store, refs: readonly (readonly [name: string, ref: Ref])[]): string[] {
  const file = hooksFile(store.paths);
  const includes = (directory: string): boolean => {
    const config = readForeignConfig(`${directory}/config`);
    return config !== undefined && getValues(config, "lxc.include").includes(file);
  };
  const users: string[] = [];
  for (const { name, lxcPath } of lxcContainers(store, refs)) {
    const directory = `${lxcPath}/${name}`;
    if (includes(directory)) users.push(name);
    for (const snap of namesIn(`${directory}/snaps`))
      if (includes(`${directory}/snaps/${snap}`)) users.push(`${name}/snaps/${snap}`);
  }
  return users;
}

/** A container that cannot be read may need them. */
function raise(_name: string, error: StoreError): never {
  throw error;
}
