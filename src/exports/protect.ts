import { lstatSync, rmdirSync, symlinkSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import type { StorePaths } from "../store-paths.ts";
import { lock } from "../sys/lock.ts";
import { bindReadOnly, isMountPoint } from "../sys/mounts.ts";
import { makeDirectories } from "../sys/make-directories.ts";

/** Shows exports read-only at their public place, again after each boot. Who may not mount gets a symlink. */
export async function protectExports(paths: StorePaths, which: "exports" | "mapped"): Promise<void> {
  const shown = paths[which];
  const hidden = which === "exports" ? paths.privateExports : paths.privateMapped;
  const isLink = (): boolean => lstatSync(shown, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  const isProtected = (): boolean => isLink() || isMountPoint(shown);
  if (isProtected()) return;
  using _lock = await lock(paths.mountLock, { waitMs: MOUNT_WAIT_MS });
  if (isProtected()) return;
  // It is gone if a process was killed between the two last calls below.
  makeDirectories(shown, 0o700);
  try {
    bindReadOnly(hidden, shown);
  } catch (error) {
    if (errnoOf(error) !== "EPERM") throw error;
    rmdirSync(shown);
    symlinkSync(`private/${which}`, shown);
  }
}

/** A hook that mounts holds the lock for as long as mount(8) takes. */
const MOUNT_WAIT_MS = 30_000;
