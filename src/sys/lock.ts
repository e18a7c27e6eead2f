import { closeSync, constants, fstatSync, openSync, type PathLike, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, PosixError } from "../errors.ts";
import { displayHostPath, type HostPath, nodePath } from "./host-path.ts";
import { lastErrno, libc } from "./libc.ts";

/** An exclusive flock(2). The kernel lets it go when the process dies, however that happens. */
export class Lock implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Takes over `fd`, which is locked. */
  static of(fd: number): Lock {
    return new Lock(fd);
  }

  /** Lets go. May be called twice. The file stays: removing it would let two processes lock two files of one name. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Locks the file at `path`, made if missing. @returns undefined if another holds it, in this process or another */
export function tryLock(path: HostPath): Lock | undefined {
  try {
    return tryLockAt(path, constants.O_RDWR | constants.O_CREAT);
  } catch (error) {
    // Over NFS one that is open for reading could not be locked.
    if (errnoOf(error) !== "EROFS") throw error;
    return tryLockAt(path, constants.O_RDONLY);
  }
}

/** As `tryLock`, for a directory that is there. */
export function tryLockDirectory(path: HostPath): Lock | undefined {
  return tryLockAt(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

function tryLockAt(path: HostPath, flags: number): Lock | undefined {
  const file = nodePath(path);
  while (true) {
    const fd = openSync(file, flags, 0o600);
    let kept = false;
    try {
      if (libc().flock(fd, LOCK_EX | LOCK_NB) < 0) {
        const code = lastErrno();
        if (code === "EAGAIN") return undefined;
        if (code !== "EINTR") throw new PosixError(code, "flock", displayHostPath(path));
      } else if (isAt(fd, file)) {
        kept = true;
        return Lock.of(fd);
      }
      // else it was replaced between open and flock: the lock is on a file that nobody else will find
    } finally {
      if (!kept) closeSync(fd);
    }
  }
}

/** As `tryLock`, asking again for up to `waitMs`. */
export async function lock(path: HostPath, { waitMs }: { readonly waitMs: number }): Promise<Lock | undefined> {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    const taken = tryLock(path);
    const leftMs = deadline - performance.now();
    if (taken !== undefined || leftMs <= 0) return taken;
    await sleep(Math.min(pauseMs, leftMs));
  }
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const MAX_PAUSE_MS = 100;

function isAt(fd: number, path: PathLike): boolean {
  try {
    const here = statSync(path, { bigint: true });
    const locked = fstatSync(fd, { bigint: true });
    return here.ino === locked.ino && here.dev === locked.dev;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
