import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { byteStringOf } from "../model/name.ts";
import { givenPath } from "./arguments.ts";
import type { ReadTarget } from "./arguments.ts";
import type { DataSegment } from "./block-cache.ts";
import { isRoot, ownedOf } from "./credentials.ts";
import type { Caller } from "./credentials.ts";
import type { Entry } from "./entry.ts";
import { fileError, readError } from "./file-error.ts";
import type { Names, Row } from "./names.ts";
import { isReadable, isWritable } from "./open-file.ts";
import type { OpenFile } from "./open-file.ts";
import { mayAccess, mayOpen } from "./permissions.ts";
import type { Place, Resolved } from "./resolver.ts";
import { Resolver } from "./resolver.ts";
import { DamagedNode } from "./upper-node.ts";
import { ViewBigIntStats, ViewStats } from "./stats.ts";
import type { Writes } from "./writes.ts";

/** Files' bytes. All throw StoreErrors for damage. */
export interface Bytes {
  /** Fills `target` from `position` on. @returns how many bytes there were: less than asked for at the end alone */
  read(entry: Entry, position: number, target: Uint8Array): number;
  /** What is no hole, in order. */
  dataSegments(entry: Entry): Iterable<DataSegment>;
}

export interface ViewCoreOptions {
  /** Whose permissions count. Default: all is permitted to the store's owner. */
  readonly caller?: Caller;
  /** Makes what changes the view, if it can change. */
  readonly writesOf?: (core: ViewCore) => Writes;
}

/**
 * What the faces of a view have in common: paths in, entries and bytes out, errors as node:fs throws them.
 */
export class ViewCore {
  readonly names: Names;
  /** Undefined for what cannot change. */
  readonly writes: Writes | undefined;
  readonly caller: Caller;
  readonly #resolver: Resolver;
  readonly #bytes: Bytes;
  /** What stat says of the device: another number for each view of this process. */
  readonly #device = nextDevice++;
  readonly #open = new Map<number, OpenFile>();
  #nextFd = FIRST_FD;

  /** Borrows both. */
  constructor(names: Names, bytes: Bytes, { caller, writesOf }: ViewCoreOptions = {}) {
    this.names = names;
    this.caller = caller;
    const maySearch = (directory: Entry): boolean =>
      mayAccess(caller, ownedOf(directory), constants.X_OK) === undefined;
    this.#resolver = new Resolver(names, isRoot(caller) ? undefined : maySearch);
    this.#bytes = bytes;
    this.writes = writesOf?.(this);
  }

  /** Whatever the path leads to, or why it leads nowhere. @throws only for damage, and what is no path */
  find(path: PathLike, follow: boolean, syscall: string): Resolved {
    const given = givenPath(path);
    try {
      const found =
        typeof given === "string"
          ? this.#resolver.resolve(given, follow)
          : this.#resolver.resolveBytes(given.bytes, follow);
      if (found instanceof DamagedNode) throw found.error;
      return found;
    } catch (error) {
      throw readError(error, syscall, displayPath(path));
    }
  }

  get(path: PathLike, follow: boolean, syscall: string): Entry {
    const found = this.find(path, follow, syscall);
    if (typeof found === "string") throw fileError(found, syscall, displayPath(path));
    return found;
  }

  /** Where the last name of the path is to be, made or removed. @throws what a lookup of it would, but for ENOENT */
  place(path: PathLike, follow: boolean, syscall: string): Place {
    const place = this.uncheckedPlace(path, follow, syscall);
    if (place.tooLong) throw fileError("ENAMETOOLONG", syscall, displayPath(path));
    return place;
  }

  /** As `place`, but the name may be too long. */
  uncheckedPlace(path: PathLike, follow: boolean, syscall: string): Place {
    const given = givenPath(path);
    try {
      const place = this.#resolver.place(typeof given === "string" ? byteStringOf(given) : given.bytes, follow);
      if (typeof place !== "string") return place;
      throw fileError(place, syscall, displayPath(path));
    } catch (error) {
      throw readError(error, syscall, displayPath(path));
    }
  }

  directory(path: PathLike, syscall: string): Entry {
    const entry = this.get(path, true, syscall);
    if (!entry.isDirectory) throw fileError("ENOTDIR", syscall, displayPath(path));
    this.allow(mayAccess(this.caller, ownedOf(entry), constants.R_OK), syscall, path);
    return entry;
  }

  /** The path without any symlink, as a byte string. */
  realPath(path: PathLike): string {
    const given = givenPath(path);
    const bytes = typeof given === "string" ? byteStringOf(given) : given.bytes;
    try {
      const trace = this.#resolver.trace(bytes, true);
      if (typeof trace !== "string") return `/${trace.names.join("/")}`;
      throw fileError(trace, "realpath", displayPath(path));
    } catch (error) {
      throw readError(error, "realpath", displayPath(path));
    }
  }

