import type { PathLike, ReadStream, WriteStream } from "node:fs";
import { promisify } from "node:util";
import type { Options, ReadOptions } from "./arguments.ts";
import type { Late, LateReaddir, LateStat, ReadFileOptions, WriteFileOptions } from "./face-types.ts";
import type { FileCalls } from "./file-calls.ts";
import type { FileData } from "./file-data.ts";
import { typeError } from "./file-error.ts";
import type { PathCalls } from "./path-calls.ts";
import { streamClasses } from "./stream-classes.ts";
import type { ReadStreamOptions, StreamClasses, WriteStreamOptions } from "./stream-classes.ts";
import { SyncFace } from "./sync-face.ts";
import type { ViewCore } from "./view-core.ts";
import type { WriteRest } from "./write-arguments.ts";

type LateExists = (path: PathLike, callback: (exists: boolean) => void) => void;
type ReadFile = (file: PathLike | number, options?: Options<ReadFileOptions>) => Promise<string | Buffer>;
type WriteFile = (file: PathLike | number, data: FileData, options?: Options<WriteFileOptions>) => Promise<void>;

/** The functions of node:fs that call back, as far as libraries use them. What is before the callback may be left out. */
export class CallbackFace extends SyncFace {
  readonly stat: LateStat = late(this.statSync) as LateStat;
  readonly lstat: LateStat = late(this.lstatSync) as LateStat;
  readonly fstat: Late<SyncFace["fstatSync"]> = late(this.fstatSync);
  readonly access: Late<SyncFace["accessSync"]> = late(this.accessSync);
  readonly readdir: LateReaddir = late(this.readdirSync) as LateReaddir;
  readonly opendir: Late<SyncFace["opendirSync"]> = late(this.opendirSync);
  readonly readlink: Late<SyncFace["readlinkSync"]> = late(this.readlinkSync);
  readonly realpath: Late<SyncFace["realpathSync"]> & { readonly native: Late<SyncFace["realpathSync"]> } =
    Object.assign(late(this.realpathSync), { native: late(this.realpathSync) });
  readonly close: Late<SyncFace["closeSync"]> = late(this.closeSync);
  readonly exists: LateExists;

  readonly open: Late<PathCalls["open"]>;
  readonly read: (...args: unknown[]) => void;
  readonly readv: (...args: unknown[]) => void;
  readonly write: (...args: unknown[]) => void;
  readonly writev: (...args: unknown[]) => void;
  readonly ftruncate: Late<FileCalls["truncate"]>;
  readonly fchmod: Late<FileCalls["chmod"]>;
  readonly fchown: Late<FileCalls["chown"]>;
  readonly futimes: Late<FileCalls["utimes"]>;
  readonly fsync: Late<(fd: number) => Promise<void>>;
  readonly fdatasync: Late<(fd: number) => Promise<void>>;

  readonly statfs: Late<PathCalls["statfs"]>;
  readonly readFile: Late<ReadFile>;
  readonly writeFile: Late<WriteFile>;
  readonly appendFile: Late<WriteFile>;
  readonly truncate: Late<PathCalls["truncate"]>;
  readonly copyFile: Late<PathCalls["copyFile"]>;
  readonly cp: Late<PathCalls["cp"]>;
  readonly mkdir: Late<PathCalls["mkdir"]>;
  readonly mkdtemp: Late<PathCalls["mkdtemp"]>;
  readonly rmdir: Late<PathCalls["rmdir"]>;
  readonly rm: Late<PathCalls["rm"]>;
  readonly unlink: Late<PathCalls["unlink"]>;
  readonly rename: Late<PathCalls["rename"]>;
  readonly link: Late<PathCalls["link"]>;
  readonly symlink: Late<PathCalls["symlink"]>;
  readonly chmod: Late<PathCalls["chmod"]>;
  readonly chown: Late<PathCalls["chown"]>;
  readonly lchown: Late<PathCalls["lchown"]>;
  readonly utimes: Late<PathCalls["utimes"]>;
  readonly lutimes: Late<PathCalls["lutimes"]>;

  declare readonly ReadStream: StreamClasses["ReadStream"];
  declare readonly WriteStream: StreamClasses["WriteStream"];
  readonly createReadStream: (path: PathLike, options?: ReadStreamOptions) => ReadStream;
  readonly createWriteStream: (path: PathLike, options?: WriteStreamOptions) => WriteStream;

