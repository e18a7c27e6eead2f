import { constants, copyFileSync } from "node:fs";
import { errnoOf } from "../../src/errors.ts";
import { AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, lastErrno } from "../../src/sys/libc.ts";
import { listDirectory } from "../../src/sys/list-directory.ts";
import { type Stat, statAt, statFd } from "../../src/sys/stat.ts";
import { Chroot } from "./chroot.ts";
import { readOutcome } from "./model-files.ts";
import {
  type HandleChange,
  knownTime,
  type NodType,
  type Op,
  type OpenFlag,
  type OpNamed,
  type Outcome,
  type PathChange,
  pattern,
  type Snapshot,
  type StatFields,
  statOutcome,
  type System,
  timeParts,
} from "./operations.ts";
import { snapshotDirectory } from "./snapshot-directory.ts";
import { AT_FDCWD, calls, cString, done, makedev, PUNCH_HOLE, SystemError, timespecs } from "./syscalls.ts";

type PathOf = (inner: string) => Buffer;

/** What the kernel does, in a directory: a plain one, or where an overlay is mounted. */
export class DirectorySystem implements System, Disposable {
  readonly name: string;
  readonly #path: string;
  readonly #chroot: Chroot;
  readonly #handles = new Map<number, number>();

  private constructor(name: string, path: string, chroot: Chroot) {
    this.name = name;
    this.#path = path;
    this.#chroot = chroot;
  }

  static async open(name: string, path: string): Promise<DirectorySystem> {
    return new DirectorySystem(name, path, await Chroot.open(path));
  }

  apply(op: Op): Outcome {
    try {
      return this.#chroot.run((path) => this.#apply(op, path));
    } catch (error) {
      if (error instanceof SystemError) return error.code;
      const code = errnoOf(error);
      if (code === undefined) throw error;
      return code;
    }
  }

