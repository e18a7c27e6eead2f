import { closeSync, readSync } from "node:fs";
import { errnoOf } from "../../src/errors.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import type { Stat } from "../../src/sys/stat.ts";
import { knownTime, type Snapshot, statFields } from "./operations.ts";
import { hashOf, nodeFields } from "./model-tree.ts";

/** What a directory shows, to the bottom. */
export function snapshotDirectory(path: string): Snapshot {
  const snapshot = new Map<string, Record<string, string>>();
  const first = new Map<string, string>();
  using root = DirectoryHandle.open(path);
  visit(root, undefined, "");
  return snapshot;

  function visit(directory: DirectoryHandle, name: string | undefined, at: string): void {
    const stat = name === undefined ? directory.statSelf() : statOf(directory, name);
    if (typeof stat === "string") {
      snapshot.set(at, { error: stat });
      return;
    }
    const { type, mtimeSec, mtimeNsec, rdevMajor, rdevMinor } = stat;
    const inode = `${stat.device} ${stat.ino}`;
    if (!first.has(inode)) first.set(inode, at);
    snapshot.set(at, {
      ...statFields({ ...stat, rdev: `${rdevMajor}:${rdevMinor}`, mtime: knownTime(mtimeSec, mtimeNsec) }),
      ...nodeFields({
        hash: type === "file" && name !== undefined ? contentHash(directory, name, stat.size) : undefined,
        target: type === "symlink" && name !== undefined ? directory.readLink(name) : undefined,
        xattrs: directory
          .xattrs(name)
          .map(({ name: key, value }) => [key, Buffer.from(value).toString("hex")] as const),
        firstPath: first.get(inode) ?? at,
        path: at,
      }),
    });
    if (type !== "directory") return;
    if (name === undefined) for (const entry of directory.list()) visit(directory, entry, entry);
    else {
      using inner = directory.openDirectory(name);
      for (const entry of inner.list()) visit(inner, entry, `${at}/${entry}`);
    }
  }
}

/** @returns why it fails for a name that the directory lists: as a whiteout that overlayfs shows */
function statOf(directory: DirectoryHandle, name: string): Stat | string {
  try {
    return directory.stat(name);
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    return code;
  }
}

function contentHash(directory: DirectoryHandle, name: string, size: number): string {
  const fd = directory.openRead(name);
  try {
    const bytes = Buffer.alloc(size + 1);
    let length = 0;
    for (let count = -1; count !== 0; length += count)
      count = readSync(fd, bytes, length, bytes.length - length, length);
    return hashOf(bytes.subarray(0, length));
  } finally {
    closeSync(fd);
  }
}
