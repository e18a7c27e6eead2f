import { createReadStream } from "node:fs";
import type { PathLike, ReadStream } from "node:fs";
import { inspect } from "node:util";
import type { ReadOptions } from "./arguments.ts";
import type { Late, LateReaddir, LateStat } from "./face-types.ts";
import { argumentError } from "./file-error.ts";
import type { SyncFace } from "./sync-face.ts";

type StreamOptions = NonNullable<Parameters<typeof createReadStream>[1]>;

/** The functions of node:fs that read and call back, as far as libraries use them. What is before the callback may be left out. */
export interface CallbackFace {
  readonly stat: LateStat;
  readonly lstat: LateStat;
  readonly fstat: Late<SyncFace["fstatSync"]>;
  readonly access: Late<SyncFace["accessSync"]>;
  readonly readdir: LateReaddir;
  readonly opendir: Late<SyncFace["opendirSync"]>;
  readonly readFile: Late<SyncFace["readFileSync"]>;
  readonly readlink: Late<SyncFace["readlinkSync"]>;
  readonly realpath: Late<SyncFace["realpathSync"]> & { readonly native: Late<SyncFace["realpathSync"]> };
  readonly open: Late<SyncFace["openSync"]>;
  readonly close: Late<SyncFace["closeSync"]>;
  readonly read: (...args: unknown[]) => void;
  readonly exists: (path: PathLike, callback: (exists: boolean) => void) => void;
  readonly createReadStream: (path: PathLike, options?: StreamOptions) => ReadStream;
}

export function callbackFace(sync: SyncFace): CallbackFace {
  const realpath = late(sync.realpathSync);
  const open = late(sync.openSync);
  const close = late(sync.closeSync);
  const read = (...args: unknown[]): void => readLate(sync, args);
  return {
    stat: late(sync.statSync) as LateStat,
    lstat: late(sync.lstatSync) as LateStat,
    fstat: late(sync.fstatSync),
    access: late(sync.accessSync),
    readdir: late(sync.readdirSync) as LateReaddir,
    opendir: late(sync.opendirSync),
    readFile: late(sync.readFileSync),
    readlink: late(sync.readlinkSync),
    realpath: Object.assign(realpath, { native: realpath }),
    open,
    close,
    read,
    exists: (path, callback) => {
      const exists = sync.existsSync(path);
      setImmediate(() => callback(exists));
    },
    createReadStream: (path, options = {}) => {
      const given = typeof options === "string" ? { encoding: options } : options;
      return createReadStream(path, { ...given, fs: { open, close, read } });
    },
  };
}

/** Calls back with what `call` gives or throws, after the caller is done. Wrong arguments throw at once, as node:fs does. */
function late<F extends (...args: never[]) => unknown>(call: F): Late<F> {
  return (...args: unknown[]): void => {
    const callback = callbackOf(args);
    const [error, result] = outcome(() => call(...(args as Parameters<F>)));
    setImmediate(() => (error === null ? callback(null, result) : callback(error)));
  };
}

function readLate(sync: SyncFace, args: unknown[]): void {
  const callback = callbackOf(args);
  const [fd, given, ...rest] = args as [number, (ReadOptions & { buffer?: Buffer }) | Buffer | undefined, ...never[]];
  const isBuffer = ArrayBuffer.isView(given);
  const buffer = isBuffer ? given : (given?.buffer ?? Buffer.alloc(DEFAULT_BYTES));
  const [error, result] = outcome(() =>
    isBuffer ? sync.readSync(fd, buffer, ...rest) : sync.readSync(fd, buffer, given ?? {}),
  );
  setImmediate(() => (error === null ? callback(null, result, buffer) : callback(error)));
}

const DEFAULT_BYTES = 16 * 1024;

/** Takes it off the arguments. @throws {TypeError} if the last one is none */
function callbackOf(args: unknown[]): (error: unknown, ...results: unknown[]) => void {
  const callback = args.pop();
  if (typeof callback === "function") return callback as ReturnType<typeof callbackOf>;
  throw argumentError("TYPE", `The "cb" argument must be of type function. Received ${inspect(callback)}`);
}

function outcome(call: () => unknown): readonly [error: unknown, result?: unknown] {
  try {
    return [null, call()];
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    return [error];
  }
}
