import { readFile } from "node:fs/promises";
import { isRoot } from "../support/run.ts";
import { AT_FDCWD, calls, cString, done } from "./syscalls.ts";

/**
 * A directory that is "/" to synchronous code: so "..", absolute symlinks and all that the kernel does with a path are its own.
 * Of a user without root it is a prefix of paths instead.
 */
export class Chroot implements Disposable {
  readonly #path: string;
  readonly #inner: number;
  readonly #outer: number;
  readonly #cwd: number;

  private constructor(path: string) {
    this.#path = path;
    const open = (directory: string): number => done(calls().openat(AT_FDCWD, cString(directory), O_PATH, 0));
    [this.#inner, this.#outer, this.#cwd] = [open(path), open("/"), open(".")];
  }

  static async open(path: string): Promise<Chroot> {
    // Node's worker threads are to stay outside: they are all made at their first use, and share this until it is unshared.
    await readFile("/dev/null");
    if (isRoot()) done(calls().unshare(CLONE_FS));
    process.umask(0);
    return new Chroot(path);
  }

  /** Runs `call`, with what turns a path of the directory into one to pass to the kernel. Nothing else may run meanwhile. */
  run<T>(call: (path: (inner: string) => Buffer) => T): T {
    if (!isRoot()) return call((inner) => cString(this.#path + inner));
    const c = calls();
    done(c.fchdir(this.#inner));
    done(c.chroot(HERE));
    try {
      return call(cString);
    } finally {
      done(c.fchdir(this.#outer));
      done(c.chroot(HERE));
      done(c.fchdir(this.#cwd));
    }
  }

  [Symbol.dispose](): void {
    for (const fd of [this.#inner, this.#outer, this.#cwd]) calls().close(fd);
  }
}

const HERE = cString(".");
const CLONE_FS = 0x200;
const O_PATH = 0o12000000; // with O_CLOEXEC