  constructor(core: ViewCore, paths: PathCalls, files: FileCalls) {
    super(core);
    const exists: LateExists = (path, callback) => {
      const found = this.existsSync(path);
      setImmediate(() => callback(found));
    };
    this.exists = withPromise(exists, async (path: PathLike) => this.existsSync(path));

    this.open = late(paths.open);
    this.read = counting("bytesRead", "buffer", (fd: number, ...rest: ReadRest) => {
      const [buffer, options] = readArguments(rest);
      return [files.read(fd, buffer, options), buffer];
    });
    this.readv = counting("bytesRead", "buffers", (fd: number, buffers: Buffers, position?: number | null) => [
      files.readv(fd, buffers, position),
      buffers,
    ]);
    this.write = counting("bytesWritten", "buffer", (fd: number, data: string | Buffer, ...rest: WriteRest) => [
      files.write(fd, data, rest),
      data,
    ]);
    this.writev = counting("bytesWritten", "buffer", (fd: number, buffers: Buffers, position?: number | null) => [
      files.writev(fd, buffers, position),
      buffers,
    ]);
    this.ftruncate = late((fd, length) => files.truncate(fd, length));
    this.fchmod = late((fd, mode) => files.chmod(fd, mode));
    this.fchown = late((fd, uid, gid) => files.chown(fd, uid, gid));
    this.futimes = late((fd, atime, mtime) => files.utimes(fd, atime, mtime));
    this.fsync = late((fd: number) => files.sync(fd, "fsync"));
    this.fdatasync = late((fd: number) => files.sync(fd, "fdatasync"));

    this.statfs = late(paths.statfs);
    this.readFile = late((file, options) =>
      typeof file === "number" ? files.readFile(file, options) : paths.readFile(file, options),
    );
    this.writeFile = late((file, data, options) =>
      typeof file === "number" ? files.writeFile(file, data, options) : paths.writeFile(file, data, options),
    );
    this.appendFile = late((file, data, options) =>
      typeof file === "number" ? files.writeFile(file, data, options) : paths.appendFile(file, data, options),
    );
    this.truncate = late(paths.truncate);
    this.copyFile = late(paths.copyFile);
    this.cp = late(paths.cp);
    this.mkdir = late(paths.mkdir);
    this.mkdtemp = late(paths.mkdtemp);
    this.rmdir = late(paths.rmdir);
    this.rm = late(paths.rm);
    this.unlink = late(paths.unlink);
    this.rename = late(paths.rename);
    this.link = late(paths.link);
    this.symlink = late(paths.symlink);
    this.chmod = late(paths.chmod);
    this.chown = late(paths.chown);
    this.lchown = late(paths.lchown);
    this.utimes = late(paths.utimes);
    this.lutimes = late(paths.lutimes);

    const { open, close, read, write, writev, fsync } = this;
    let made: StreamClasses | undefined;
    // Node's own are made when they are first asked for, too: that takes 2 ms.
    const classes = (): StreamClasses => (made ??= streamClasses({ open, close, read, write, writev, fsync }));
    const property = { configurable: true, enumerable: true };
    for (const name of ["ReadStream", "WriteStream"] as const)
      Object.defineProperty(this, name, {
        ...property,
        get: () => classes()[name],
        // As graceful-fs does to what it patches.
        set: (value: unknown) => Object.defineProperty(this, name, { ...property, writable: true, value }),
      });
    this.createReadStream = (path, options) => new (classes().ReadStream)(path, options);
    this.createWriteStream = (path, options) => new (classes().WriteStream)(path, options);
  }
}

type Buffers = readonly NodeJS.ArrayBufferView[];
type ReadRest = readonly [
  bufferOrOptions?: NodeJS.ArrayBufferView | (ReadOptions & { readonly buffer?: NodeJS.ArrayBufferView }) | null,
  offsetOrOptions?: number | ReadOptions | null,
  length?: number | null,
  position?: number | bigint | null,
];

function readArguments([given, more, length, position]: ReadRest): [NodeJS.ArrayBufferView, ReadOptions] {
  if (!ArrayBuffer.isView(given)) return [given?.buffer ?? Buffer.alloc(DEFAULT_BYTES), given ?? {}];
  if (typeof more === "object" && more !== null) return [given, more];
  return [given, { offset: more ?? null, length: length ?? null, position: position ?? null }];
}

const DEFAULT_BYTES = 16 * 1024;

/**
 * Calls back with what `call` gives or throws, after the caller is done. Wrong arguments throw at once, as node:fs does.
 */
function late<F extends (...args: never[]) => unknown>(call: F): Late<F> {
  return (...args: unknown[]): void => {
    const callback = callbackOf(args);
    answer(
      outcome(() => call(...(args as Parameters<F>))),
      (error, result) => {
        if (error !== null) callback(error);
        else if (result === undefined) callback(null);
        else callback(null, result);
      },
    );
  };
}

/** Likewise, with how many bytes and what they are from or in; promisified it gives both by these names. */
function counting<A extends readonly unknown[]>(
  count: string,
  data: string,
  call: (...args: A) => readonly [count: number | Promise<number>, data: unknown],
): (...args: unknown[]) => void {
  const calling = (...args: unknown[]): void => {
    const callback = callbackOf(args);
    let given: unknown;
    const result = outcome(() => {
      const [bytes, buffer] = call(...(args as unknown as A));
      given = buffer;
      return bytes;
    });
    answer(result, (error, bytes) => (error === null ? callback(null, bytes, given) : callback(error, 0, given)));
  };
  return withPromise(calling, async (...args: A) => {
    const [bytes, buffer] = call(...args);
    return { [count]: await bytes, [data]: buffer };
  });
}

/** What `util.promisify` gives for it. */
function withPromise<F extends object>(call: F, promising: unknown): F {
  return Object.defineProperty(call, promisify.custom, { value: promising });
}

type Answer = (error: unknown, ...results: unknown[]) => void;

/** Takes it off the arguments. @throws {TypeError} if the last one is none */
function callbackOf(args: unknown[]): Answer {
  const callback = args.pop();
  if (typeof callback === "function") return callback as Answer;
  throw typeError("cb", "of type function", callback);
}

/** A call whose wrong arguments alone throw at once. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    return new Failure(error);
  }
}

class Failure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Calls back in a turn of its own, so that what the callback throws is no promise's. */
function answer(result: unknown, callback: Answer): void {
  if (result instanceof Failure) setImmediate(callback, result.error);
  else if (!(result instanceof Promise)) setImmediate(callback, null, result);
  else
    result.then(
      (value) => setImmediate(callback, null, value),
      (error: unknown) => setImmediate(callback, error),
    );
}