  stat(entry: Entry, bigint: boolean): ViewStats | ViewBigIntStats {
    const { names } = this;
    const identity = { dev: this.#device, ino: names.inode(entry), nlink: names.links(entry) };
    return bigint ? new ViewBigIntStats(entry, identity) : new ViewStats(entry, identity);
  }

  *entries(directory: Entry, syscall: string, path: PathLike): Generator<Row> {
    try {
      for (const some of this.names.entries(directory)) yield* some;
    } catch (error) {
      throw readError(error, syscall, displayPath(path));
    }
  }

  /**
   * open(2) of what is there, for reading or writing.
   *
   * @throws EROFS for what would change something: the promises' way of it is `Writes.open`
   */
  open(path: PathLike, flags: number): number {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_TRUNC } = constants;
    const exclusive = (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0;
    const found = this.find(path, (flags & O_NOFOLLOW) === 0 && !exclusive, "open");
    if (typeof found === "string")
      throw fileError(found === "ENOENT" && (flags & O_CREAT) !== 0 ? "EROFS" : found, "open", displayPath(path));
    this.requireOpenable(found, path, flags);
    this.allow(mayOpen(this.caller, ownedOf(found), flags), "open", path);
    if ((flags & O_TRUNC) !== 0 || (this.writes === undefined && writes(flags)))
      throw fileError("EROFS", "open", displayPath(path));
    return this.register(found, path, flags);
  }

  /** @throws unless `refusal` is undefined */
  allow(refusal: string | undefined, syscall: string, path: PathLike): void {
    if (refusal !== undefined) throw fileError(refusal, syscall, displayPath(path));
  }

  /** @throws what open(2) says of a file that is there */
  requireOpenable(found: Entry, path: PathLike, flags: number): void {
    const text = displayPath(path);
    const fail = (code: string): Error => fileError(code, "open", text);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    // A name with a slash after it cannot be made by open, not even if it is there; "/", "." and ".." are no names.
    if (has(constants.O_CREAT) && text.endsWith("/") && !/^\/+$|(^|\/)\.{1,2}\/+$/.test(text)) throw fail("EISDIR");
    if (has(constants.O_CREAT) && has(constants.O_EXCL)) throw fail("EEXIST");
    if (found.isSymlink) throw fail("ELOOP");
    if (found.isDirectory && (writes(flags) || has(constants.O_CREAT))) throw fail("EISDIR");
    if (!found.isDirectory && has(constants.O_DIRECTORY)) throw fail("ENOTDIR");
    if (!found.isDirectory && !found.isFile) throw fail("ENXIO");
  }

  /** @returns a descriptor, which `close` must be called for */
  register(entry: Entry, path: PathLike, flags: number): number {
    const fd = this.#nextFd++;
    this.names.retain(entry);
    this.#open.set(fd, { entry, path: displayPath(path), flags, position: 0 });
    return fd;
  }

  /** @throws EBADF */
  opened(fd: number, syscall: string): OpenFile {
    const file = this.#open.get(fd);
    if (file === undefined) throw fileError("EBADF", syscall);
    file.entry = this.names.current(file.entry);
    return file;
  }

  close(fd: number): void {
    const { entry } = this.opened(fd, "close");
    this.#open.delete(fd);
    this.names.release(entry);
  }

  closeAll(): void {
    for (const fd of this.#open.keys()) this.close(fd);
  }

  /** @returns bytes read: 0 at the end */
  read(file: OpenFile, { bytes, position }: ReadTarget): number {
    requireReadable(file);
    try {
      const count = this.#bytes.read(file.entry, position ?? file.position, bytes);
      if (position === null) file.position += count;
      return count;
    } catch (error) {
      throw readError(error, "read", file.path);
    }
  }

  /** From where the file is to its end; some megabytes at a time. */
  *rest(file: OpenFile): Generator<Buffer> {
    requireReadable(file);
    for (;;) {
      const left = Math.max(file.entry.size - file.position, 0);
      const bytes = Buffer.allocUnsafeSlow(Math.min(left, PIECE_BYTES));
      if (this.read(file, { bytes, position: null }) === 0) return;
      yield bytes;
    }
  }

  *dataSegments(file: OpenFile): Generator<DataSegment> {
    if (!file.entry.isFile) throw fileError("EISDIR", "lseek");
    try {
      yield* this.#bytes.dataSegments(file.entry);
    } catch (error) {
      throw readError(error, "lseek", file.path);
    }
  }
}

/** @throws as read(2) */
function requireReadable({ entry, flags }: OpenFile): void {
  if (!isReadable(flags)) throw fileError("EBADF", "read");
  if (!entry.isFile) throw fileError("EISDIR", "read");
}

function writes(flags: number): boolean {
  return isWritable(flags) || (flags & constants.O_TRUNC) !== 0;
}

/** Above all that the kernel gives out: what is none of ours must not be taken for one, nor the other way round. */
const FIRST_FD = 2 ** 30;
const PIECE_BYTES = 4 << 20;
let nextDevice = 2 ** 20;

export function displayPath(path: PathLike): string {
  const given = givenPath(path);
  return typeof given === "string" ? given : given.text;
}
