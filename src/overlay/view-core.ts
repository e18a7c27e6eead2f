import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { byteStringOf } from "../model/name.ts";
import { givenPath } from "./arguments.ts";
import type { ReadTarget } from "./arguments.ts";
import type { BlockCache, DataSegment } from "./block-cache.ts";
import type { Entry } from "./entry.ts";
import { fileError, readError } from "./file-error.ts";
import type { Names, Resolved } from "./resolver.ts";
import { Resolver } from "./resolver.ts";
import { ViewBigIntStats, ViewStats } from "./stats.ts";
import type { Writes } from "./writes.ts";

/** An open file or directory. */
export interface OpenFile {
  readonly entry: Entry;
  /** As it was given to open, for errors. */
  readonly path: string;
  /** Where the next read without a position begins. */
  position: number;
}

/**
 * What the faces of a view have in common: paths in, entries and bytes out, errors as node:fs throws them. Permissions are not
 * asked for: the caller is the store's owner. Everything is for reading: what would write is EROFS.
 */
export class ViewCore {
  readonly names: Names;
  /** Undefined for what cannot change. */
  readonly writes: Writes | undefined;
  readonly #resolver: Resolver;
  readonly #blocks: BlockCache;
  /** What stat says of the device: another number for each view of this process. */
  readonly #device = nextDevice++;
  readonly #open = new Map<number, OpenFile>();
  #nextFd = FIRST_FD;

  /** Borrows all. */
  constructor(names: Names, blocks: BlockCache, writes?: Writes) {
    this.names = names;
    this.writes = writes;
    this.#resolver = new Resolver(names);
    this.#blocks = blocks;
  }

  /** Whatever the path leads to, or why it leads nowhere. @throws only for damage, and what is no path */
  find(path: PathLike, follow: boolean, syscall: string): Resolved {
    const given = givenPath(path);
    try {
      if (typeof given === "string") return this.#resolver.resolve(given, follow);
      return this.#resolver.resolveBytes(given.bytes, follow);
    } catch (error) {
      throw readError(error, syscall, displayPath(path));
    }
  }

  get(path: PathLike, follow: boolean, syscall: string): Entry {
    const found = this.find(path, follow, syscall);
    if (typeof found === "string") throw fileError(found, syscall, displayPath(path));
    return found;
  }

  directory(path: PathLike, syscall: string): Entry {
    const entry = this.get(path, true, syscall);
    if (entry.isDirectory) return entry;
    throw fileError("ENOTDIR", syscall, displayPath(path));
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

  *entries(directory: Entry, syscall: string, path: PathLike): Generator<Entry> {
    try {
      for (const some of this.names.entries(directory)) yield* some;
    } catch (error) {
      throw readError(error, syscall, displayPath(path));
    }
  }

  /** @throws EROFS for what would write, once all else is in order */
  open(path: PathLike, flags: number): number {
    const text = displayPath(path);
    const fail = (code: string): Error => fileError(code, "open", text);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const writes = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0 || has(constants.O_TRUNC);
    const exclusive = has(constants.O_CREAT) && has(constants.O_EXCL);
    const found = this.find(path, !has(constants.O_NOFOLLOW) && !exclusive, "open");
    if (typeof found === "string") throw fail(found === "ENOENT" && has(constants.O_CREAT) ? "EROFS" : found);
    // A name with a slash after it cannot be made by open, not even if it is there; "/", "." and ".." are no names.
    if (has(constants.O_CREAT) && text.endsWith("/") && !/^\/+$|(^|\/)\.{1,2}\/+$/.test(text)) throw fail("EISDIR");
    if (exclusive) throw fail("EEXIST");
    if (found.isSymlink) throw fail("ELOOP");
    if (found.isDirectory && (writes || has(constants.O_CREAT))) throw fail("EISDIR");
    if (!found.isDirectory && has(constants.O_DIRECTORY)) throw fail("ENOTDIR");
    if (!found.isDirectory && !found.isFile) throw fail("ENXIO");
    if (writes) throw fail("EROFS");
    const fd = this.#nextFd++;
    this.#open.set(fd, { entry: found, path: text, position: 0 });
    return fd;
  }

  /** @throws EBADF */
  opened(fd: number, syscall: string): OpenFile {
    const file = this.#open.get(fd);
    if (file === undefined) throw fileError("EBADF", syscall);
    return file;
  }

  close(fd: number): void {
    this.opened(fd, "close");
    this.#open.delete(fd);
  }

  /** @returns bytes read: 0 at the end */
  read(file: OpenFile, { bytes, position }: ReadTarget): number {
    if (!file.entry.isFile) throw fileError("EISDIR", "read");
    try {
      const count = this.#blocks.read(file.entry.content, position ?? file.position, bytes);
      if (position === null) file.position += count;
      return count;
    } catch (error) {
      throw readError(error, "read", file.path);
    }
  }

  /** From where the file is to its end; some megabytes at a time. */
  *rest(file: OpenFile): Generator<Buffer> {
    if (!file.entry.isFile) throw fileError("EISDIR", "read");
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
      yield* this.#blocks.dataSegments(file.entry.content);
    } catch (error) {
      throw readError(error, "lseek", file.path);
    }
  }
}

/** Above all that the kernel gives out: what is none of ours must not be taken for one, nor the other way round. */
const FIRST_FD = 2 ** 30;
const PIECE_BYTES = 4 << 20;
let nextDevice = 2 ** 20;

export function displayPath(path: PathLike): string {
  const given = givenPath(path);
  return typeof given === "string" ? given : given.text;
}
