import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import { byteStringOf } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncPath, temporarySuffix, writeFileDurably } from "../sys/durable.ts";
import { type ConfigFile, formatConfig, getValue, parseConfig, setValue, writeConfig } from "./config-file.ts";
import { formatRootfsPath, type OverlayRootfs, parseRootfsPath, type RootfsPath } from "./rootfs-path.ts";
import { isDirectory, isUncaptured } from "./upper.ts";

export interface ContainerDirectoryOptions {
  readonly name: string;
  /** Names the place that the directory will have in the end, not the one where it is made. */
  readonly config: ConfigFile;
  /** What its `rootfs` points to, for people: the topmost of the exports that it stands on. */
  readonly exportPath: string;
  /** The caller makes `delta0`, or the first start does, as the store's record of that generation says. */
  readonly delta: "none" | { readonly pending: number };
  /** The group of the container's root outside, if that is not root's: it has to get to `delta0`. */
  readonly mappedGid?: number | undefined;
}

/** What stands in a container's LXC directory, or why it is none that delta0 could work with. */
export type ContainerDirectory = OwnDirectory | ForeignDirectory;

export interface OwnDirectory {
  readonly type: "container";
  readonly config: ConfigFile;
  readonly rootfs: OverlayRootfs;
  /** The upper is to be made anew from the store's record of this generation, before anything reads or mounts it. */
  readonly pendingGeneration: number | undefined;
  readonly hasUpper: boolean;
  /** It was mounted since the last capture that was finished. */
  readonly uncaptured: boolean;
}

export interface ForeignDirectory {
  readonly type: "none";
  readonly reason: "missing" | "no config" | "foreign rootfs";
}

/**
 * Makes LXCPATH/NAME, or what becomes that, below `parent`: of at most four inodes, with modes as LXC's own.
 *
 * Nothing is synced: whoever makes a thousand calls syncfs(2) once.
 *
 * @throws {StoreError} EXISTS
 */
export function makeContainerDirectory(parent: string, options: ContainerDirectoryOptions): void {
  const { exportPath, delta } = options;
  const directory = makePlainDirectory(parent, options);
  symlinkSync(exportPath, `${directory}/rootfs`);
  if (delta !== "none") makeFile(`${directory}/${PENDING}`, `${delta.pending}\n`, 0o640);
}

/**
 * As `makeContainerDirectory`, for a container that LXC alone is to know: with its config, and nothing else.
 *
 * @returns its path
 */
export function makePlainDirectory(
  parent: string,
  { name, config, mappedGid }: Pick<ContainerDirectoryOptions, "name" | "config" | "mappedGid">,
): string {
  const directory = `${parent}/${name}`;
  try {
    mkdirSync(directory);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    throw new StoreError("EXISTS", { what: `${directory} exists` }, { cause: error });
  }
  makeFile(`${directory}/config`, formatConfig(config), 0o640);
  // Uppers and roots hold set-id programs, old ones too: nobody but root gets to them, the container's or the host's.
  if (mappedGid !== undefined) chownSync(directory, 0, mappedGid);
  chmodSync(directory, mappedGid === undefined ? 0o770 : 0o710);
  return directory;
}

/**
 * Makes the directory that lxc-create has made a container's. Its `rootfs` stays what it is until `linkRootfs`: for as long as
 * lxc-create may fail, it removes what it finds there.
 */
export function fillContainerDirectory(
  directory: string,
  { config, delta }: Pick<ContainerDirectoryOptions, "config" | "delta">,
): void {
  if (delta !== "none") makeFile(`${directory}/${PENDING}`, `${delta.pending}\n`, 0o640);
  writeConfig(`${directory}/config`, config);
}

/** Puts the symlink for people in the place of the storage that lxc-create has made, which is empty. */
export function linkRootfs(directory: string, exportPath: string): void {
  for (const name of ["rootfs", "overlay/delta", "overlay/work", "overlay"]) rmdirIfThere(`${directory}/${name}`);
  replaceSymlink(directory, "rootfs", exportPath);
}

/**
 * Makes a container's directory anew where it is gone, durably. A kill leaves one without a config, which is none to LXC.
 *
 * @param options `pending` is the generation of the store's record
 */
