import { constants as fsConstants } from "node:fs";
import { constants as osConstants } from "node:os";
import { PosixError } from "../errors.ts";
import { koffi, type Pointer } from "./koffi.ts";

/** The calls of glibc that are used, as C has them: -1 says that they failed, `lastErrno()` why. */
export interface Libc {
  openat(directory: number, path: Pointer, flags: number, mode: number): number;
  close(fd: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  statx(directory: number, path: Pointer, flags: number, mask: number, out: Pointer): number;
  getdents64(fd: number, out: Pointer, size: number): number;
  readlinkat(directory: number, path: Pointer, out: Pointer, size: number): number;
  mkdirat(directory: number, path: Pointer, mode: number): number;
  symlinkat(target: Pointer, directory: number, path: Pointer): number;
  linkat(from: number, path: Pointer, to: number, toPath: Pointer, flags: number): number;
  mknodat(directory: number, path: Pointer, mode: number, device: number): number;
  renameat2(from: number, path: Pointer, to: number, toPath: Pointer, flags: number): number;
  unlinkat(directory: number, path: Pointer, flags: number): number;
  fchownat(directory: number, path: Pointer, uid: number, gid: number, flags: number): number;
  fchown(fd: number, uid: number, gid: number): number;
  chmod(path: Pointer, mode: number): number;
  fchmod(fd: number, mode: number): number;
  utimensat(directory: number, path: Pointer, times: Pointer, flags: number): number;
  futimens(fd: number, times: Pointer): number;
  llistxattr(path: Pointer, out: Pointer, size: number): number;
  flistxattr(fd: number, out: Pointer, size: number): number;
  lgetxattr(path: Pointer, key: Pointer, out: Pointer, size: number): number;
  fgetxattr(fd: number, key: Pointer, out: Pointer, size: number): number;
  lsetxattr(path: Pointer, key: Pointer, value: Pointer, size: number, flags: number): number;
  fsetxattr(fd: number, key: Pointer, value: Pointer, size: number, flags: number): number;
  lremovexattr(path: Pointer, key: Pointer): number;
  fremovexattr(fd: number, key: Pointer): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  fsync(fd: number): number;
  syncfs(fd: number): number;
  flock(fd: number, operation: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, argument: Pointer | number): number;
  mount(source: Pointer, target: Pointer, type: Pointer, flags: number, data: Pointer): number;
  umount2(target: Pointer, flags: number): number;
  getrandom(out: Pointer, size: number, flags: number): number;
}

// The variadic ones (openat, ioctl, fcntl) take their last argument in a register, as a fixed one, on x86-64, arm64 and riscv64.
const DECLARATIONS: Readonly<Record<keyof Libc, string>> = {
  openat: "int openat(int, void *, int, uint32_t)",
  close: "int close(int)",
  lseek: "int64_t lseek(int, int64_t, int)",
  statx: "int statx(int, void *, int, uint32_t, void *)",
  getdents64: "int64_t getdents64(int, void *, size_t)",
  readlinkat: "int64_t readlinkat(int, void *, void *, size_t)",
  mkdirat: "int mkdirat(int, void *, uint32_t)",
  symlinkat: "int symlinkat(void *, int, void *)",
  linkat: "int linkat(int, void *, int, void *, int)",
  mknodat: "int mknodat(int, void *, uint32_t, uint64_t)",
  renameat2: "int renameat2(int, void *, int, void *, uint32_t)",
  unlinkat: "int unlinkat(int, void *, int)",
  fchownat: "int fchownat(int, void *, uint32_t, uint32_t, int)",
  fchown: "int fchown(int, uint32_t, uint32_t)",
  chmod: "int chmod(void *, uint32_t)",
  fchmod: "int fchmod(int, uint32_t)",
  utimensat: "int utimensat(int, void *, void *, int)",
  futimens: "int futimens(int, void *)",
  llistxattr: "int64_t llistxattr(void *, void *, size_t)",
  flistxattr: "int64_t flistxattr(int, void *, size_t)",
  lgetxattr: "int64_t lgetxattr(void *, void *, void *, size_t)",
  fgetxattr: "int64_t fgetxattr(int, void *, void *, size_t)",
  lsetxattr: "int lsetxattr(void *, void *, void *, size_t, int)",
  fsetxattr: "int fsetxattr(int, void *, void *, size_t, int)",
  lremovexattr: "int lremovexattr(void *, void *)",
  fremovexattr: "int fremovexattr(int, void *)",
  fallocate: "int fallocate(int, int, int64_t, int64_t)",
  fsync: "int fsync(int)",
  syncfs: "int syncfs(int)",
  flock: "int flock(int, int)",
  fcntl: "int fcntl(int, int, long)",
  ioctl: "int ioctl(int, unsigned long, void *)",
  mount: "int mount(void *, void *, void *, unsigned long, void *)",
  umount2: "int umount2(void *, int)",
  getrandom: "int64_t getrandom(void *, size_t, uint32_t)",
};

let loaded: Libc | undefined;

/** The C library; loaded at its first use. */
export function libc(): Libc {
  return (loaded ??= load());
}

function load(): Libc {
  const library = koffi().load("libc.so.6");
  return Object.fromEntries(
    Object.entries(DECLARATIONS).map(([name, declaration]) => [name, library.func(declaration)]),
  ) as unknown as Libc;
}

/** Why the last call failed. To be asked before any other system call. */
export function lastErrno(): string {
  return errnoName(koffi().errno());
}

/** What Node's open leaves out or calls otherwise. Numbers as on x86-64, arm64 and riscv64. */
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const OPEN_DIRECTORY: number =
  fsConstants.O_RDONLY | fsConstants.O_DIRECTORY | fsConstants.O_NONBLOCK | O_CLOEXEC;
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;

const NAMES: ReadonlyMap<number, string> = new Map([
  // Linux has these, Node's table does not.
  [117, "EUCLEAN"],
  [121, "EREMOTEIO"],
  [123, "ENOMEDIUM"],
  [132, "ERFKILL"],
  ...Object.entries(osConstants.errno).map(([name, number]): [number, string] => [number, name]),
  // Two names for one number: the one that man pages use wins.
  [osConstants.errno.EAGAIN, "EAGAIN"],
  [osConstants.errno.ENOTSUP, "ENOTSUP"],
]);

function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

/** What a call gave, unless it gave -1. `path` is for display. */
export function checked(result: number, syscall: string, path?: string): number {
  if (result < 0) throw new PosixError(lastErrno(), syscall, path);
  return result;
}
