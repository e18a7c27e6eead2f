import { createReadStream, createWriteStream } from "node:fs";
import type { ReadStream, WriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import type { Options, ReadOptions } from "./arguments.ts";
import type { DataSegment } from "./block-cache.ts";
import type { ReadFileOptions, StatOptions, WriteFileOptions } from "./face-types.ts";
import type { FileCalls } from "./file-calls.ts";
import type { FileData } from "./file-data.ts";
import { typeError } from "./file-error.ts";
import type { ViewBigIntStats, ViewStats } from "./stats.ts";
import type { ModeLike, TimeLike, WriteOptions, WriteRest } from "./write-arguments.ts";

type ReadStreamOptions = Exclude<Parameters<typeof createReadStream>[1], string | undefined>;
type WriteStreamOptions = Exclude<Parameters<typeof createWriteStream>[1], string | undefined>;

export interface ReadResult<T extends NodeJS.ArrayBufferView = NodeJS.ArrayBufferView> {
  readonly bytesRead: number;
  readonly buffer: T;
}
export interface WriteResult<T extends string | NodeJS.ArrayBufferView> {
  readonly bytesWritten: number;
  readonly buffer: T;
}

/** As `fs.promises.FileHandle`. Closing it waits for what it is doing. */
export class ViewFileHandle implements AsyncDisposable {
  readonly #files: FileCalls;
  readonly #release: (fd: number) => void;
  #fd: number;
  #closing: Promise<void> | undefined;
  /** Calls that are not done, and streams that are not closed. */
  #uses = 0;
  #whenIdle: (() => void) | undefined;
  readonly #streams = new Set<ReadStream | WriteStream>();

  /** @param release closes the descriptor */
  constructor(files: FileCalls, fd: number, release: (fd: number) => void) {
    this.#files = files;
    this.#fd = fd;
    this.#release = release;
  }

  /** -1 once it is closed. */
  get fd(): number {
    return this.#fd;
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
    const fd = this.#opened("read");
    const isBuffer = ArrayBuffer.isView(given);
    if (!isBuffer && given != null && typeof given !== "object") throw typeError("options", "of type object", given);
    const buffer = isBuffer ? given : (given?.buffer ?? Buffer.alloc(DEFAULT_BYTES));
    const separate =
      typeof more === "object" && more !== null
        ? more
        : { offset: more ?? null, length: length ?? null, position: position ?? null };
    return { bytesRead: this.#files.read(fd, buffer, isBuffer ? separate : (given ?? {})), buffer };
  }

  async readv<T extends NodeJS.ArrayBufferView>(
    buffers: readonly T[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly T[] }> {
    return { bytesRead: this.#files.readv(this.#opened("readv"), buffers, position), buffers };
  }

  /** From where the last read ended. */
  readFile(options?: Options<ReadFileOptions>): Promise<string | Buffer> {
    return this.#use("readFile", (fd) => this.#files.readFile(fd, options));
  }

  async stat(options?: StatOptions): Promise<ViewStats | ViewBigIntStats> {
    return this.#files.stat(this.#opened("fstat"), options);
  }

  /** The runs of bytes between holes: what lseek's SEEK_DATA and SEEK_HOLE would tell, in blocks of 128 KiB. */
  async dataSegments(): Promise<DataSegment[]> {
    return this.#files.dataSegments(this.#opened("lseek"));
  }

  async write<T extends NodeJS.ArrayBufferView>(buffer: T, options?: WriteOptions | null): Promise<WriteResult<T>>;
  async write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<WriteResult<T>>;
  async write(text: string, position?: number | null, encoding?: BufferEncoding | null): Promise<WriteResult<string>>;
  async write<T extends string | NodeJS.ArrayBufferView>(data: T, ...rest: WriteRest): Promise<WriteResult<T>> {
    const bytesWritten = await this.#use("write", async (fd) => {
      // As node:fs: where there is nothing to write, nothing else is looked at.
      if (ArrayBuffer.isView(data) && data.byteLength === 0) return 0;
      return this.#files.write(fd, data, rest);
    });
    return { bytesWritten, buffer: data };
  }

  async writev<T extends NodeJS.ArrayBufferView>(
    buffers: readonly T[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly T[] }> {
    const bytesWritten = await this.#use("writev", (fd) => this.#files.writev(fd, buffers, position));
    return { bytesWritten, buffers };
  }

  /** From where the last write ended. */
  writeFile(data: FileData, options?: Options<WriteFileOptions>): Promise<void> {
    return this.#use("writeFile", (fd) => this.#files.writeFile(fd, data, options));
  }

  /** The same: whether it appends is the handle's flags' business. */
  appendFile(data: FileData, options?: Options<WriteFileOptions>): Promise<void> {
    return this.writeFile(data, options);
  }

  truncate(length?: number): Promise<void> {
    return this.#use("ftruncate", (fd) => this.#files.truncate(fd, length));
  }

  /** Makes a hole of these bytes. The file stays as long as it is. */
  punchHole(start: number, length: number): Promise<void> {
    return this.#use("fallocate", (fd) => this.#files.punchHole(fd, start, length));
  }

  /** What happened in the view before it outlives a power cut after it. */
  sync(): Promise<void> {
    return this.#use("fsync", (fd) => this.#files.sync(fd, "fsync"));
  }

  datasync(): Promise<void> {
    return this.#use("fdatasync", (fd) => this.#files.sync(fd, "fdatasync"));
  }

  chmod(mode: ModeLike): Promise<void> {
    return this.#use("fchmod", (fd) => this.#files.chmod(fd, mode));
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.#use("fchown", (fd) => this.#files.chown(fd, uid, gid));
  }

  utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    return this.#use("futimes", (fd) => this.#files.utimes(fd, atime, mtime));
  }

  /** Closes the handle at its end unless `autoClose` is false. */
  createReadStream(options?: ReadStreamOptions): ReadStream {
    return this.#stream((own) => createReadStream("", { ...options, ...own }));
  }

  /** Closes the handle at its end unless `autoClose` is false. */
  createWriteStream(options?: WriteStreamOptions): WriteStream {
    // Node's 16 KiB would be a wait for the store for each piece. bench/writes.ts.
    return this.#stream((own) => createWriteStream("", { highWaterMark: STREAM_BYTES, ...options, ...own }));
  }

  readLines(options?: ReadStreamOptions): Interface {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Infinity });
  }

  /** Waits for calls that are under way, and ends its streams. May be called twice. */
  readonly close = (): Promise<void> => {
    // Later, since a stream that ends closes the handle itself.
    this.#closing ??= Promise.resolve().then(() => this.#end());
    return this.#closing;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    for (const stream of this.#streams) {
      // Node's `close` waits for the end of one that has ended, for ever.
      if ("writableFinished" in stream && stream.writableFinished) stream.destroy();
      else stream.close();
    }
    while (this.#uses > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    const fd = this.#fd;
    this.#fd = -1;
    this.#release(fd);
  }

  async #use<T>(name: string, call: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.#opened(name);
    this.#uses++;
    try {
      return await call(fd);
    } finally {
      this.#unuse();
    }
  }

  #unuse(): void {
    if (--this.#uses === 0) this.#whenIdle?.();
  }

  /** As node:fs says that it is closed. */
  #opened(name: string): number {
    if (this.#fd !== -1) return this.#fd;
    throw Object.assign(new Error("file closed"), { code: "EBADF", syscall: name });
  }

  #stream<S extends ReadStream | WriteStream>(make: (own: { fd: number; fs: StreamCalls }) => S): S {
    // A closed handle's descriptor is what Node's stream refuses, as it does that of its own.
    const stream = make({
      fd: this.#fd,
      fs: {
        open: noOpen,
        read: (_fd, buffer, offset, length, position, done) =>
          void this.read(buffer, offset, length, position).then(({ bytesRead }) => done(null, bytesRead, buffer), done),
        write: (_fd, buffer, offset, length, position, done) =>
          void this.write(buffer, offset, length, position).then((r) => done(null, r.bytesWritten, buffer), done),
        writev: (_fd, buffers, position, done) =>
          void this.writev(buffers, position).then((r) => done(null, r.bytesWritten, buffers), done),
        fsync: (_fd, done) => void this.sync().then(() => done(null), done),
        close: (_fd, done) => {
          this.#streams.delete(stream);
          this.#unuse();
          this.close().then(() => done(null), done);
        },
      },
    });
    this.#uses++;
    this.#streams.add(stream);
    return stream;
  }
}

const STREAM_BYTES = 1 << 20;
/** As node:fs has it. */
const DEFAULT_BYTES = 16 * 1024;

type Done<T> = (error: unknown, count?: number, data?: T) => void;

/** What Node's file streams ask of a filesystem. */
interface StreamCalls {
  readonly open: () => void;
  readonly read: (
    fd: number,
    to: Buffer,
    offset: number,
    length: number,
    at: number | null,
    done: Done<Buffer>,
  ) => void;
  readonly write: (
    fd: number,
    of: Buffer,
    offset: number,
    length: number,
    at: number | null,
    done: Done<Buffer>,
  ) => void;
  readonly writev: (fd: number, buffers: readonly Buffer[], at: number | null, done: Done<readonly Buffer[]>) => void;
  readonly fsync: (fd: number, done: (error: unknown) => void) => void;
  readonly close: (fd: number, done: (error: unknown) => void) => void;
}

function noOpen(): void {
  throw new Error("a stream of a handle opens nothing");
}
