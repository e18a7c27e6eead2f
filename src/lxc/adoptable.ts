import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import type { IdMap } from "../model/id-map.ts";
import { compareNumerically } from "../model/numeric-order.ts";
import { isDirectory } from "../sys/is-directory.ts";
import { type ConfigFile, getValue, getValues, readConfig } from "./config-file.ts";
import { idMapOf } from "./id-map-config.ts";
import { parseRootfsPath } from "./rootfs-path.ts";

/** An LXC container that was made without delta0: where all that it consists of lies. */
export interface Adoptable {
  readonly name: string;
  readonly lxcPath: string;
  /** LXCPATH/NAME. */
  readonly directory: string;
  readonly config: ConfigFile;
  readonly rootfs: AdoptableRootfs;
  /** In the order in which they were taken. */
  readonly snapshots: readonly AdoptableSnapshot[];
}

export interface AdoptableSnapshot {
  /** As LXC names them: snap0, snap1. */
  readonly snapshot: string;
  readonly directory: string;
  readonly message: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly config: ConfigFile;
  readonly rootfs: AdoptableRootfs;
}

export interface AdoptableRootfs {
  /** Directories, absolute; the first is the topmost. Of a root filesystem that is no overlay, that alone. */
  readonly lowers: readonly string[];
  /** Undefined if it is no overlay. */
  readonly upper: string | undefined;
  /** The one whose ids the files have; null if they have them as they are inside. */
  readonly idMap: IdMap | null;
}

/**
 * Reads what LXCPATH/NAME says of itself, by its layout of LXC 1 or a later one; no file of its root filesystem is looked at.
 *
 * @throws {StoreError} NOT_FOUND if there is no such container, or a directory that it stands on is missing; SOURCE_INVALID if
 *   one is no directory; UNSUPPORTED for other storages than directories and overlays; REFUSED if it is another store's
 */
export function readAdoptable(lxcPath: string, name: string): Adoptable {
  const directory = `${lxcPath}/${name}`;
  const config = configIn(directory);
  if (config === undefined) {
    const what = existsSync(directory) ? `${directory} has no config` : `no LXC container ${directory}`;
    throw new StoreError("NOT_FOUND", { what, hint: `lxc-ls -P ${lxcPath} lists those that there are` });
  }
  if (existsSync(`${directory}/pending`))
    throw new StoreError("REFUSED", {
      reason: `${directory} waits for changes that a delta0 store has of it`,
      hint: "use that store, or start and stop the container first",
    });
  return {
    name,
    lxcPath,
    directory,
    config,
    rootfs: rootfsOf(config, directory),
    snapshots: snapshotsIn(lxcPath, name),
  };
}

/** Where LXC 1 kept snapshots. LXC 5 goes on to do so if the directory is there. */
export function oldSnapshotsDirectory(lxcPath: string, name: string): string {
  return `${lxcPath}snaps/${name}`;
}

/** A config's root filesystem, whether it is there or not. @throws {StoreError} UNSUPPORTED */
export function adoptableRootfs(config: ConfigFile, where: string): AdoptableRootfs {
  const value = getValue(config, "lxc.rootfs.path") ?? "";
  const unsupported = (what: string): never => {
    throw new StoreError("UNSUPPORTED", {
      what: `${where}: ${what}`,
      hint: "mount its root filesystem and import that: delta0 import DIR NAME",
    });
  };
  if (value === "") return unsupported("its config names no root filesystem");
  // A subvolume is a directory like others to whoever reads it.
  const rootfs = parseRootfsPath(value.replace(/^btrfs:(?=\/)/, ""));
  switch (rootfs.type) {
    case "overlay":
      return { lowers: rootfs.lowers, upper: rootfs.upper, idMap: idMapOf(config) };
    case "directory":
      return { lowers: [rootfs.path], upper: undefined, idMap: hasMappedMount(config) ? null : idMapOf(config) };
    case "other":
      return unsupported(`a root filesystem "${value}" cannot be read as a directory`);
  }
}

/** The kernel shifts the ids of such a directory; on disk they are as inside. */
function hasMappedMount(config: ConfigFile): boolean {
  return getValues(config, "lxc.rootfs.options").some((value) => value.split(",").some((o) => o.startsWith("idmap=")));
}

function rootfsOf(config: ConfigFile, where: string): AdoptableRootfs {
  const rootfs = adoptableRootfs(config, where);
  const { lowers, upper } = rootfs;
  const what = upper === undefined ? "its root filesystem" : "its lower";
  for (const lower of lowers) requireDirectory(lower, where, what, upper === undefined);
  if (upper !== undefined) requireDirectory(upper, where, "its upper", false);
  return rootfs;
}

function requireDirectory(path: string, where: string, what: string, maybeImage: boolean): void {
  if (isDirectory(path)) return;
  if (!existsSync(path))
    throw new StoreError("NOT_FOUND", {
      what: `${where}: ${what} ${path} is missing`,
      hint: "bring it back, or correct lxc.rootfs.path in its config",
    });
  if (maybeImage)
    throw new StoreError("UNSUPPORTED", {
      what: `${where}: ${what} ${path} is no directory`,
      hint: "mount it and import that: delta0 import DIR NAME",
    });
  throw new StoreError("SOURCE_INVALID", { source: path, reason: `is no directory, but ${what.slice(4)} of ${where}` });
}

function snapshotsIn(lxcPath: string, name: string): AdoptableSnapshot[] {
  const found = new Map<string, AdoptableSnapshot>();
  for (const parent of [oldSnapshotsDirectory(lxcPath, name), `${lxcPath}/${name}/snaps`]) {
    for (const snapshot of namesIn(parent)) {
      const directory = `${parent}/${snapshot}`;
      const config = configIn(directory);
      if (config === undefined) continue;
      const other = found.get(snapshot);
      if (other !== undefined)
        throw new StoreError("REFUSED", {
          reason: `there are two snapshots ${snapshot}: ${other.directory} and ${directory}`,
          hint: "rename one of the directories",
        });
      found.set(snapshot, readSnapshot(snapshot, directory, config, `-P ${lxcPath} -n ${name}`));
    }
  }
  return [...found.values()].sort((a, b) => compareNumerically(a.snapshot, b.snapshot));
}

function readSnapshot(snapshot: string, directory: string, config: ConfigFile, of: string): AdoptableSnapshot {
  try {
    return {
      snapshot,
      directory,
      message: (readIfThere(`${directory}/comment`) ?? "").trimEnd(),
      created: createdAt(directory),
      config,
      rootfs: rootfsOf(config, directory),
    };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { code, message } = error as StoreError;
    const hint = `if it is of no more use: lxc-snapshot ${of} -d ${snapshot}`;
    if (code === "NOT_FOUND") throw new StoreError("NOT_FOUND", { what: message, hint }, { cause: error });
    throw error;
  }
}

/** LXC writes "2026:11:25 09:13:33" into `ts`, in the host's time zone. */
function createdAt(directory: string): string {
  const text = readIfThere(`${directory}/ts`) ?? "";
  const [, year, month, day, hour, minute, second] =
    /^(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)/.exec(text)?.map(Number) ?? [];
  const said = new Date(year ?? NaN, (month ?? 1) - 1, day, hour ?? 0, minute, second);
  const time = Number.isNaN(said.getTime()) ? statSync(`${directory}/config`).mtime : said;
  return time.toISOString().replace("Z", "000000Z");
}

function configIn(directory: string): ConfigFile | undefined {
  try {
    return readConfig(`${directory}/config`);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return [];
    throw error;
  }
}
