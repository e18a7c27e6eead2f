import { constants, createReadStream } from "node:fs";
import type { PathLike, ReadStream } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { optionsOf, readTarget } from "./arguments.ts";
import type { NameEncoding, Options, ReadOptions, WithEncoding } from "./arguments.ts";
import type { DataSegment } from "./block-cache.ts";
import type { CallbackFace } from "./callback-face.ts";
import type { ViewDir } from "./dir.ts";
import type { ReadFile, ReadFileOptions, ReadPath, Readdir, ReaddirOptions, Stat, StatOptions } from "./face-types.ts";
import { fileError } from "./file-error.ts";
import { decodeBytes } from "./sync-face.ts";
import type { ViewBigIntStats, ViewStats } from "./stats.ts";
import type { SyncFace } from "./sync-face.ts";
import type { OpenFile, ViewCore } from "./view-core.ts";

type StreamOptions = Exclude<Parameters<typeof createReadStream>[1], string | undefined>;

/** As `fs.promises.FileHandle`, opened for reading. */
export class ViewFileHandle implements AsyncDisposable {
  readonly fd: number;
  readonly #core: ViewCore;
  readonly #callbacks: CallbackFace;
  #closed = false;

  constructor(core: ViewCore, callbacks: CallbackFace, fd: number) {
    this.#core = core;
    this.#callbacks = callbacks;
    this.fd = fd;
  }

  async read(options?: ReadOptions & { readonly buffer?: NodeJS.ArrayBufferView }): Promise<ReadResult>;
  async read<T extends NodeJS.ArrayBufferView>(buffer: T, options?: ReadOptions | null): Promise<ReadResult<T>>;
  async read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult<T>>;
  async read(
    given?: NodeJS.ArrayBufferView | (ReadOptions & { readonly buffer?: NodeJS.ArrayBufferView }),
    more?: number | ReadOptions | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult> {
    const file = this.#opened("read");
    const isBuffer = ArrayBuffer.isView(given);
    const buffer = isBuffer ? given : (given?.buffer ?? Buffer.alloc(DEFAULT_BYTES));
    const separate =
      typeof more === "object" && more !== null
        ? more
        : { offset: more ?? null, length: length ?? null, position: position ?? null };
    const target = readTarget(buffer, isBuffer ? separate : (given ?? {}));
    return { bytesRead: this.#core.read(file, target), buffer };
  }

  async readv<T extends NodeJS.ArrayBufferView>(
    buffers: readonly T[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly T[] }> {
    const file = this.#opened("read");
    let bytesRead = 0;
    for (const buffer of buffers) {
      const at = position == null ? null : position + bytesRead;
      const count = this.#core.read(file, readTarget(buffer, { position: at }));
      bytesRead += count;
      if (count < buffer.byteLength) break;
    }
    return { bytesRead, buffers };
  }

  /** From where the last read ended. */
  async readFile(options?: Options<WithEncoding>): Promise<string | Buffer> {
    const { encoding } = optionsOf(options);
    return readRest(this.#core, this.#opened("read"), encoding);
  }

  async stat(options?: StatOptions): Promise<ViewStats | ViewBigIntStats> {
    return this.#core.stat(this.#opened("fstat").entry, options?.bigint === true);
  }

  /** The runs of bytes between holes: what lseek's SEEK_DATA and SEEK_HOLE would tell, in blocks of 128 KiB. */
  async dataSegments(): Promise<DataSegment[]> {
    return [...this.#core.dataSegments(this.#opened("lseek"))];
  }

  /** Closes the handle at its end unless `autoClose` is false. */
  createReadStream(options: StreamOptions = {}): ReadStream {
    this.#opened("read");
    const { open, read } = this.#callbacks;
    const close = (_fd: number, callback: (error: unknown) => void): void => {
      this.close().then(() => callback(null), callback);
    };
    return createReadStream("", { ...options, fd: this.fd, fs: { open, read, close } });
  }

  /** May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#core.close(this.fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #opened(syscall: string): OpenFile {
    if (this.#closed) throw fileError("EBADF", syscall);
    return this.#core.opened(this.fd, syscall);
  }
}

/** As node:fs has it. */
const DEFAULT_BYTES = 16 * 1024;

export interface ReadResult<T extends NodeJS.ArrayBufferView = NodeJS.ArrayBufferView> {
  readonly bytesRead: number;
  readonly buffer: T;
}

/** The functions of node:fs/promises that read. What they tell is known at once; only long reads let others in between. */
export class PromisesFace {
  readonly constants: typeof constants = constants;
  readonly #core: ViewCore;
  readonly #sync: SyncFace;
  readonly #callbacks: CallbackFace;

  constructor(core: ViewCore, sync: SyncFace, callbacks: CallbackFace) {
    this.#core = core;
    this.#sync = sync;
    this.#callbacks = callbacks;
  }

  readonly stat: Stat<true> = (async (path: PathLike, options?: StatOptions) =>
    this.#sync.statSync(path, options)) as Stat<true>;
  readonly lstat: Stat<true> = (async (path: PathLike, options?: StatOptions) =>
    this.#sync.lstatSync(path, options)) as Stat<true>;
  readonly access = async (path: PathLike, mode?: number): Promise<void> => this.#sync.accessSync(path, mode);
  readonly readdir: Readdir<true> = (async (path: PathLike, options?: Options<ReaddirOptions>) =>
    this.#sync.readdirSync(path, options)) as Readdir<true>;
  readonly opendir = async (path: PathLike, options?: Options<WithEncoding>): Promise<ViewDir> =>
    this.#sync.opendirSync(path, options);
  readonly readlink: ReadPath<true> = (async (path: PathLike, options?: Options<WithEncoding>) =>
    this.#sync.readlinkSync(path, options)) as ReadPath<true>;
  readonly realpath: ReadPath<true> = (async (path: PathLike, options?: Options<WithEncoding>) =>
    this.#sync.realpathSync(path, options)) as ReadPath<true>;
  readonly getxattr = async (path: PathLike, name: string): Promise<Buffer> => this.#sync.getxattrSync(path, name);
  readonly lgetxattr = async (path: PathLike, name: string): Promise<Buffer> => this.#sync.lgetxattrSync(path, name);
  readonly listxattr = async (path: PathLike): Promise<string[]> => this.#sync.listxattrSync(path);
  readonly llistxattr = async (path: PathLike): Promise<string[]> => this.#sync.llistxattrSync(path);

  readonly open = async (path: PathLike, flags?: string | number | null): Promise<ViewFileHandle> =>
    new ViewFileHandle(this.#core, this.#callbacks, this.#sync.openSync(path, flags));

  readonly readFile: ReadFile<ViewFileHandle, true> = (async (
    path: PathLike | ViewFileHandle,
    options?: Options<ReadFileOptions>,
  ): Promise<string | Buffer> => {
    const { encoding, flag } = optionsOf(options);
    if (path instanceof ViewFileHandle) return path.readFile(encoding);
    await using handle = await this.open(path, flag);
    return await handle.readFile(encoding);
  }) as ReadFile<ViewFileHandle, true>;
}

async function readRest(
  core: ViewCore,
  file: OpenFile,
  encoding: NameEncoding | null | undefined,
): Promise<string | Buffer> {
  const pieces: Buffer[] = [];
  for (const piece of core.rest(file)) {
    pieces.push(piece);
    await turn();
  }
  return decodeBytes(pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces), encoding);
}
