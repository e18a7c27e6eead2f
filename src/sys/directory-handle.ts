import { constants, readlinkSync } from "node:fs";
import { PosixError } from "../errors.ts";
import { displayName, type Name } from "../model/name.ts";
import type { Xattr } from "../model/node.ts";
import { byteStringForC, component, procPath } from "./component.ts";
import { displayHostPath, type HostPath, hostPathBytes } from "./host-path.ts";
import { type FixedMemory, fixedMemory, type Pointer } from "./koffi.ts";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  checked,
  lastErrno,
  libc,
  O_CLOEXEC,
  O_PATH,
  OPEN_DIRECTORY,
} from "./libc.ts";
import { listDirectory } from "./list-directory.ts";
import { removeTree } from "./remove-tree.ts";
import { type Stat, statAt, statFd } from "./stat.ts";
import { timespecs } from "./times.ts";
import { deleteXattr, readXattrs, writeXattr, type XattrTarget } from "./xattrs.ts";

/** What mknod(2) makes. */
export type SpecialType = "character" | "block" | "fifo" | "socket";

export interface RenameOptions {
  /** Fails with EEXIST rather than replace. */
  readonly noReplace?: boolean;
  /** Swaps the two, which must both be there. */
  readonly exchange?: boolean;
}

/**
 * An open directory, and the calls that stay inside it: each takes one component (EINVAL for anything else) and none
 * follows a symlink. Names and link targets are byte strings. Modes of what is made are cut by the umask, as in C.
 *
 * All calls throw `PosixError`. A name of undefined means the directory itself.
 */
