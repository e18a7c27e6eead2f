import type { PathLike } from "node:fs";
import { checkAborted, givenPath, openFlags, optionsOf } from "./arguments.ts";
import type { Options, WithEncoding } from "./arguments.ts";
import { copyTree } from "./copy-tree.ts";
import type { CopyOptions } from "./copy-tree.ts";
import type {
  MakeDirectoryOptions,
  ReadFileOptions,
  RemoveOptions,
  SpaceStats,
  Statfs,
  WriteFileOptions,
} from "./face-types.ts";
import type { FileCalls } from "./file-calls.ts";
import { dataPieces, wholePiece } from "./file-data.ts";
import type { FileData, Pieces } from "./file-data.ts";
import { fileError, typeError } from "./file-error.ts";
import { makeDirectories, makeTemporary, removeTree } from "./tree-calls.ts";
import type { ViewCore } from "./view-core.ts";
import { displayPath } from "./view-core.ts";
import { checkBoolean, checkObject, fileLength, fileMode, fileTime, isExclusive, ownerId } from "./write-arguments.ts";
import type { ModeLike, TimeLike } from "./write-arguments.ts";
import type { DeviceNumber, FileTime, Writes } from "./writes.ts";

/** What statfs tells of where a view is stored. */
export type Space = () => Omit<SpaceStats<number>, "type">;

/**
 * The functions of node:fs/promises that write, and those of Linux that it lacks. Wrong arguments throw at once, as node:fs's
 * calls that call back do; all else rejects, or throws an error of the file's. They need no `this`.
 */
export class PathCalls {
  readonly #core: ViewCore;
  readonly #writes: Writes;
  readonly #files: FileCalls;
  readonly #space: Space | undefined;

  constructor(core: ViewCore, writes: Writes, files: FileCalls, space: Space | undefined) {
    this.#core = core;
    this.#writes = writes;
    this.#files = files;
    this.#space = space;
  }

  /** @returns a descriptor */
  readonly open = (path: PathLike, flags?: string | number | null, mode?: ModeLike): Promise<number> => {
    givenPath(path);
    return this.#writes.open(path, openFlags(flags), fileMode(mode, 0o666));
  };

  readonly readFile = (path: PathLike, options?: Options<ReadFileOptions>): Promise<string | Buffer> => {
    const given = optionsOf(options);
    const flags = openFlags(given.flag);
    givenPath(path);
    return this.#readFrom(() => this.#writes.open(path, flags, 0o666), given);
  };

  /** A large file goes a piece at a time: what reads it meanwhile sees a part of it. */
  readonly writeFile = (path: PathLike, data: FileData, options?: Options<WriteFileOptions>): Promise<void> =>
    this.#put(path, data, optionsOf(options), "w");

  readonly appendFile = (path: PathLike, data: FileData, options?: Options<WriteFileOptions>): Promise<void> =>
    this.#put(path, data, optionsOf(options), "a");

