import { constants, Dirent, Stats } from "node:fs";
import type { BigIntStats } from "node:fs";
import type { Entry } from "./entry.ts";

/** What stat needs to know beside the entry. */
export interface Identity {
  readonly dev: number;
  readonly ino: number;
  readonly nlink: number;
}

const BLOCK_SIZE = 4096;
/** What a directory takes is no business of a tree's. Most filesystems say this of a small one. */
const DIRECTORY_SIZE = 4096;

/** What a node's type answers; below both kinds of stats and directory entries. */
abstract class Typed {
  protected abstract readonly format: number;

  isFile(): boolean {
    return this.format === constants.S_IFREG;
  }
  isDirectory(): boolean {
    return this.format === constants.S_IFDIR;
  }
  isSymbolicLink(): boolean {
    return this.format === constants.S_IFLNK;
  }
  isCharacterDevice(): boolean {
    return this.format === constants.S_IFCHR;
  }
  isBlockDevice(): boolean {
    return this.format === constants.S_IFBLK;
  }
  isFIFO(): boolean {
    return this.format === constants.S_IFIFO;
  }
  isSocket(): boolean {
    return this.format === constants.S_IFSOCK;
  }
}

/** As `fs.Stats`. A tree keeps one time of a node: all four are its mtime. */
export class ViewStats extends Typed implements Stats {
  readonly dev: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly ino: number;
  readonly size: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  constructor(entry: Entry, { dev, ino, nlink }: Identity) {
    super();
    const { uid, gid, mtimeSec, mtimeNsec } = entry.attributes;
    this.dev = dev;
    this.mode = entry.mode;
    this.nlink = nlink;
    this.uid = uid;
    this.gid = gid;
    this.rdev = entry.isDevice ? entry.size : 0;
    this.blksize = BLOCK_SIZE;
    this.ino = ino;
    this.size = sizeOf(entry);
    this.blocks = blocksOf(entry);
    const ms = mtimeSec * 1e3 + mtimeNsec / 1e6;
    this.atimeMs = ms;
    this.mtimeMs = ms;
    this.ctimeMs = ms;
    this.birthtimeMs = ms;
  }

  protected get format(): number {
    return this.mode & constants.S_IFMT;
  }
  get atime(): Date {
    return new Date(Math.round(this.atimeMs));
  }
  get mtime(): Date {
    return this.atime;
  }
  get ctime(): Date {
    return this.atime;
  }
  get birthtime(): Date {
    return this.atime;
  }
}

/** As what `bigint: true` gives: exact to the nanosecond. */
export class ViewBigIntStats extends Typed implements BigIntStats {
  readonly dev: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly blksize: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly blocks: bigint;
  readonly atimeMs: bigint;
  readonly mtimeMs: bigint;
  readonly ctimeMs: bigint;
  readonly birthtimeMs: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;

  constructor(entry: Entry, { dev, ino, nlink }: Identity) {
    super();
    const { uid, gid, mtimeSec, mtimeNsec } = entry.attributes;
    this.dev = BigInt(dev);
    this.mode = BigInt(entry.mode);
    this.nlink = BigInt(nlink);
    this.uid = BigInt(uid);
    this.gid = BigInt(gid);
    this.rdev = BigInt(entry.isDevice ? entry.size : 0);
    this.blksize = BigInt(BLOCK_SIZE);
    this.ino = BigInt(ino);
    this.size = BigInt(sizeOf(entry));
    this.blocks = BigInt(blocksOf(entry));
    const ns = BigInt(mtimeSec) * 1_000_000_000n + BigInt(mtimeNsec);
    const ms = ns / 1_000_000n;
    this.atimeMs = ms;
    this.mtimeMs = ms;
    this.ctimeMs = ms;
    this.birthtimeMs = ms;
    this.atimeNs = ns;
    this.mtimeNs = ns;
    this.ctimeNs = ns;
    this.birthtimeNs = ns;
  }

  protected get format(): number {
    return Number(this.mode) & constants.S_IFMT;
  }
  get atime(): Date {
    return new Date(Number(this.atimeMs));
  }
  get mtime(): Date {
    return this.atime;
  }
  get ctime(): Date {
    return this.atime;
  }
  get birthtime(): Date {
    return this.atime;
  }
}

/** As `fs.Dirent`. */
export class ViewDirent<N extends string | Buffer = string> extends Typed {
  readonly name: N;
  /** The directory's path as the caller gave it; bytes if it gave bytes, as node:fs has it, whatever its types say. */
  readonly parentPath: string;
  /** The same, under its older name. */
  readonly path: string;
  readonly #format: number;

  constructor(entry: Entry, name: N, parentPath: string | Buffer) {
    super();
    this.name = name;
    this.parentPath = parentPath as string;
    this.path = parentPath as string;
    this.#format = entry.format;
  }

  protected get format(): number {
    return this.#format;
  }
}

// So that `instanceof` holds. Their own constructors are not for us: that of Stats is deprecated, that of Dirent private.
Object.setPrototypeOf(Typed.prototype, Stats.prototype);
Object.setPrototypeOf(ViewDirent.prototype, Object.create(Dirent.prototype, typedMethods()) as object);

function typedMethods(): PropertyDescriptorMap {
  return Object.getOwnPropertyDescriptors(Typed.prototype);
}

function sizeOf(entry: Entry): number {
  if (entry.isDirectory) return DIRECTORY_SIZE;
  return entry.isDevice ? 0 : entry.size;
}

/** In units of 512 bytes, as if a file with holes had none unless it is nothing else. */
function blocksOf(entry: Entry): number {
  if (!entry.isFile || entry.isHole) return 0;
  return Math.ceil(entry.size / 512);
}