export function remakeContainerDirectory(
  directory: string,
  options: Pick<ContainerDirectoryOptions, "config" | "exportPath" | "mappedGid"> & { readonly pending: number },
): void {
  const { config, exportPath, mappedGid, pending } = options;
  mkdirSync(directory);
  if (mappedGid !== undefined) chownSync(directory, 0, mappedGid);
  chmodSync(directory, mappedGid === undefined ? 0o770 : 0o710);
  markPending(directory, pending);
  replaceSymlink(directory, "rootfs", exportPath);
  writeFileDurably(`${directory}/config`, formatConfig(config), 0o640);
  syncPath(dirname(directory));
}

/** @throws {StoreError} FORMAT_INVALID for a `pending` that holds no generation */
export function readContainerDirectory(directory: string): ContainerDirectory {
  const bytes = readIfThere(`${directory}/config`);
  if (bytes === undefined) return { type: "none", reason: existsSync(directory) ? "no config" : "missing" };
  const config = parseConfig(bytes);
  const rootfs = rootfsOf(config);
  if (rootfs?.type !== "overlay") return { type: "none", reason: "foreign rootfs" };
  return {
    type: "container",
    config,
    rootfs,
    pendingGeneration: pendingGeneration(directory),
    hasUpper: isDirectory(rootfs.upper),
    uncaptured: isUncaptured(rootfs.upper),
  };
}

/**
 * Has the container stand on other exports from its next start on, the topmost first: a start that is under way has read its config.
 * Durable.
 *
 * @throws {StoreError} REFUSED if LXC could not mount that, or if the directory is not a container's of ours
 */
export function setLowers(directory: string, lowers: readonly string[]): void {
  const state = readContainerDirectory(directory);
  if (state.type === "none") {
    throw new StoreError("REFUSED", { reason: `${directory} is no container of delta0: ${state.reason}` });
  }
  const value = formatRootfsPath({ lowers, upper: state.rootfs.upper }, getValue(state.config, "lxc.rootfs.options"));
  writeConfig(`${directory}/config`, setValue(state.config, "lxc.rootfs.path", value));
  replaceSymlink(directory, "rootfs", lowers[0] ?? "");
}

/** Says, durably, that the upper is to be made anew from the store's record of that generation. */
export function markPending(directory: string, generation: number): void {
  writeFileDurably(`${directory}/${PENDING}`, `${generation}\n`, 0o640);
}

/** Says, durably, that the upper is as it should be. */
export function clearPending(directory: string): void {
  using handle = DirectoryHandle.open(directory);
  if (!handle.list().some((name) => name === PENDING)) return;
  handle.unlink(PENDING);
  handle.sync();
}

/** Beside a container's config while its upper has to be made anew. */
const PENDING = "pending";

function pendingGeneration(directory: string): number | undefined {
  // Mostly it is not there: to fail at opening it takes ten times as long.
  if (lstatSync(`${directory}/${PENDING}`, { throwIfNoEntry: false }) === undefined) return undefined;
  const text = readIfThere(`${directory}/${PENDING}`)?.toString("latin1");
  if (text === undefined) return undefined;
  const generation = /^([0-9]{1,15})\n$/.exec(text)?.[1];
  if (generation !== undefined) return Number(generation);
  throw new StoreError("FORMAT_INVALID", { record: `${directory}/${PENDING}`, reason: "holds no generation" });
}

function rootfsOf(config: ConfigFile): RootfsPath | undefined {
  const value = getValue(config, "lxc.rootfs.path");
  return value === undefined ? undefined : parseRootfsPath(value);
}

function replaceSymlink(directory: string, name: string, target: string): void {
  using handle = DirectoryHandle.open(directory);
  const temporary = name + temporarySuffix();
  handle.symlink(byteStringOf(target), temporary);
  try {
    handle.rename(temporary, handle, name);
  } catch (error) {
    handle.unlink(temporary);
    throw error;
  }
  syncPath(directory);
}

function rmdirIfThere(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function makeFile(path: string, bytes: Uint8Array | string, mode: number): void {
  writeFileSync(path, bytes, { flag: "wx", mode });
  chmodSync(path, mode);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
