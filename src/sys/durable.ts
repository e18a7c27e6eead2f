import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { displayHostPath, type HostPath, nodePath } from "./host-path.ts";
import { checked, libc } from "./libc.ts";

/** Makes a file's bytes, or a directory's names, safe from a power cut. */
export function syncPath(path: HostPath): void {
  const fd = openSync(nodePath(path), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Puts a file in place as a whole: after a power cut there is the old file or the new one, never a mix. When it
 * returns, it is the new one. `mode` is exact, whatever the umask. A kill may leave "<path>.<random>.tmp" behind.
 */
export function writeFileDurably(path: HostPath, bytes: Uint8Array | string, mode: number): void {
  const target = nodePath(path);
  const suffix = `.${randomBytes(6).toString("hex")}.tmp`;
  const temporary = typeof target === "string" ? target + suffix : Buffer.concat([target, Buffer.from(suffix)]);
  try {
    const fd = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(fd, bytes);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncPath(parentOf(target));
}

/** Makes all that was written to the filesystem of `path` safe from a power cut (syncfs). */
export function syncFilesystem(path: HostPath): void {
  const fd = openSync(nodePath(path), "r");
  try {
    checked(libc().syncfs(fd), "syncfs", displayHostPath(path));
  } finally {
    closeSync(fd);
  }
}

function parentOf(path: string | Buffer): string | Buffer {
  // latin1 keeps every byte, and dirname looks at none but "/".
  return typeof path === "string" ? dirname(path) : Buffer.from(dirname(path.toString("latin1")), "latin1");
}
