import { lstatSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { readMounts } from "../sys/mounts.ts";
import type { Adoptable } from "./adoptable.ts";
import { dependantsOf, isWithin } from "./dependants.ts";
import { ROOT_FILESYSTEM_ENTRIES } from "./supplant.ts";

/**
 * Whether the directory of a container can be replaced once the store has all that the container consists of.
 *
 * @throws {StoreError} REFUSED if others stand on it, if something is mounted in it, or if it holds another root filesystem or upper
 *   than those that its configs name: what was not read would be lost
 */
export function requireConvertible(container: Adoptable): void {
  const { name, lxcPath, directory } = container;
  const dependants = dependantsOf(lxcPath, name);
  if (dependants.length > 0)
    throw new StoreError("REFUSED", {
      reason: `${dependants.join(", ")} ${dependants.length === 1 ? "stands" : "stand"} on the files of ${directory}`,
      hint: "convert or destroy them first, or adopt it without --convert",
    });
  const mount = mountsWithin(directory)[0];
  if (mount !== undefined)
    throw new StoreError("REFUSED", { reason: `${mount} is a mount in ${directory}`, hint: `umount ${mount}` });
  const unread = firstUnread(container);
  if (unread !== undefined)
    throw new StoreError("REFUSED", {
      reason: `${unread} belongs to no root filesystem or snapshot that a config of ${name} names, and would be lost`,
      hint: "move it out of the container's directory",
    });
}

/** Where something is mounted at `directory` or below it. */
export function mountsWithin(directory: string): string[] {
  return readMounts().flatMap(({ mountPoint }) => (isWithin(mountPoint, directory) ? mountPoint : []));
}

function firstUnread({ directory, rootfs, snapshots }: Adoptable): string | undefined {
  const read = new Set<string>();
  for (const { lowers, upper } of [rootfs, ...snapshots.map((snapshot) => snapshot.rootfs)]) {
    for (const path of lowers) read.add(path);
    if (upper === undefined) continue;
    read.add(upper);
    // What overlayfs keeps there is of no use without a mount.
    for (const work of ["work", "olwork"]) read.add(`${dirname(upper)}/${work}`);
  }
  const snapshotDirectories = new Set(snapshots.map((snapshot) => snapshot.directory));
  const unreadIn = (path: string): string | undefined => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || read.has(path)) return undefined;
    if (stat.isSymbolicLink()) return undefined;
    if (!stat.isDirectory()) return path;
    if (snapshotDirectories.has(path)) return unreadAmong(path);
    for (const child of readdirSync(path)) {
      const below = `${path}/${child}`;
      const holdsMore = ["overlay", "snaps"].includes(basename(path));
      const unread = holdsMore ? unreadIn(below) : below;
      if (unread !== undefined) return unread;
    }
    return undefined;
  };
  const unreadAmong = (path: string): string | undefined => {
    for (const entry of ROOT_FILESYSTEM_ENTRIES) {
      if (NOTES.has(entry)) continue;
      const unread = unreadIn(`${path}/${entry}`);
      if (unread !== undefined) return unread;
    }
    return undefined;
  };
  return unreadAmong(directory);
}

/** Files of LXC's, and of ours. */
const NOTES: ReadonlySet<string> = new Set([
  ...["config", "rootfs.hold", "partial", "pending", "lxc_snapshots", "lxc_rdepends"],
]);
