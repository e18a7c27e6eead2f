import { UpperFileWrites } from "./upper-file-writes.ts";
import { UpperMetadataWrites } from "./upper-metadata-writes.ts";
import { UpperNameWrites } from "./upper-name-writes.ts";
import type { UpperSession } from "./upper-session.ts";
import type { Writes } from "./writes.ts";

/** All calls that change a container, through one view of it. */
export function upperWrites(session: UpperSession): Writes {
  const names = new UpperNameWrites(session);
  const files = new UpperFileWrites(session, names);
  const metadata = new UpperMetadataWrites(session);
  return {
    open: (path, flags, mode) => files.open(path, flags, mode),
    write: (file, bytes, position) => files.write(file, bytes, position),
    put: (path, flags, mode, bytes) => files.put(path, flags, mode, bytes),
    truncate: (target, size) => files.truncate(target, size),
    punchHole: (file, start, length) => files.punchHole(file, start, length),
    sync: (file, syscall) => files.sync(file, syscall),
    copyFile: (from, to, exclusive) => files.copyFile(from, to, exclusive),
    mkdir: (path, mode) => names.mkdir(path, mode),
    mknod: (path, mode, device) => names.mknod(path, mode, device),
    symlink: (target, path) => names.symlink(target, path),
    link: (existing, path) => names.link(existing, path),
    unlink: (path) => names.unlink(path),
    rmdir: (path) => names.rmdir(path),
    rename: (from, to, flag) => names.rename(from, to, flag),
    chmod: (target, mode) => metadata.chmod(target, mode),
    chown: (target, uid, gid) => metadata.chown(target, uid, gid),
    utimes: (target, mtime) => metadata.utimes(target, mtime),
    setxattr: (target, name, value, flag) => metadata.setxattr(target, name, value, flag),
    removexattr: (target, name) => metadata.removexattr(target, name),
  };
}