export class DirectoryHandle implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens the directory that `path` names, following symlinks as the user may have meant them. */
  static open(path: HostPath): DirectoryHandle {
    const fd = openReading(AT_FDCWD, hostPathBytes(path), OPEN_DIRECTORY);
    return new DirectoryHandle(checked(fd, "open", displayHostPath(path)));
  }

  /** For calls of other modules; the handle keeps it. */
  get fd(): number {
    return this.#fd;
  }

  /** One for an fd that is another's, who closes it. */
  static borrow(fd: number): DirectoryHandle {
    return new DirectoryHandle(fd);
  }

  /** Another handle on the same directory. */
  duplicate(): DirectoryHandle {
    return new DirectoryHandle(this.#checked(libc().fcntl(this.#fd, F_DUPFD_CLOEXEC, 0), "fcntl"));
  }

  openDirectory(name: string): DirectoryHandle {
    const fd = openReading(this.#fd, component(name, "open"), OPEN_DIRECTORY | constants.O_NOFOLLOW);
    return new DirectoryHandle(this.#checked(fd, "open", name));
  }

  /**
   * The directory that now holds this one, for whoever came down from it and knows it when he sees it. The one way up:
   * it may lead out of the root if someone moved this directory.
   */
  openParent(): DirectoryHandle {
    return new DirectoryHandle(this.#checked(openReading(this.#fd, PARENT, OPEN_DIRECTORY), "open", ".."));
  }

  /** Exact bytes, in byte order, without "." and "..". */
  list(): Name[] {
    return listDirectory(this.#fd, () => this.#display());
  }

  stat(name: string): Stat {
    const stat = statAt(this.#fd, component(name, "lstat"), AT_SYMLINK_NOFOLLOW);
    return stat ?? this.#fail("lstat", name);
  }

  statSelf(): Stat {
    return statFd(this.#fd);
  }

  /**
   * Opens a regular file for reading, without a change of its atime where that is permitted. The caller closes the fd.
   *
   * @throws {PosixError} EISDIR, ELOOP, ENXIO or EINVAL if it is no regular file; a fifo in its place does not block
   */
  openRead(name: string): number {
    const fd = this.#checked(openReading(this.#fd, component(name, "open"), READ_FLAGS), "open", name);
    const { type } = statFd(fd);
    if (type === "file") return fd;
    libc().close(fd);
    throw new PosixError(type === "directory" ? "EISDIR" : "EINVAL", "open", this.#display(name));
  }

  /** Makes a new file and opens it for writing. The caller closes the fd. */
  create(name: string, mode: number): number {
    return this.#checked(libc().openat(this.#fd, component(name, "open"), CREATE_FLAGS, mode), "open", name);
  }

  /** A byte string, as it was given to symlink(2). */
  readLink(name: string): string {
    target ??= fixedMemory(TARGET_MAX_BYTES);
    const length = libc().readlinkat(this.#fd, component(name, "readlink"), target.address, TARGET_MAX_BYTES);
    return target.bytes.toString("latin1", 0, this.#checked(length, "readlink", name));
  }

  makeDirectory(name: string, mode: number): void {
    this.#checked(libc().mkdirat(this.#fd, component(name, "mkdir"), mode), "mkdir", name);
  }

  symlink(target: string, name: string): void {
    const done = libc().symlinkat(byteStringForC(target, "symlink"), this.#fd, component(name, "symlink"));
    this.#checked(done, "symlink", name);
  }

  /** Gives `name` the further name `toName`. */
  link(name: string, toDirectory: DirectoryHandle, toName: string): void {
    const from = component(name, "link");
    this.#checked(libc().linkat(this.#fd, from, toDirectory.#fd, component(toName, "link", "second"), 0), "link", name);
  }

  /** `major` and `minor` count for devices only. Device 0:0, an overlay's whiteout, takes no privilege. */
  makeNode(name: string, type: SpecialType, mode: number, major: number, minor: number): void {
    const device = type === "character" || type === "block" ? deviceNumber(major, minor) : 0;
    if (device === undefined) throw new PosixError("EINVAL", "mknod", this.#display(name));
    const done = libc().mknodat(this.#fd, component(name, "mknod"), TYPE_BITS[type] | mode, device);
    this.#checked(done, "mknod", name);
  }

  rename(name: string, toDirectory: DirectoryHandle, toName: string, options: RenameOptions = {}): void {
    const from = component(name, "rename");
    const to = component(toName, "rename", "second");
    const flags = (options.noReplace ? RENAME_NOREPLACE : 0) | (options.exchange ? RENAME_EXCHANGE : 0);
    this.#checked(libc().renameat2(this.#fd, from, toDirectory.#fd, to, flags), "rename", name);
  }

  /** Removes anything but a directory (EISDIR). */
  unlink(name: string): void {
    this.#checked(libc().unlinkat(this.#fd, component(name, "unlink"), 0), "unlink", name);
  }

  /** Removes an empty directory. */
  removeDirectory(name: string): void {
    this.#checked(libc().unlinkat(this.#fd, component(name, "rmdir"), AT_REMOVEDIR), "rmdir", name);
  }

  /** Removes `name` with all that is below it, of any depth. Not atomic. */
  removeTree(name: string): void {
    removeTree<DirectoryHandle>(this, name);
  }

  /** Clears set-id bits and file capabilities, as chown(2) does: to be called before those are set. */
  setOwner(name: string | undefined, uid: number, gid: number): void {
    const done =
      name === undefined
        ? libc().fchown(this.#fd, uid, gid)
        : libc().fchownat(this.#fd, component(name, "chown"), uid, gid, AT_SYMLINK_NOFOLLOW);
    this.#checked(done, "chown", name);
  }

  /** @throws {PosixError} ENOTSUP for a symlink: on Linux it has no mode of its own */
  setMode(name: string | undefined, mode: number): void {
    if (name === undefined) {
      this.#checked(libc().fchmod(this.#fd, mode), "chmod");
      return;
    }
    // fchmodat with AT_SYMLINK_NOFOLLOW came with glibc 2.32, as these same steps, and to the kernel with 6.6.
    const flags = O_PATH | O_CLOEXEC | constants.O_NOFOLLOW;
    const fd = this.#checked(libc().openat(this.#fd, component(name, "chmod"), flags, 0), "chmod", name);
    try {
      if (statFd(fd).type === "symlink") throw new PosixError("ENOTSUP", "chmod", this.#display(name));
      this.#checked(libc().chmod(procPath(fd, undefined, "chmod"), mode), "chmod", name);
    } finally {
      libc().close(fd);
    }
  }

  /** Sets mtime, and atime to the same: `sec` signed, `nsec` in `[0 … 999_999_999]`. Filesystems clamp what they lack. */
  setTimes(name: string | undefined, sec: number, nsec: number): void {
    const times = timespecs(sec, nsec);
    const done =
      name === undefined
        ? libc().futimens(this.#fd, times)
        : libc().utimensat(this.#fd, component(name, "utimensat"), times, AT_SYMLINK_NOFOLLOW);
    this.#checked(done, "utimensat", name);
  }

  /** In byte order of names, of any type of node; `[]` where the filesystem has no attributes. Values are the caller's. */
  xattrs(name?: string): Xattr[] {
    return readXattrs(this.#xattrTarget(name), () => this.#display(name));
  }

  setXattr(name: string | undefined, key: string, value: Uint8Array): void {
    writeXattr(this.#xattrTarget(name), key, value, () => this.#display(name));
  }

  removeXattr(name: string | undefined, key: string): void {
    deleteXattr(this.#xattrTarget(name), key, () => this.#display(name));
  }

  /** Makes the names in this directory safe from a power cut; not what the files hold. */
  sync(): void {
    this.#checked(libc().fsync(this.#fd), "fsync");
  }

  /** Later calls fail with EBADF. May be called twice. */
  close(): void {
    if (this.#fd < 0) return;
    libc().close(this.#fd);
    this.#fd = CLOSED;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #xattrTarget(name: string | undefined): XattrTarget {
    if (name === undefined) return this.#fd;
    // The kernel has calls by directory fd and name (getxattrat) since 6.13 only; the way through /proc serves all.
    if (this.#fd < 0) throw new PosixError("EBADF", "xattr", displayName(name));
    return procPath(this.#fd, name, "xattr");
  }

  #checked(result: number, syscall: string, name?: string): number {
    return result < 0 ? this.#fail(syscall, name) : result;
  }

  #fail(syscall: string, name?: string): never {
    throw new PosixError(lastErrno(), syscall, this.#display(name));
  }

  /** Where it is now, for messages. */
  #display(name?: string): string {
    const shown = name === undefined ? "" : displayName(name);
    try {
      const directory = readlinkSync(`/proc/self/fd/${this.#fd}`);
      return name === undefined ? directory : `${directory === "/" ? "" : directory}/${shown}`;
    } catch {
      return shown; // closed, or no /proc: the message gets shorter, the error stays
    }
  }
}

const PARENT = Buffer.from("..\0");
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY | O_CLOEXEC;
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | O_CLOEXEC;
const TARGET_MAX_BYTES = 4096;
let target: FixedMemory | undefined;
const F_DUPFD_CLOEXEC = 1030;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
/** No fd, and not AT_FDCWD: calls with it fail with EBADF. */
const CLOSED = -1;
const TYPE_BITS: Readonly<Record<SpecialType, number>> = {
  fifo: constants.S_IFIFO,
  character: constants.S_IFCHR,
  block: constants.S_IFBLK,
  socket: constants.S_IFSOCK,
};

/** O_NOATIME is for a file's owner and root: others do without. */
function openReading(directory: number, path: Pointer, flags: number): number {
  const fd = libc().openat(directory, path, flags | constants.O_NOATIME, 0);
  return fd < 0 && lastErrno() === "EPERM" ? libc().openat(directory, path, flags, 0) : fd;
}

/** makedev(3) as far as the kernel goes: 12 bits of major, 20 of minor. */
function deviceNumber(major: number, minor: number): number | undefined {
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return undefined;
  return (minor & 0xff) + major * 0x100 + (minor >>> 8) * 0x100000;
}
