import type { PathLike } from "node:fs";
import { fileError } from "./file-error.ts";
import type { ViewCore } from "./view-core.ts";
import { displayPath } from "./view-core.ts";
import type { Target, Writes } from "./writes.ts";

/** What would change a view that cannot change: EROFS. To open for reading alone is no change. */
export function readOnlyWrites(core: ViewCore): Writes {
  const one = (syscall: string) => (path: PathLike) => refuse(syscall, path);
  const two = (syscall: string) => (path: PathLike, dest: PathLike) => refuse(syscall, path, dest);
  const either = (syscall: string) => (target: Target) => {
    if ("entry" in target) return refuse(`f${syscall}`);
    return refuse(target.follow ? syscall : `l${syscall}`, target.path);
  };
  return {
    open: async (path, flags) => core.open(path, flags),
    // No file is open for writing.
    write: () => Promise.reject(fileError("EBADF", "write")),
    put: async (path, flags, _mode, bytes) => {
      core.close(core.open(path, flags));
      if (bytes.length > 0) throw fileError("EBADF", "write");
    },
    sync: async () => undefined,
    punchHole: () => refuse("fallocate"),
    truncate: either("truncate"),
    mkdir: async (path) => {
      const isThere = typeof core.find(path, false, "mkdir") !== "string";
      throw fileError(isThere ? "EEXIST" : "EROFS", "mkdir", displayPath(path));
    },
    mknod: one("mknod"),
    symlink: two("symlink"),
    link: two("link"),
    unlink: one("unlink"),
    rmdir: one("rmdir"),
    rename: two("rename"),
    chmod: either("chmod"),
    chown: either("chown"),
    utimes: either("utime"),
    setxattr: either("setxattr"),
    removexattr: either("removexattr"),
    copyFile: two("copyfile"),
  };
}

async function refuse(syscall: string, path?: PathLike, dest?: PathLike): Promise<never> {
  const error = fileError("EROFS", syscall, path === undefined ? undefined : displayPath(path));
  throw dest === undefined ? error : Object.assign(error, { dest: displayPath(dest) });
}
