import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { byteStringOf } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncPath } from "../sys/durable.ts";
import { oldSnapshotsDirectory } from "./adoptable.ts";
import { parseDependences } from "./dependants.ts";
import { exists, moved } from "./move.ts";

/** Before NAME, in a staging: the directory whose place NAME takes. Containers' names have no leading dot. */
export const OLD = ".old-";

/**
 * What in an LXC directory is root filesystem, snapshots, and LXC's notes of them, in any version's layout. All else is
 * the user's own, such as an fstab that the config names.
 */
export const ROOT_FILESYSTEM_ENTRIES: readonly string[] = [
  ...["config", "rootfs", "rootfs.hold", "rootfs.dev", "partial", "pending", "capturing"],
  ...["overlay", "delta0", "olwork", "work", "snaps", "lxc_snapshots", "lxc_rdepends"],
];

/**
 * Puts a container's new directory in the place of its old one, both in a staging. What is the user's own goes along; the
 * snapshots that LXC has of it elsewhere, and its notes of what the old one stood on, go away. The store has all of that by now.
 *
 * May be done again from whatever step it was killed at.
 *
 * @throws {StoreError} EXISTS if the place was taken meanwhile
 */
export function supplant(directory: string, name: string): void {
  const lxcPath = dirname(directory);
  const old = `${directory}/${OLD}${name}`;
  if (exists(`${directory}/${name}`)) {
    moveOwnFiles(old, `${directory}/${name}`);
    moved(directory, name, lxcPath, name);
  }
  removeIfThere(dirname(oldSnapshotsDirectory(lxcPath, name)), name);
  forgetIn(old, lxcPath, name);
}

function moveOwnFiles(from: string, to: string): void {
  using source = DirectoryHandle.open(from);
  using target = DirectoryHandle.open(to);
  const taken = new Set<string>([...ROOT_FILESYSTEM_ENTRIES, ...target.list()].map(byteStringOf));
  for (const child of source.list()) if (!taken.has(child)) source.rename(child, target, child, { noReplace: true });
  target.sync();
  source.sync();
}

/** What it stood on has it, and its snapshots, in `lxc_snapshots`, and LXC destroys no container with such notes. */
function forgetIn(old: string, lxcPath: string, name: string): void {
  const snapshots = `${lxcPath}/${name}/snaps`;
  const oldSnapshots = oldSnapshotsDirectory(lxcPath, name);
  const notes = [old, ...directoriesIn(`${old}/snaps`)].map((each) => `${each}/lxc_rdepends`);
  for (const file of notes) {
    for (const original of exists(file) ? parseDependences(readFileSync(file, "utf8")) : []) {
      const clonesFile = `${original.lxcPath}/${original.name}/lxc_snapshots`;
      if (!exists(clonesFile)) continue;
      const before = parseDependences(readFileSync(clonesFile, "utf8"));
      const after = before.filter(
        (clone) =>
          !(clone.lxcPath === lxcPath && clone.name === name) &&
          clone.lxcPath !== snapshots &&
          clone.lxcPath !== oldSnapshots,
      );
      if (after.length === before.length) continue;
      if (after.length === 0) removeIfThere(dirname(clonesFile), "lxc_snapshots");
      else replaceFile(clonesFile, after.map((clone) => `${clone.lxcPath}\n${clone.name}\n`).join(""));
    }
  }
}

/** By way of one name, always the same: what a kill leaves there, the next try replaces. */
function replaceFile(file: string, text: string): void {
  const temporary = `${file}.delta0`;
  writeFileSync(temporary, text);
  syncPath(temporary);
  renameSync(temporary, file);
  syncPath(dirname(file));
}

function directoriesIn(directory: string): string[] {
  return exists(directory) ? readdirSync(directory).map((name) => `${directory}/${name}`) : [];
}

function removeIfThere(directory: string, name: string): void {
  if (!exists(`${directory}/${name}`)) return;
  using handle = DirectoryHandle.open(directory);
  handle.removeTree(name);
  handle.sync();
}
