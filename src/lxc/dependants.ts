import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { errnoOf, isStoreError } from "../errors.ts";
import { adoptableRootfs, oldSnapshotsDirectory } from "./adoptable.ts";
import { readConfig } from "./config-file.ts";

/**
 * Directories of containers and snapshots that stand on what is in LXCPATH/NAME, other than its own snapshots: in the same LXC path, and
 * wherever `lxc_snapshots` says that there are clones. What that file says alone counts for nothing: a clone of an overlay has a
 * copy of the upper.
 */
export function dependantsOf(lxcPath: string, name: string): string[] {
  const directory = `${lxcPath}/${name}`;
  const own = [`${directory}/`, `${oldSnapshotsDirectory(lxcPath, name)}/`];
  const candidates = new Set<string>();
  for (const clone of [...containersIn(lxcPath), ...clonesSaidIn(`${directory}/lxc_snapshots`)]) {
    candidates.add(clone);
    for (const snapshot of containersIn(`${clone}/snaps`)) candidates.add(snapshot);
  }
  for (const snaps of containersIn(`${lxcPath}snaps`))
    for (const snapshot of containersIn(snaps)) candidates.add(snapshot);
  return (
    [...candidates]
      .filter((other) => !own.some((prefix) => `${other}/`.startsWith(prefix)))
      // By way of a symlink it is a second time itself.
      .filter((other) => !isWithin(real(other), real(directory)) && standsOn(other, directory))
      .sort()
  );
}

/** Pairs of lines: an LXC path, and a name in it. */
export function parseDependences(text: string): { readonly lxcPath: string; readonly name: string }[] {
  const lines = text.split("\n");
  return lines.flatMap((lxcPath, i) => {
    const name = lines[i + 1];
    return i % 2 === 0 && lxcPath !== "" && name !== undefined && name !== "" ? { lxcPath, name } : [];
  });
}

function clonesSaidIn(file: string): string[] {
  return parseDependences(unlessUnreadable(() => readFileSync(file, "utf8")) ?? "").map(
    ({ lxcPath, name }) => `${lxcPath}/${name}`,
  );
}

/** True also where it reaches in by a symlink. */
function standsOn(other: string, directory: string): boolean {
  const config = unlessUnreadable(() => readConfig(`${other}/config`));
  if (config === undefined) return false;
  try {
    const { lowers, upper } = adoptableRootfs(config, other);
    return [...lowers, upper ?? []]
      .flat()
      .some((path) => isWithin(path, directory) || isWithin(real(path), real(directory)));
  } catch (error) {
    // Storages that are no directories hold what they stand on themselves.
    if (isStoreError(error, "UNSUPPORTED") || isStoreError(error, "USAGE")) return false;
    throw error;
  }
}

export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function real(path: string): string {
  return unlessUnreadable(() => realpathSync(path)) ?? path;
}

function containersIn(directory: string): string[] {
  const names = unlessUnreadable(() => readdirSync(directory)) ?? [];
  return names.filter((name) => !name.startsWith(".")).map((name) => `${directory}/${name}`);
}

/** LXC paths are other people's, too. */
function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