  snapshot(): Snapshot {
    return snapshotDirectory(this.#path);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#handles.values()) calls().close(fd);
    this.#handles.clear();
    this.#chroot[Symbol.dispose]();
  }

  #apply(op: Op, path: PathOf): Outcome {
    switch (op.op) {
      case "open": {
        const old = this.#handles.get(op.slot);
        if (old !== undefined) calls().close(old);
        this.#handles.delete(op.slot);
        this.#handles.set(op.slot, open(path(op.path), op.flags, op.mode));
        return "ok";
      }
      case "close":
        done(calls().close(this.#fd(op.slot)));
        this.#handles.delete(op.slot);
        return "ok";
      case "read":
        return read(this.#fd(op.slot), op.at, op.length);
      case "write":
        return write(this.#fd(op.slot), op.at, pattern(op.seed, op.length));
      case "fstat":
        return statOutcome(fieldsOf(statFd(this.#fd(op.slot))));
      case "ftruncate":
      case "punch":
      case "fchmod":
      case "fchown":
      case "futimes":
      case "fsync":
        done(changeByFd(op, this.#fd(op.slot)));
        return "ok";
      case "writeFile":
        return withOpen(path(op.path), ["O_WRONLY", "O_CREAT", op.append ? "O_APPEND" : "O_TRUNC"], (fd) =>
          write(fd, null, pattern(op.seed, op.length)),
        );
      case "readFile":
        return withOpen(path(op.path), ["O_RDONLY"], (fd) => read(fd, 0, statFd(fd).size));
      case "getxattr":
      case "stat":
      case "readlink":
      case "readdir":
        return readPath(op, path(op.path));
      default:
        done(changePath(op, path));
        return "ok";
    }
  }

  #fd(slot: number): number {
    const fd = this.#handles.get(slot);
    if (fd === undefined) throw new SystemError("EBADF");
    return fd;
  }
}

function read(fd: number, at: number | null, length: number): Outcome {
  const bytes = Buffer.alloc(length);
  const count = at === null ? calls().read(fd, bytes, length) : calls().pread(fd, bytes, length, at);
  return readOutcome(bytes.subarray(0, done(count)));
}

function write(fd: number, at: number | null, bytes: Buffer): Outcome {
  const { length } = bytes;
  return `ok ${done(at === null ? calls().write(fd, bytes, length) : calls().pwrite(fd, bytes, length, at))}`;
}

function changeByFd(op: HandleChange, fd: number): number {
  const c = calls();
  switch (op.op) {
    case "ftruncate":
      return c.ftruncate(fd, op.size);
    case "punch":
      return c.fallocate(fd, PUNCH_HOLE, op.start, op.length);
    case "fchmod":
      return c.fchmod(fd, op.mode);
    case "fchown":
      return c.fchown(fd, op.uid >>> 0, op.gid >>> 0);
    case "futimes":
      return c.futimens(fd, timespecs(timeParts(op.mtime)));
    case "fsync":
      return c.fsync(fd);
  }
}

function changePath(op: PathChange, path: PathOf): number {
  const c = calls();
  const at = path(op.path);
  switch (op.op) {
    case "truncate":
      // As node:fs does it.
      return withOpen(at, ["O_RDWR"], (fd) => c.ftruncate(fd, op.size));
    case "copyFile":
      // By node:fs, since what else it does is its own choice.
      copyFileSync(withoutNul(at), withoutNul(path(op.to)), op.exclusive ? constants.COPYFILE_EXCL : 0);
      return 0;
    case "mkdir":
      return c.mkdirat(AT_FDCWD, at, op.mode);
    case "mknod":
      return c.mknodat(AT_FDCWD, at, TYPE_BITS[op.type] | op.mode, makedev(op.major, op.minor));
    case "symlink":
      return c.symlinkat(cString(op.target), AT_FDCWD, at);
    case "link":
      return c.linkat(AT_FDCWD, at, AT_FDCWD, path(op.to), 0);
    case "unlink":
      return c.unlinkat(AT_FDCWD, at, 0);
    case "rmdir":
      return c.unlinkat(AT_FDCWD, at, AT_REMOVEDIR);
    case "rename":
      return c.renameat2(AT_FDCWD, at, AT_FDCWD, path(op.to), RENAME_FLAGS[op.flag]);
    case "chmod":
      return c.chmod(at, op.mode);
    case "chown":
      return c.fchownat(AT_FDCWD, at, op.uid >>> 0, op.gid >>> 0, op.follow ? 0 : AT_SYMLINK_NOFOLLOW);
    case "utimes":
      return c.utimensat(AT_FDCWD, at, timespecs(timeParts(op.mtime)), op.follow ? 0 : AT_SYMLINK_NOFOLLOW);
    case "setxattr": {
      const [key, value] = [cString(op.name), Buffer.from(op.value, "hex")];
      const flags = XATTR_FLAGS[op.flag];
      if (op.follow) return c.setxattr(at, key, value, value.length, flags);
      return c.lsetxattr(at, key, value, value.length, flags);
    }
    case "removexattr":
      return op.follow ? c.removexattr(at, cString(op.name)) : c.lremovexattr(at, cString(op.name));
  }
}

function readPath(op: OpNamed<"getxattr" | "stat" | "readlink" | "readdir">, at: Buffer): Outcome {
  const c = calls();
  const out = Buffer.alloc(65_536);
  switch (op.op) {
    case "getxattr": {
      const key = cString(op.name);
      const size = op.follow ? c.getxattr(at, key, out, out.length) : c.lgetxattr(at, key, out, out.length);
      return `ok ${out.toString("hex", 0, done(size))}`;
    }
    case "stat": {
      const stat = statAt(AT_FDCWD, at, op.follow ? 0 : AT_SYMLINK_NOFOLLOW);
      if (stat === undefined) throw new SystemError(lastErrno());
      return statOutcome(fieldsOf(stat));
    }
    case "readlink":
      return `ok ${out.toString("latin1", 0, done(c.readlinkat(AT_FDCWD, at, out, 4096)))}`;
    case "readdir":
      return withOpen(at, ["O_RDONLY", "O_DIRECTORY"], readdir);
  }
}

function readdir(fd: number): Outcome {
  const names = listDirectory(fd, () => "");
  const typed = names.map((name) => {
    const stat = statAt(fd, cString(name), AT_SYMLINK_NOFOLLOW);
    return `${name}:${stat?.type ?? lastErrno()}`;
  });
  return `ok ${typed.sort().join(" ")}`;
}

function open(path: Buffer, flags: readonly OpenFlag[], mode: number): number {
  const bits = flags.reduce((sum, flag) => sum | constants[flag], O_CLOEXEC);
  return done(calls().openat(AT_FDCWD, path, bits, mode));
}

function withOpen<T>(path: Buffer, flags: readonly OpenFlag[], use: (fd: number) => T): T {
  const fd = open(path, flags, 0o666);
  try {
    return use(fd);
  } finally {
    calls().close(fd);
  }
}

function withoutNul(path: Buffer): Buffer {
  return path.subarray(0, -1);
}

/** Of statx's fields those that are compared. */
export function fieldsOf(stat: Stat): StatFields {
  const { rdevMajor, rdevMinor, mtimeSec, mtimeNsec } = stat;
  return { ...stat, rdev: `${rdevMajor}:${rdevMinor}`, mtime: knownTime(mtimeSec, mtimeNsec) };
}

const O_CLOEXEC = 0o2000000;
const RENAME_FLAGS = { none: 0, noreplace: 1, exchange: 2 };
const XATTR_FLAGS = { none: 0, create: 1, replace: 2 };
export const TYPE_BITS: Readonly<Record<NodType, number>> = {
  file: constants.S_IFREG,
  fifo: constants.S_IFIFO,
  socket: constants.S_IFSOCK,
  character: constants.S_IFCHR,
  block: constants.S_IFBLK,
};
