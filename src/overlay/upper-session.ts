import type { PathLike } from "node:fs";
import { isStoreError } from "../errors.ts";
import { isDatabaseError } from "../kv/kv.ts";
import type { Caller, Owned } from "./credentials.ts";
import type { Entry } from "./entry.ts";
import { fileError, readError } from "./file-error.ts";
import type { UpperBytes } from "./upper-bytes.ts";
import type { UpperNode } from "./upper-node.ts";
import type { Upper } from "./upper.ts";
import { displayPath } from "./view-core.ts";
import type { ViewCore } from "./view-core.ts";
import type { Target } from "./writes.ts";

/** What the calls that change a container work with: one view of it, and who looks through that. */
export class UpperSession {
  readonly core: ViewCore;
  readonly upper: Upper;
  readonly bytes: UpperBytes;
  readonly caller: Caller;
  readonly umask: number;

  /** Borrows all. */
  constructor(core: ViewCore, upper: Upper, bytes: UpperBytes, caller: Caller, umask: number) {
    this.core = core;
    this.upper = upper;
    this.bytes = bytes;
    this.caller = caller;
    this.umask = umask;
  }

  /**
   * Runs one call. Unless the view is being frozen it has happened when this returns; the promise resolves once it outlives
   * the process. If it rejects, nothing has happened.
   */
  async change<T>(syscall: string, path: string | undefined, work: () => T): Promise<T> {
    try {
      return await this.upper.change(work);
    } catch (error) {
      throw writeError(error, syscall, path);
    }
  }

  /** All that happened before outlives a power cut after it. */
  async sync(syscall: string): Promise<void> {
    await this.change(syscall, undefined, () => undefined);
    try {
      await this.upper.log.barrier();
    } catch (error) {
      throw writeError(error, syscall, undefined);
    }
  }

  /** The file that a call is for, as it is now. */
  entry(target: Target, syscall: string): Entry {
    if ("entry" in target) return this.core.names.current(target.entry);
    return this.core.get(target.path, target.follow, syscall);
  }

  /** @throws unless `refusal` is undefined */
  allow(refusal: string | undefined, syscall: string, path: PathLike | undefined, dest?: PathLike): void {
    if (refusal === undefined) return;
    const error = fileError(refusal, syscall, path === undefined ? undefined : displayPath(path));
    throw dest === undefined ? error : withDestination(error, dest);
  }

  /** Gives a node what a call has made of its owner, mode and xattrs. */
  setOwned(node: UpperNode, { mode, uid, gid, xattrs }: Owned): void {
    node.permissions = mode & 0o7777;
    const { mtimeSec, mtimeNsec } = node.attributes;
    node.attributes = { uid, gid, mtimeSec, mtimeNsec, xattrs };
  }

  /** Its mtime is now. */
  touch(node: UpperNode): void {
    const { uid, gid, xattrs } = node.attributes;
    const { mtimeSec, mtimeNsec } = now();
    // Not spread: such an object takes half as much again, and there is one for each node.
    node.attributes = { uid, gid, mtimeSec, mtimeNsec, xattrs };
  }
}

/** A path as errors have it; a handle has none. */
export function pathOf(target: Target): string | undefined {
  return "entry" in target ? undefined : displayPath(target.path);
}

export function now(): { readonly mtimeSec: number; readonly mtimeNsec: number } {
  const ms = Date.now();
  return { mtimeSec: Math.floor(ms / 1000), mtimeNsec: (ms % 1000) * 1e6 };
}

/** As node:fs has errors of calls with two paths: `ENOENT: no such file or directory, rename '/a' -> '/b'`. */
export function withDestination(error: Error, dest: PathLike): Error {
  const text = displayPath(dest);
  error.message += ` -> '${text}'`;
  return Object.assign(error, { dest: text });
}

/** What of the store keeps a call from being made, as one who writes files knows it; the StoreError is its cause. */
function writeError(error: unknown, syscall: string, path: string | undefined): unknown {
  const fail = (code: string): Error => fileError(code, syscall, path, { cause: error });
  if (isStoreError(error, "NO_SPACE")) return fail("ENOSPC");
  if (isStoreError(error, "NOT_PERMITTED")) return fail("EROFS");
  if (isStoreError(error, "REFUSED")) return fail("EBUSY");
  return isDatabaseError(error) ? fail("EIO") : readError(error, syscall, path ?? "");
}
