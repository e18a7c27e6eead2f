import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import type { Options, WithEncoding } from "./arguments.ts";
import type { ViewDir } from "./dir.ts";
import type {
  ReadFile,
  ReadFileOptions,
  ReadPath,
  Readdir,
  ReaddirOptions,
  Stat,
  StatOptions,
  Statfs,
  WriteFileOptions,
} from "./face-types.ts";
import type { FileCalls } from "./file-calls.ts";
import type { FileData } from "./file-data.ts";
import { ViewFileHandle } from "./file-handle.ts";
import type { PathCalls } from "./path-calls.ts";
import type { SyncFace } from "./sync-face.ts";
import type { ModeLike } from "./write-arguments.ts";

type WriteFile = (
  path: PathLike | ViewFileHandle,
  data: FileData,
  options?: Options<WriteFileOptions>,
) => Promise<void>;

/**
 * The functions of node:fs/promises, but for `watch`; and mknod, extended attributes, and flags of rename, which that lacks.
 *
 * What they tell is known at once; only long reads let others in between. What they change is so for whoever looks once they
 * have returned, and outlives the process once their promises resolve.
 */
export class PromisesFace {
  readonly constants: typeof constants = constants;
  readonly stat: Stat<true>;
  readonly lstat: Stat<true>;
  readonly access: (path: PathLike, mode?: number | null) => Promise<void>;
  readonly readdir: Readdir<true>;
  readonly opendir: (path: PathLike, options?: Options<WithEncoding>) => Promise<ViewDir>;
  readonly readlink: ReadPath<true>;
  readonly realpath: ReadPath<true>;
  readonly getxattr: (path: PathLike, name: string) => Promise<Buffer>;
  readonly lgetxattr: (path: PathLike, name: string) => Promise<Buffer>;
  readonly listxattr: (path: PathLike) => Promise<string[]>;
  readonly llistxattr: (path: PathLike) => Promise<string[]>;
  readonly statfs: Statfs;

  readonly open: (path: PathLike, flags?: string | number | null, mode?: ModeLike) => Promise<ViewFileHandle>;
  readonly readFile: ReadFile<ViewFileHandle, true>;
  readonly writeFile: WriteFile;
  readonly appendFile: WriteFile;
  readonly truncate: PathCalls["truncate"];
  readonly copyFile: PathCalls["copyFile"];
  readonly cp: PathCalls["cp"];
  readonly mkdir: PathCalls["mkdir"];
  readonly mkdtemp: PathCalls["mkdtemp"];
  readonly mknod: PathCalls["mknod"];
  readonly rmdir: PathCalls["rmdir"];
  readonly rm: PathCalls["rm"];
  readonly unlink: PathCalls["unlink"];
  readonly rename: PathCalls["rename"];
  readonly link: PathCalls["link"];
  readonly symlink: PathCalls["symlink"];
  readonly chmod: PathCalls["chmod"];
  readonly lchmod: PathCalls["lchmod"];
  readonly chown: PathCalls["chown"];
  readonly lchown: PathCalls["lchown"];
  readonly utimes: PathCalls["utimes"];
  readonly lutimes: PathCalls["lutimes"];
  readonly setxattr: PathCalls["setxattr"];
  readonly lsetxattr: PathCalls["lsetxattr"];
  readonly removexattr: PathCalls["removexattr"];
  readonly lremovexattr: PathCalls["lremovexattr"];

  constructor(sync: SyncFace, paths: PathCalls, files: FileCalls) {
    this.stat = promised(sync.statSync as (path: PathLike, options?: StatOptions) => unknown) as Stat<true>;
    this.lstat = promised(sync.lstatSync as (path: PathLike, options?: StatOptions) => unknown) as Stat<true>;
    this.access = promised(sync.accessSync);
    this.readdir = promised(
      sync.readdirSync as (path: PathLike, options?: Options<ReaddirOptions>) => unknown,
    ) as Readdir<true>;
    this.opendir = promised(sync.opendirSync);
    this.readlink = promised(sync.readlinkSync) as ReadPath<true>;
    this.realpath = promised(sync.realpathSync) as ReadPath<true>;
    this.getxattr = promised(sync.getxattrSync);
    this.lgetxattr = promised(sync.lgetxattrSync);
    this.listxattr = promised(sync.listxattrSync);
    this.llistxattr = promised(sync.llistxattrSync);
    this.statfs = promised(paths.statfs) as Statfs;

    this.open = async (path, flags, mode) =>
      new ViewFileHandle(files, await paths.open(path, flags, mode), sync.closeSync);
    this.readFile = (async (path: PathLike | ViewFileHandle, options?: Options<ReadFileOptions>) =>
      path instanceof ViewFileHandle ? path.readFile(options) : paths.readFile(path, options)) as ReadFile<
      ViewFileHandle,
      true
    >;
    this.writeFile = async (path, data, options) =>
      path instanceof ViewFileHandle ? path.writeFile(data, options) : paths.writeFile(path, data, options);
    this.appendFile = async (path, data, options) =>
      path instanceof ViewFileHandle ? path.appendFile(data, options) : paths.appendFile(path, data, options);
    this.truncate = promised(paths.truncate);
    this.copyFile = promised(paths.copyFile);
    this.cp = promised(paths.cp);
    this.mkdir = promised(paths.mkdir);
    this.mkdtemp = promised(paths.mkdtemp);
    this.mknod = promised(paths.mknod);
    this.rmdir = promised(paths.rmdir);
    this.rm = promised(paths.rm);
    this.unlink = promised(paths.unlink);
    this.rename = promised(paths.rename);
    this.link = promised(paths.link);
    this.symlink = promised(paths.symlink);
    this.chmod = promised(paths.chmod);
    this.lchmod = promised(paths.lchmod);
    this.chown = promised(paths.chown);
    this.lchown = promised(paths.lchown);
    this.utimes = promised(paths.utimes);
    this.lutimes = promised(paths.lutimes);
    this.setxattr = promised(paths.setxattr);
    this.lsetxattr = promised(paths.lsetxattr);
    this.removexattr = promised(paths.removexattr);
    this.lremovexattr = promised(paths.lremovexattr);
  }
}

/** The same call, but what it throws at once rejects. */
function promised<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
  return async (...args): Promise<Awaited<R>> => await call(...args);
}
