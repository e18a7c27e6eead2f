import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { errnoOf, StoreError } from "./errors.ts";
import { requireVersion } from "./format/record.ts";
import { StorePaths } from "./store-paths.ts";
import { syncPath } from "./sys/durable.ts";
import { isDirectory } from "./sys/is-directory.ts";
import { lock } from "./sys/lock.ts";
import type { Lock } from "./sys/lock.ts";

/**
 * The store's directory, without symlinks in its path: containers' configs name it, and whichever way one comes here, it
 * must be the same. Nothing is written to a directory that holds other things.
 *
 * @param create makes it, with its parents
 * @param isDamaged takes a directory for a store by its databases alone
 * @throws {StoreError} STORE_MISSING, REFUSED, USAGE, FORMAT_INVALID if it is a store that has lost its `format`
 */
export function findStore(directory: string, create: boolean, isDamaged = false): string {
  if (create) makeDirectory(directory);
  let found: string;
  let names: string[];
  try {
    found = realpathSync(directory);
    names = readdirSync(found);
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    throw new StoreError("STORE_MISSING", { directory }, { cause: error });
  }
  const { format, initialising, lock } = new StorePaths(found);
  const isStore = [format, initialising].some((file) => names.includes(basename(file)));
  const { meta, chunks } = new StorePaths(found);
  if (!isStore && [meta, chunks].some((part) => names.includes(basename(part)))) {
    if (isDamaged) return found;
    throw new StoreError("FORMAT_INVALID", { record: format, reason: "is lost", hint: "delta0 fsck --repair" });
  }
  if (!isStore && !create) throw new StoreError("STORE_MISSING", { directory });
  if (!isStore && names.some((name) => name !== basename(lock)))
    throw new StoreError("REFUSED", {
      reason: `${directory} is not empty and holds no store`,
      hint: "name an empty or new directory",
    });
  return found;
}

/** With its parents. Not by mkdirSync's own way of that: on a read-only filesystem it says ENOENT. */
function makeDirectory(directory: string): void {
  if (isDirectory(directory)) return;
  makeDirectory(dirname(resolve(directory)));
  try {
    mkdirSync(directory, { mode: 0o700 });
    syncPath(dirname(resolve(directory)));
  } catch (error) {
    // What /proc says, whose parent is there: it makes none.
    if (errnoOf(error) === "ENOENT")
      throw new StoreError(
        "NOT_PERMITTED",
        { action: `making ${directory}`, hint: "its filesystem takes no new directories" },
        { cause: error },
      );
    if (errnoOf(error) !== "EEXIST") throw error;
    if (!isDirectory(directory))
      throw new StoreError("USAGE", { reason: `${directory} is not a directory` }, { cause: error });
  }
}

/** Lays out a new store, up to its databases. */
export function prepareDirectory(paths: StorePaths): void {
  const { exports, privateExports, manifests, staging, lxc } = paths;
  writeFileSync(paths.initialising, "");
  for (const database of [paths.meta, paths.chunks]) rmSync(database, { recursive: true, force: true });
  for (const part of [exports, privateExports, manifests, staging, lxc])
    mkdirSync(part, { recursive: true, mode: 0o700 });
  syncPath(paths.directory);
}

/** For whoever waits for the store. Where there is no room for it, he does without. */
export function noteOwner(paths: StorePaths, command: string): void {
  try {
    writeFileSync(paths.owner, JSON.stringify({ pid: process.pid, command, since: new Date().toISOString() }), {
      mode: 0o600,
    });
  } catch (error) {
    if (!["ENOSPC", "EDQUOT", "EROFS"].includes(errnoOf(error) ?? "")) throw error;
  }
}

/** @throws {StoreError} STORE_LOCKED after the wait */
export async function lockStore(paths: StorePaths, waitSeconds: number): Promise<Lock> {
  const taken = await lock(paths.lock, { waitMs: waitSeconds * 1000 });
  if (taken !== undefined) return taken;
  throw lockedStore(paths, waitSeconds);
}

/** Another process has the store open, and did not do what was asked for. */
export function lockedStore(paths: StorePaths, waitedSeconds: number): StoreError {
  const owner = ownerOf(paths);
  return new StoreError("STORE_LOCKED", {
    directory: paths.directory,
    waitedSeconds,
    ...(owner === undefined ? {} : { owner }),
  });
}

function ownerOf(paths: StorePaths): string | undefined {
  try {
    const { pid, command, since } = JSON.parse(readFileSync(paths.owner, "utf8")) as Record<string, unknown>;
    if (typeof pid !== "number" || typeof command !== "string" || typeof since !== "string") return undefined;
    const state = isStopped(pid) ? ", which is stopped (kill -CONT lets it go on)," : "";
    return `pid ${pid} ("${command}")${state} for ${Math.round((Date.now() - Date.parse(since)) / 1000)} s`;
  } catch {
    // Who it is was for information only: the owner may be writing it just now.
    return undefined;
  }
}

function isStopped(pid: number): boolean {
  return /^State:\t[Tt]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function checkFormat(paths: StorePaths): void {
  const version = /^delta0 store\nformat ([0-9]+)\n$/.exec(readFileSync(paths.format, "utf8"))?.[1];
  requireVersion(version === undefined ? undefined : Number(version), paths.format);
}
