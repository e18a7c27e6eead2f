import { readFileSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { joinPath, ROOT } from "../model/name.ts";
import { formatIdMap, parseIdMap } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import type { TreePath } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { writeFileDurably } from "../sys/durable.ts";
import { PathWalker } from "../sys/path-walker.ts";

/**
 * What an export was when it was made: inode, size and ctime of each entry, in byte order of names, parents first.
 *
 * Nothing changes a file's bytes, metadata or names and leaves its ctime, which no call can set; so a walk (3 µs an
 * entry) finds each change without reading a byte. The root is left out: being renamed into place changes its ctime. So
 * is what a user who is not root has in directories that he may not read: nothing in there changes before their mode.
 */
export type Manifest = ReadonlyMap<TreePath, string>;

export function readExport(directory: string): Manifest {
  const manifest = new Map<TreePath, string>();
  using root = unlessUnreadable(() => DirectoryHandle.open(directory));
  if (root === undefined) return manifest;
  using walker = PathWalker.open(root);
  const pending: TreePath[] = [ROOT];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const names = unlessUnreadable(() => {
      walker.goTo(path);
      return walker.current.list();
    });
    const below: TreePath[] = [];
    for (const name of names ?? []) {
      const child = joinPath(path, name);
      const stat = walker.current.stat(name);
      manifest.set(child, `${stat.ino} ${stat.size} ${stat.ctimeSec}.${stat.ctimeNsec}`);
      if (stat.type === "directory") below.push(child);
    }
    pending.push(...below.reverse());
  }
  return manifest;
}

function unlessUnreadable<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}

/** As `<identity>\t<path>\0` for each entry; no path holds a NUL. Before them `<id map>\0`, its ranges parted by blanks, if there is one. */
export function writeManifest(file: string, manifest: Manifest, idMap: IdMap | null): void {
  const rows = Array.from(manifest, ([path, identity]) => `${identity}\t${path}\0`);
  if (idMap !== null) rows.unshift(`${formatIdMap(idMap).join(" ")}\0`);
  writeFileDurably(file, Buffer.from(rows.join(""), "latin1"), 0o600);
}

/** @throws {StoreError} FORMAT_INVALID, USAGE if it is damaged */
export function readManifest(file: string): { readonly manifest: Manifest; readonly idMap: IdMap | null } {
  const manifest = new Map<TreePath, string>();
  const rows = readFileSync(file, "latin1").split("\0").slice(0, -1);
  const idMap = rows[0]?.includes("\t") === false ? parseIdMap(rows.shift()?.split(" ") ?? []) : null;
  for (const row of rows) {
    const tab = row.indexOf("\t");
    if (tab < 0) throw new StoreError("FORMAT_INVALID", { record: file, reason: "has a row without a tab" });
    manifest.set(row.slice(tab + 1), row.slice(0, tab));
  }
  return { manifest, idMap };
}

/** Paths that are not, or no longer, as the manifest has them. */
export function changedPaths(then: Manifest, now: Manifest): TreePath[] {
  const changed: TreePath[] = [];
  for (const [path, identity] of then) if (now.get(path) !== identity) changed.push(path);
  for (const path of now.keys()) if (!then.has(path)) changed.push(path);
  return changed;
}
