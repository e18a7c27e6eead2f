import { PosixError } from "../errors.ts";
import { checked, lastErrno, libc } from "./libc.ts";
import { timespecs } from "./times.ts";
import { writeXattr } from "./xattrs.ts";

export interface Segment {
  readonly offset: number;
  readonly length: number;
}

/**
 * Where a file has data, in order; what lies between is holes. One segment where the filesystem does not tell.
 *
 * Moves the fd's position: read with explicit positions. `size` is where it ends, whatever the file is by now.
 */
export function* dataSegments(fd: number, size: number): Generator<Segment, void, undefined> {
  for (let end = 0; end < size;) {
    const offset = libc().lseek(fd, end, SEEK_DATA);
    if (offset < 0) {
      const code = lastErrno();
      if (code === "ENXIO") return;
      if (code !== "EINVAL") throw new PosixError(code, "lseek");
      yield { offset: end, length: size - end };
      return;
    }
    if (offset >= size) return;
    const hole = libc().lseek(fd, offset, SEEK_HOLE);
    end = Math.min(hole > offset ? hole : size, size);
    yield { offset, length: end - offset };
  }
}

/** Makes `toFd` share all bytes of `fromFd` (FICLONE). @returns false where the filesystem cannot */
export function cloneFile(fromFd: number, toFd: number): boolean {
  if (libc().ioctl(toFd, FICLONE, BigInt(fromFd)) === 0) return true;
  const code = lastErrno();
  if (CANNOT_CLONE.has(code)) return false;
  throw new PosixError(code, "ficlone");
}

/** Gives a file room for its first `length` bytes, and that length if it is shorter. May have given a part if it fails. */
export function allocate(fd: number, length: number): void {
  checked(libc().fallocate(fd, 0, 0, length), "fallocate");
}

export function setFdXattr(fd: number, key: string, value: Uint8Array): void {
  writeXattr(fd, key, value, () => `fd ${fd}`);
}

/** Clears set-id bits and file capabilities, as chown(2) does. */
export function setFdOwner(fd: number, uid: number, gid: number): void {
  checked(libc().fchown(fd, uid, gid), "fchown");
}

/** Sets mtime, and atime to the same. */
export function setFdTimes(fd: number, sec: number, nsec: number): void {
  checked(libc().futimens(fd, timespecs(sec, nsec)), "futimens");
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FICLONE = 0x40049409;
const CANNOT_CLONE: ReadonlySet<string> = new Set(["ENOTSUP", "EXDEV", "EINVAL", "ENOTTY", "ENOSYS"]);
