import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { posix } from "node:path";
import { byteStringOf } from "../model/name.ts";
import { encodeName, openFlags, optionsOf, readTarget } from "./arguments.ts";
import type { NameEncoding, Options, ReadOptions, WithEncoding } from "./arguments.ts";
import { ViewDir } from "./dir.ts";
import type { Entry } from "./entry.ts";
import type {
  Listing,
  ReadFile,
  ReadFileOptions,
  ReadPath,
  Readdir,
  ReaddirOptions,
  RealPath,
  Stat,
  StatOptions,
} from "./face-types.ts";
import { ownedOf, xattrOf } from "./credentials.ts";
import { fileError } from "./file-error.ts";
import { mayAccess } from "./permissions.ts";
import { ViewDirent } from "./stats.ts";
import type { ViewBigIntStats, ViewStats } from "./stats.ts";
import { displayPath } from "./view-core.ts";
import type { ViewCore } from "./view-core.ts";
import { threeBits } from "./write-arguments.ts";
import { flawOfXattr, mayGetxattr, visibleXattrs } from "./xattr-permissions.ts";

/** The functions of node:fs that read and do not wait. */
export class SyncFace {
  readonly #core: ViewCore;

  constructor(core: ViewCore) {
    this.#core = core;
  }

  readonly statSync: Stat = ((path: PathLike, options?: StatOptions) => this.#stat(path, true, options)) as Stat;

  readonly lstatSync: Stat = ((path: PathLike, options?: StatOptions) => this.#stat(path, false, options)) as Stat;

  readonly fstatSync = (fd: number, options?: StatOptions): ViewStats | ViewBigIntStats =>
    this.#core.stat(this.#core.opened(fd, "fstat").entry, options?.bigint === true);

  readonly existsSync = (path: PathLike): boolean => {
    try {
      return typeof this.#core.find(path, true, "access") !== "string";
    } catch {
      // As node:fs: what is no path does not exist.
      return false;
    }
  };

  readonly accessSync = (path: PathLike, mode?: number | null): void => {
    const asked = threeBits(mode);
    const entry = this.#core.get(path, true, "access");
    const isReadOnly = this.#core.writes === undefined && (entry.isFile || entry.isDirectory);
    if ((asked & constants.W_OK) !== 0 && isReadOnly) throw fileError("EROFS", "access", displayPath(path));
    this.#core.allow(mayAccess(this.#core.caller, ownedOf(entry), asked), "access", path);
  };

  readonly readdirSync: Readdir = ((path: PathLike, options?: Options<ReaddirOptions>): Listing => {
    const { encoding, withFileTypes = false, recursive = false } = optionsOf(options);
    const directory = this.#core.directory(path, "scandir");
    const walk = recursive ? this.#below(directory, path) : this.#listed(directory, path, "");
    const as = encoding ?? "utf8";
    if (!withFileTypes) return Array.from(walk, ({ above, name }) => encodeName(above + name, as));
    const top = path instanceof Uint8Array ? path : displayPath(path);
    return Array.from(walk, ({ above, name, entry }) => {
      const parent = above === "" ? top : joinTo(top, above.slice(0, -1));
      return new ViewDirent(entry, encodeName(name, as), parent);
    });
  }) as Readdir;

  readonly opendirSync = (path: PathLike, options?: Options<WithEncoding>): ViewDir => {
    const { encoding } = optionsOf(options);
    const directory = this.#core.directory(path, "opendir");
    return new ViewDir(displayPath(path), this.#core.entries(directory, "scandir", path), encoding ?? "utf8");
  };

  readonly readlinkSync: ReadPath = ((path: PathLike, options?: Options<WithEncoding>): string | Buffer => {
    const { encoding } = optionsOf(options);
    const entry = this.#core.get(path, false, "readlink");
    if (!entry.isSymlink) throw fileError("EINVAL", "readlink", displayPath(path));
    return encodeName(entry.target, encoding ?? "utf8");
  }) as ReadPath;

  /** As `fs.realpathSync.native`: node's other one takes ".." away before it looks at symlinks. */
  readonly realpathSync: RealPath = withNative(((path: PathLike, options?: Options<WithEncoding>) => {
    const { encoding } = optionsOf(options);
    return encodeName(this.#core.realPath(path), encoding ?? "utf8");
  }) as ReadPath);

  readonly openSync = (path: PathLike, flags?: string | number | null): number =>
    this.#core.open(path, openFlags(flags));

  readonly closeSync = (fd: number): void => this.#core.close(fd);

  readonly readSync = (
    fd: number,
    buffer: NodeJS.ArrayBufferView,
    offsetOrOptions?: number | ReadOptions | null,
    length?: number | null,
    position?: number | bigint | null,
  ): number => {
    const options =
      typeof offsetOrOptions === "object" && offsetOrOptions !== null
        ? offsetOrOptions
        : { offset: offsetOrOptions ?? null, length: length ?? null, position: position ?? null };
    return this.#core.read(this.#core.opened(fd, "read"), readTarget(buffer, options));
  };

  readonly readFileSync: ReadFile<number> = ((
    path: PathLike | number,
    options?: Options<ReadFileOptions>,
  ): string | Buffer => {
    const { encoding, flag } = optionsOf(options);
    const fd = typeof path === "number" ? path : this.openSync(path, flag);
    try {
      return decodeBytes(Buffer.concat([...this.#core.rest(this.#core.opened(fd, "read"))]), encoding);
    } finally {
      if (typeof path !== "number") this.closeSync(fd);
    }
  }) as ReadFile<number>;

  /** The value, byte for byte. @throws ENODATA if there is no such attribute */
  readonly getxattrSync = (path: PathLike, name: string): Buffer => this.#xattr(path, name, true, "getxattr");
  readonly lgetxattrSync = (path: PathLike, name: string): Buffer => this.#xattr(path, name, false, "lgetxattr");
  readonly listxattrSync = (path: PathLike): string[] => this.#xattrNames(path, true, "listxattr");
  readonly llistxattrSync = (path: PathLike): string[] => this.#xattrNames(path, false, "llistxattr");

  #stat(path: PathLike, follow: boolean, options: StatOptions | undefined): ViewStats | ViewBigIntStats | undefined {
    const syscall = follow ? "stat" : "lstat";
    const found = this.#core.find(path, follow, syscall);
    if (typeof found !== "string") return this.#core.stat(found, options?.bigint === true);
    if (found === "ENOENT" && options?.throwIfNoEntry === false) return undefined;
    throw fileError(found, syscall, displayPath(path));
  }

  #xattr(path: PathLike, name: string, follow: boolean, syscall: string): Buffer {
    const bytes = byteStringOf(name);
    this.#core.allow(flawOfXattr(bytes), syscall, path);
    const node = ownedOf(this.#core.get(path, follow, syscall));
    this.#core.allow(mayGetxattr(this.#core.caller, node, bytes), syscall, path);
    return Buffer.from(xattrOf(node, bytes) ?? []);
  }

  #xattrNames(path: PathLike, follow: boolean, syscall: string): string[] {
    const { xattrs } = this.#core.get(path, follow, syscall).attributes;
    return visibleXattrs(this.#core.caller, { xattrs }).map(({ name }) => displayText(name));
  }

  /** Level by level, as node:fs lists. */
  *#below(top: Entry, path: PathLike): Generator<Listed> {
    const directories = [{ entry: top, path: "" }];
    for (const directory of directories) {
      for (const listed of this.#listed(directory.entry, path, directory.path)) {
        yield listed;
        const { entry, name } = listed;
        if (entry.isDirectory) directories.push({ entry, path: `${directory.path}${name}/` });
      }
    }
  }

  *#listed(directory: Entry, path: PathLike, above: string): Generator<Listed> {
    for (const [name, entry] of this.#core.entries(directory, "scandir", path)) yield { above, name, entry };
  }
}

/** `above`: the path from where the listing began, "" or with a slash at its end. */
interface Listed {
  readonly above: string;
  readonly name: string;
  readonly entry: Entry;
}

function joinTo(top: string | Buffer, below: string): string | Buffer {
  if (typeof top === "string") return posix.join(top, displayText(below));
  return Buffer.concat([top, Buffer.from(`/${below}`, "latin1")]);
}

function withNative(realPath: ReadPath): RealPath {
  return Object.assign(realPath, { native: realPath });
}

export function decodeBytes(bytes: Buffer, encoding: NameEncoding | null | undefined): string | Buffer {
  return encoding == null || encoding === "buffer" ? bytes : bytes.toString(encoding);
}

function displayText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}
