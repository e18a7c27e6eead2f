import assert from "node:assert/strict";
import { errnoOf } from "../../src/errors.ts";
import type { Caller } from "../../src/overlay/credentials.ts";
import { koffi } from "../../src/sys/koffi.ts";
import { lastErrno, libc } from "../../src/sys/libc.ts";

/** @returns the errno with which it failed */
export function caught(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

/** The same of what a call of glibc gave. To be asked right after it. */
export function done(result: number): string | undefined {
  return result < 0 ? lastErrno() : undefined;
}

/** Of names, not paths, too: the kernel judges the empty one. */
export function c(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, "latin1");
}

export function setxattr(
  path: string,
  name: string,
  value: Uint8Array,
  flag?: "create" | "replace",
): string | undefined {
  const bits = flag === undefined ? 0 : flag === "create" ? 1 : 2;
  return done(libc().lsetxattr(c(path), c(name), value, value.length, bits));
}

/** The names that listxattr(2) gives, in byte order; else an errno. */
export function listed(path: string): string {
  const names = Buffer.alloc(4096);
  const length = libc().llistxattr(c(path), names, names.length);
  if (length < 0) return lastErrno();
  return names.subarray(0, length).toString("latin1").split("\0").slice(0, -1).sort().join();
}

export function truncate(path: string, size: number): string | undefined {
  return done(more().truncate(c(path), size));
}

/**
 * Makes `call` as somebody else, who for the kernel is this whole process for that long. It gets its own ids back, which it
 * keeps as the saved ones.
 */
export function as<T>({ uid, gid, groups = [] }: NonNullable<Caller>, umask: number, call: () => T): T {
  const { setresuid, setresgid } = more();
  const own = process.getgroups!();
  const ownUmask = process.umask(umask);
  process.setgroups!([...groups]);
  assert.equal(setresgid(gid, gid, 0), 0);
  assert.equal(setresuid(uid, uid, 0), 0);
  try {
    return call();
  } finally {
    assert.equal(setresuid(0, 0, 0), 0);
    assert.equal(setresgid(0, 0, 0), 0);
    process.setgroups!(own);
    process.umask(ownUmask);
  }
}

/** What neither node:fs nor src/sys has. */
interface More {
  readonly setresuid: (real: number, effective: number, saved: number) => number;
  readonly setresgid: (real: number, effective: number, saved: number) => number;
  readonly truncate: (path: Uint8Array, size: number) => number;
}

function more(): More {
  if (loaded) return loaded;
  const library = koffi().load("libc.so.6");
  return (loaded = {
    setresuid: library.func("int setresuid(uint32_t, uint32_t, uint32_t)"),
    setresgid: library.func("int setresgid(uint32_t, uint32_t, uint32_t)"),
    truncate: library.func("int truncate(void *, int64_t)"),
  });
}

let loaded: More | undefined;
