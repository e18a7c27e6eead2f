import { koffi, type Pointer } from "../../src/sys/koffi.ts";
import { lastErrno, libc, type Libc } from "../../src/sys/libc.ts";

/** What glibc has beyond the calls that src/sys binds. As C has them. */
interface MoreLibc {
  setxattr(path: Pointer, key: Pointer, value: Pointer, size: number, flags: number): number;
  getxattr(path: Pointer, key: Pointer, out: Pointer, size: number): number;
  removexattr(path: Pointer, key: Pointer): number;
  ftruncate(fd: number, size: number): number;
  pread(fd: number, out: Pointer, size: number, at: number): number;
  pwrite(fd: number, bytes: Pointer, size: number, at: number): number;
  read(fd: number, out: Pointer, size: number): number;
  write(fd: number, bytes: Pointer, size: number): number;
  fallocate(fd: number, mode: number, at: number, length: number): number;
  chroot(path: Pointer): number;
  chdir(path: Pointer): number;
  fchdir(fd: number): number;
  unshare(flags: number): number;
}

const DECLARATIONS: Readonly<Record<keyof MoreLibc, string>> = {
  setxattr: "int setxattr(void *, void *, void *, size_t, int)",
  getxattr: "int64_t getxattr(void *, void *, void *, size_t)",
  removexattr: "int removexattr(void *, void *)",
  ftruncate: "int ftruncate(int, int64_t)",
  pread: "int64_t pread(int, void *, size_t, int64_t)",
  pwrite: "int64_t pwrite(int, void *, size_t, int64_t)",
  read: "int64_t read(int, void *, size_t)",
  write: "int64_t write(int, void *, size_t)",
  fallocate: "int fallocate(int, int, int64_t, int64_t)",
  chroot: "int chroot(void *)",
  chdir: "int chdir(void *)",
  fchdir: "int fchdir(int)",
  unshare: "int unshare(int)",
};

let loaded: (Libc & MoreLibc) | undefined;

export function calls(): Libc & MoreLibc {
  if (loaded === undefined) {
    const library = koffi().load("libc.so.6");
    const more = Object.fromEntries(
      Object.entries(DECLARATIONS).map(([name, declaration]) => [name, library.func(declaration)]),
    ) as unknown as MoreLibc;
    loaded = { ...libc(), ...more };
  }
  return loaded;
}

/** A system call that failed. */
export class SystemError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** @throws {SystemError} if `result` is -1 */
export function done(result: number): number {
  if (result < 0) throw new SystemError(lastErrno());
  return result;
}

/** A byte string for C. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`, "latin1");
}

/** Linux's makedev for the small numbers that tests use. */
export function makedev(major: number, minor: number): number {
  return (minor & 0xff) + major * 0x100 + (minor >>> 8) * 0x100000;
}

/** struct timespec[2] with both times, or UTIME_NOW. */
export function timespecs(time: { readonly sec: number; readonly nsec: number } | undefined): Buffer {
  const bytes = Buffer.alloc(32);
  for (const at of [0, 16]) {
    bytes.writeBigInt64LE(BigInt(time?.sec ?? 0), at);
    bytes.writeBigInt64LE(BigInt(time?.nsec ?? UTIME_NOW), at + 8);
  }
  return bytes;
}

export const AT_FDCWD = -100;
export const PUNCH_HOLE = 3; // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
const UTIME_NOW = 0x3fffffff;
