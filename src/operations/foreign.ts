import { accessSync, constants, readdirSync, statSync } from "node:fs";
import type { Ref } from "../containers/records.ts";
import { errnoOf } from "../errors.ts";
import type { ExportKey } from "../exports/export-key.ts";
import { getValue, readConfig } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { defaultLxcPath } from "../lxc/lxc-programs.ts";
import { parseRootfsPath } from "../lxc/rootfs-path.ts";
import type { Store } from "../store.ts";

/** An LXC container that stands on an export of the store, and which the store does not know: made by lxc-copy, say. */
export interface ForeignContainer {
  readonly name: string;
  readonly lxcPath: string;
  /** Those of its lowers that are exports of the store, the topmost first; at least one. */
  readonly lowers: readonly ExportKey[];
}

/** In the LXC paths that the store's containers are in, its setting, and LXC's own. */
export function foreignContainers(
  store: Store,
  refs: readonly (readonly [name: string, ref: Ref])[],
): ForeignContainer[] {
  const known = new Set<string>();
  for (const [name, ref] of refs)
    if (ref.type === "container" && ref.lxcPath !== null) known.add(`${ref.lxcPath}/${name}`);
  const found: ForeignContainer[] = [];
  for (const { name, lxcPath } of lxcContainers(store, refs)) {
    if (known.has(`${lxcPath}/${name}`)) continue;
    const lowers = exportsNamedIn(store, `${lxcPath}/${name}/config`);
    if (lowers.length > 0) found.push({ name, lxcPath, lowers });
  }
  return found;
}

/** Whatever stands in these LXC paths as a container, anybody's. */
export function* lxcContainers(
  store: Store,
  refs: readonly (readonly [name: string, ref: Ref])[],
): Generator<{ readonly name: string; readonly lxcPath: string }> {
  const paths = new Set<string>();
  for (const [, ref] of refs) if (ref.type === "container" && ref.lxcPath !== null) paths.add(ref.lxcPath);
  for (const path of [store.settings.find("lxc.path"), defaultLxcPath()]) if (path !== undefined) paths.add(path);
  for (const lxcPath of paths) for (const name of namesIn(lxcPath)) if (!name.startsWith(".")) yield { name, lxcPath };
}

/** The store's exports that an LXC config names, the topmost first; none if there is no config to read. */
export function exportsNamedIn(store: Store, configFile: string): readonly ExportKey[] {
  return lowersOf(configFile).flatMap((lower) => store.exports.keyOf(lower) ?? []);
}

/** Whatever it is that stands on them: an overlay of any number of lowers, or one directory. */
function lowersOf(configFile: string): readonly string[] {
  const config = readForeignConfig(configFile);
  const rootfs = parseRootfsPath((config && getValue(config, "lxc.rootfs.path")) ?? "");
  if (rootfs.type === "overlay") return rootfs.lowers;
  return rootfs.type === "directory" ? [rootfs.path] : [];
}

/** A config that may be anybody's; undefined if there is none to read. */
export function readForeignConfig(file: string): ConfigFile | undefined {
  return isReadable(file) ? readConfig(file) : undefined;
}

/** LXC paths are other people's, too: a config may be gone, a directory, a fifo, or not for this user to read. */
function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** In their order; none of what is no directory to look into. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(errnoOf(error) ?? "")) return [];
    throw error;
  }
}
