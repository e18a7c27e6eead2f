import { constants } from "node:fs";
import { AT_SYMLINK_NOFOLLOW } from "../../src/sys/libc.ts";
import { TYPE_BITS } from "./directory-system.ts";
import type { Layer } from "./layers.ts";
import type { Inode } from "./model-tree.ts";
import { AT_FDCWD, calls, cString, done, makedev, timespecs } from "./syscalls.ts";
import { timeParts } from "./operations.ts";

/**
 * Writes a tree into the directory `path`, which is there and empty.
 *
 * @param layer whose tree it is, if the directory is to be a lower of an overlay
 */
export function materialize(root: Inode, path: string, layer?: Layer): void {
  const first = new Map<Inode, string>();
  writeDirectory(root, path);

  function writeDirectory(directory: Inode, at: string): void {
    for (const [name, inode] of directory.entries) {
      const inner = `${at}/${name}`;
      const known = first.get(inode);
      if (known !== undefined) {
        done(calls().linkat(AT_FDCWD, cString(known), AT_FDCWD, cString(inner), 0));
        continue;
      }
      first.set(inode, inner);
      if (inode.type === "directory") {
        done(calls().mkdirat(AT_FDCWD, cString(inner), 0o700));
        writeDirectory(inode, inner);
      } else {
        writeNode(inode, inner);
        writeMetadata(inode, inner, layer);
      }
    }
    for (const name of layer?.whiteouts.get(directory) ?? [])
      done(calls().mknodat(AT_FDCWD, cString(`${at}/${name}`), TYPE_BITS.character, 0));
    writeMetadata(directory, at, layer);
  }
}

function writeNode(inode: Inode, at: string): void {
  const path = cString(at);
  if (inode.type === "symlink") {
    done(calls().symlinkat(cString(inode.target), AT_FDCWD, path));
  } else if (inode.type !== "file" && inode.type !== "directory") {
    const [major = 0, minor = 0] = inode.rdev.split(":").map(Number);
    done(calls().mknodat(AT_FDCWD, path, TYPE_BITS[inode.type] | 0o600, makedev(major, minor)));
  } else {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    const fd = done(calls().openat(AT_FDCWD, path, flags, 0o600));
    for (let start = 0; start < inode.data.length; start += UNIT) {
      const unit = inode.data.subarray(start, start + UNIT);
      if (unit.some((byte) => byte !== 0)) done(calls().pwrite(fd, unit, unit.length, start));
    }
    done(calls().ftruncate(fd, inode.data.length));
    calls().close(fd);
  }
}

/** What is zeros throughout becomes a hole. */
const UNIT = 4096;

/** Owner, mode, attributes, mtime: in this order, since each can undo what comes after it. */
export function writeMetadata(inode: Inode, at: string, layer?: Layer): void {
  const path = cString(at);
  const c = calls();
  const isMine = inode.uid === process.geteuid?.() && inode.gid === process.getegid?.();
  if (!isMine) done(c.fchownat(AT_FDCWD, path, inode.uid, inode.gid, AT_SYMLINK_NOFOLLOW));
  if (inode.type !== "symlink") done(c.chmod(path, inode.mode));
  for (const [name, hex] of inode.xattrs) {
    // Where overlayfs looks for marks of its own, others' attributes are escaped.
    const key = layer === undefined ? name : name.replace(/^trusted\.overlay\./, "trusted.overlay.overlay.");
    const value = Buffer.from(hex, "hex");
    done(c.lsetxattr(path, cString(key), value, value.length, 0));
  }
  if (layer?.opaque.has(inode)) done(c.lsetxattr(path, cString("trusted.overlay.opaque"), Buffer.from("y"), 1, 0));
  const mtime = inode.mtime === "clock" ? undefined : timeParts(String(inode.mtime));
  done(c.utimensat(AT_FDCWD, path, timespecs(mtime), AT_SYMLINK_NOFOLLOW));
}
