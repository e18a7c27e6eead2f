import { closeSync, fchmodSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../errors.ts";
import { displayHostPath, type HostPath, nodePath } from "./host-path.ts";
import { checked, libc } from "./libc.ts";
import { randomBytes } from "./random.ts";

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
 * returns, it is the new one. `mode` is exact, whatever the umask. What a kill leaves beside it is for `removeTemporaries`.
 */
export function writeFileDurably(path: HostPath, bytes: Uint8Array | string, mode: number): void {
  const target = nodePath(path);
  const suffix = temporarySuffix();
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
    throw named(error, path);
  }
  syncPath(parentOf(target));
}

/** A call that has a descriptor alone does not say what it failed for. */
function named(error: unknown, path: HostPath): unknown {
  if (errnoOf(error) === undefined || !(error instanceof Error) || "path" in error) return error;
  return Object.assign(error, { path: displayHostPath(path) });
}

/** What the name of something in a directory has after it while it is made beside it. */
export function temporarySuffix(): string {
  return `.${randomBytes(6).toString("hex")}.tmp`;
}

/** Removes what killed processes were making in a directory. None may be making such there now. */
export function removeTemporaries(directory: string): void {
  for (const name of readdirSync(directory))
    if (/\.[0-9a-f]{12}\.tmp$/.test(name)) rmSync(`${directory}/${name}`, { force: true });
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