  readonly truncate = (path: PathLike, length = 0): Promise<void> => {
    const size = fileLength(length);
    return this.open(path, "r+").then((fd) => this.#withFile(fd, () => this.#files.truncate(fd, size)));
  };

  /** @param mode EXCL; whether it is to be by reference is not asked, since it always is */
  readonly copyFile = (from: PathLike, to: PathLike, mode?: number | null): Promise<void> => {
    givenPath(from, "src");
    givenPath(to, "dest");
    return this.#writes.copyFile(from, to, isExclusive(mode));
  };

  /** As `fs.cp`, by reference. */
  readonly cp = (from: PathLike, to: PathLike, options: CopyOptions = {}): Promise<void> =>
    copyTree(this.#core, this.#writes, from, to, options);

  /** @returns with `recursive` the first directory that was made, if any */
  readonly mkdir = (
    path: PathLike,
    options?: MakeDirectoryOptions | number | string | null,
  ): Promise<string | undefined> => {
    const { recursive, mode } = typeof options === "object" && options !== null ? options : { mode: options };
    givenPath(path);
    checkBoolean("options.recursive", recursive);
    const bits = fileMode(mode, 0o777);
    if (recursive === true) return makeDirectories(this.#core, this.#writes, path, bits);
    return this.#writes.mkdir(path, bits).then(() => undefined);
  };

  readonly mkdtemp = (prefix: PathLike, options?: Options<WithEncoding>): Promise<string | Buffer> => {
    givenPath(prefix, "prefix");
    return makeTemporary(this.#writes, prefix, optionsOf(options).encoding ?? "utf8");
  };

  /** @param mode with the type: S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR or S_IFBLK */
  readonly mknod = (path: PathLike, mode: number, device: DeviceNumber = NO_DEVICE): Promise<void> => {
    givenPath(path);
    return this.#writes.mknod(path, fileMode(mode), device);
  };

  readonly rmdir = (path: PathLike, options?: object): Promise<void> => {
    givenPath(path);
    if (options !== undefined) checkObject("options", options);
    return this.#writes.rmdir(path);
  };

  readonly rm = (path: PathLike, options: RemoveOptions = {}): Promise<void> => {
    givenPath(path);
    checkObject("options", options);
    checkBoolean("options.recursive", options.recursive);
    checkBoolean("options.force", options.force);
    return removeTree(this.#core, this.#writes, path, options);
  };

  readonly unlink = (path: PathLike): Promise<void> => {
    givenPath(path);
    return this.#writes.unlink(path);
  };

  readonly rename = (from: PathLike, to: PathLike, options: RenameOptions = {}): Promise<void> => {
    givenPath(from, "oldPath");
    givenPath(to, "newPath");
    return this.#writes.rename(from, to, options.flag);
  };

  readonly link = (existing: PathLike, path: PathLike): Promise<void> => {
    givenPath(existing, "existingPath");
    givenPath(path, "newPath");
    return this.#writes.link(existing, path);
  };

  /** @param _type is Windows's */
  readonly symlink = (target: PathLike, path: PathLike, _type?: string | null): Promise<void> => {
    givenPath(target, "target");
    givenPath(path);
    return this.#writes.symlink(target, path);
  };

  readonly chmod = (path: PathLike, mode: ModeLike): Promise<void> => {
    givenPath(path);
    return this.#writes.chmod({ path, follow: true }, fileMode(mode));
  };

  /** As lchmod(3) on Linux, which node:fs lacks there: a symlink has no mode of its own. @throws ENOTSUP for one */
  readonly lchmod = async (path: PathLike, mode: ModeLike): Promise<void> => {
    const bits = fileMode(mode);
    if (this.#core.get(path, false, "lchmod").isSymlink) throw fileError("ENOTSUP", "lchmod", displayPath(path));
    await this.#writes.chmod({ path, follow: false }, bits);
  };

  readonly chown = (path: PathLike, uid: number, gid: number): Promise<void> => this.#own(path, true, uid, gid);
  readonly lchown = (path: PathLike, uid: number, gid: number): Promise<void> => this.#own(path, false, uid, gid);

  /** Of a file one time is kept: `mtime`. As bigint it is in nanoseconds, as stat tells it. */
  readonly utimes = (path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void> =>
    this.#writes.utimes({ path, follow: true }, timeOf(path, atime, mtime, "utime"));
  readonly lutimes = (path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void> =>
    this.#writes.utimes({ path, follow: false }, timeOf(path, atime, mtime, "lutime"));

  readonly setxattr = (path: PathLike, name: string, value: Uint8Array, options?: XattrOptions): Promise<void> =>
    this.#setXattr(path, true, name, value, options);
  readonly lsetxattr = (path: PathLike, name: string, value: Uint8Array, options?: XattrOptions): Promise<void> =>
    this.#setXattr(path, false, name, value, options);
  readonly removexattr = (path: PathLike, name: string): Promise<void> =>
    this.#writes.removexattr({ path, follow: true }, xattrName(name));
  readonly lremovexattr = (path: PathLike, name: string): Promise<void> =>
    this.#writes.removexattr({ path, follow: false }, xattrName(name));

  /** What is free is so of the filesystem that the store is on. */
  readonly statfs: Statfs = (async (path: PathLike, options?: { readonly bigint?: boolean | undefined }) => {
    this.#core.get(path, true, "statfs");
    const below = this.#space?.() ?? { bsize: BLOCK_BYTES, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 };
    const as = <N>(number: (value: number) => N): SpaceStats<N> => {
      const blocks = (count: number): N => number(Math.floor((count * below.bsize) / BLOCK_BYTES));
      return {
        type: number(OVERLAYFS_SUPER_MAGIC),
        bsize: number(BLOCK_BYTES),
        blocks: blocks(below.blocks),
        bfree: blocks(below.bfree),
        bavail: blocks(below.bavail),
        files: number(below.files),
        ffree: number(below.ffree),
      };
    };
    return options?.bigint === true ? as(BigInt) : as(Number);
  }) as Statfs;

  #put(path: PathLike, data: FileData, options: Partial<WriteFileOptions>, flag: string): Promise<void> {
    checkBoolean("options.flush", options.flush);
    // Now, so that nothing is made for what is no data.
    const pieces = dataPieces(data, options.encoding);
    const flags = openFlags(options.flag ?? flag);
    const mode = fileMode(options.mode, 0o666);
    givenPath(path);
    const whole = options.flush === true ? undefined : wholePiece(data, options.encoding);
    if (whole !== undefined) return this.#putWhole(path, flags, mode, whole, options);
    return this.#putInto(() => this.#writes.open(path, flags, mode), pieces, options);
  }

  /** In one call: two that wait for the store take twice as long. bench/writes.ts. */
  async #putWhole(
    path: PathLike,
    flags: number,
    mode: number,
    bytes: Uint8Array,
    { signal }: Partial<WriteFileOptions>,
  ): Promise<void> {
    checkAborted(signal);
    await this.#writes.put(path, flags, mode, bytes);
  }

  async #putInto(open: () => Promise<number>, pieces: Pieces, options: Partial<WriteFileOptions>): Promise<void> {
    checkAborted(options.signal);
    await this.#withFile(await open(), (fd) => this.#files.writePieces(fd, pieces, options));
  }

  async #readFrom(open: () => Promise<number>, options: Partial<ReadFileOptions>): Promise<string | Buffer> {
    checkAborted(options.signal);
    return this.#withFile(await open(), (fd) => this.#files.readFile(fd, options));
  }

  async #withFile<T>(fd: number, use: (fd: number) => Promise<T>): Promise<T> {
    try {
      return await use(fd);
    } finally {
      this.#core.close(fd);
    }
  }

  #own(path: PathLike, follow: boolean, uid: number, gid: number): Promise<void> {
    givenPath(path);
    return this.#writes.chown({ path, follow }, ownerId("uid", uid), ownerId("gid", gid));
  }

  #setXattr(path: PathLike, follow: boolean, name: string, value: Uint8Array, options?: XattrOptions): Promise<void> {
    givenPath(path);
    if (!(value instanceof Uint8Array)) throw typeError("value", "an instance of Uint8Array", value);
    return this.#writes.setxattr({ path, follow }, xattrName(name), value, options?.flag);
  }
}

export interface RenameOptions {
  /** Fail if something is there, or let both change places. */
  readonly flag?: "noreplace" | "exchange" | undefined;
}

export interface XattrOptions {
  readonly flag?: "create" | "replace" | undefined;
}

const NO_DEVICE: DeviceNumber = { major: 0, minor: 0 };
const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
const BLOCK_BYTES = 4096;

function timeOf(path: PathLike, atime: TimeLike, mtime: TimeLike, syscall: string): FileTime {
  givenPath(path);
  const [access, modification] = [fileTime(atime, "time"), fileTime(mtime, "time")];
  if (access !== undefined && modification !== undefined) return modification;
  throw fileError("EINVAL", syscall, displayPath(path));
}

function xattrName(name: string): string {
  if (typeof name !== "string") throw typeError("name", "of type string", name);
  return name;
}
