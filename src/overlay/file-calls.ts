import { setImmediate as turn } from "node:timers/promises";
import { checkAborted, optionsOf, readTarget } from "./arguments.ts";
import type { Options, ReadOptions } from "./arguments.ts";
import type { DataSegment } from "./block-cache.ts";
import type { ReadFileOptions, StatOptions, WriteFileOptions } from "./face-types.ts";
import { dataPieces, gathered } from "./file-data.ts";
import type { FileData, Pieces } from "./file-data.ts";
import { fileError, typeError } from "./file-error.ts";
import type { ViewBigIntStats, ViewStats } from "./stats.ts";
import { decodeBytes } from "./sync-face.ts";
import type { OpenFile } from "./open-file.ts";
import type { ViewCore } from "./view-core.ts";
import {
  checkBoolean,
  checkBuffers,
  fileLength,
  fileMode,
  fileTime,
  ownerId,
  writePosition,
  writeSource,
} from "./write-arguments.ts";
import type { ModeLike, TimeLike, WriteRest } from "./write-arguments.ts";
import type { Writes } from "./writes.ts";

/**
 * What node:fs does with open files, by descriptor. Wrong arguments throw at once, as its calls that call back do; what is
 * wrong with the file throws at once or rejects.
 */
export class FileCalls {
  readonly #core: ViewCore;
  readonly #writes: Writes;

  constructor(core: ViewCore, writes: Writes) {
    this.#core = core;
    this.#writes = writes;
  }

  read(fd: number, buffer: NodeJS.ArrayBufferView, options: ReadOptions): number {
    const target = readTarget(buffer, options);
    return this.#core.read(this.#opened(fd, "read"), target);
  }

  readv(fd: number, buffers: readonly NodeJS.ArrayBufferView[], position?: number | null): number {
    checkBuffers(buffers);
    const file = this.#opened(fd, "read");
    const start = writePosition(position);
    let bytesRead = 0;
    for (const buffer of buffers) {
      const at = start === null ? null : start + bytesRead;
      const count = this.#core.read(file, readTarget(buffer, { position: at }));
      bytesRead += count;
      if (count < buffer.byteLength) break;
    }
    return bytesRead;
  }

  /** From where the last read ended. Lets others in between some megabytes. */
  async readFile(fd: number, options?: Options<ReadFileOptions>): Promise<string | Buffer> {
    const { encoding, signal } = optionsOf(options);
    checkAborted(signal);
    const pieces: Buffer[] = [];
    for (const piece of this.#core.rest(this.#opened(fd, "read"))) {
      pieces.push(piece);
      await turn();
      checkAborted(signal);
      // What was written meanwhile may have given the file another entry.
      this.#opened(fd, "read");
    }
    return decodeBytes(pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces), encoding);
  }

  stat(fd: number, options?: StatOptions): ViewStats | ViewBigIntStats {
    return this.#core.stat(this.#opened(fd, "fstat").entry, options?.bigint === true);
  }

  dataSegments(fd: number): DataSegment[] {
    return [...this.#core.dataSegments(this.#opened(fd, "lseek"))];
  }

  write(fd: number, data: string | NodeJS.ArrayBufferView, rest: WriteRest): Promise<number> {
    const { bytes, position } = writeSource(data, rest);
    return this.#writes.write(this.#opened(fd, "write"), bytes, position);
  }

  writev(fd: number, buffers: readonly NodeJS.ArrayBufferView[], position?: number | null): Promise<number> {
    checkBuffers(buffers);
    return this.#writeGathered(fd, buffers, writePosition(position));
  }

  async #writeGathered(fd: number, buffers: readonly NodeJS.ArrayBufferView[], start: number | null): Promise<number> {
    let bytesWritten = 0;
    for (const piece of gathered(buffers)) {
      const at = start === null ? null : start + bytesWritten;
      bytesWritten += await this.#writes.write(this.#opened(fd, "write"), piece, at);
    }
    return bytesWritten;
  }

  /** From where the last write ended. */
  writeFile(fd: number, data: FileData, options?: Options<WriteFileOptions>): Promise<void> {
    const given = optionsOf(options);
    checkBoolean("options.flush", given.flush);
    return this.writePieces(fd, dataPieces(data, given.encoding), given);
  }

  /** `writeFile` of what was looked at. */
  async writePieces(fd: number, pieces: Pieces, { signal, flush }: Partial<WriteFileOptions>): Promise<void> {
    checkAborted(signal);
    for await (const piece of pieces) {
      checkAborted(signal);
      for (let at = 0; at < piece.length;)
        at += await this.#writes.write(this.#opened(fd, "write"), piece.subarray(at), null);
    }
    if (flush === true) await this.sync(fd, "fsync");
  }

  truncate(fd: number, length = 0): Promise<void> {
    const size = fileLength(length);
    return this.#writes.truncate(this.#opened(fd, "ftruncate"), size);
  }

  punchHole(fd: number, start: number, length: number): Promise<void> {
    return this.#writes.punchHole(this.#opened(fd, "fallocate"), start, length);
  }

  sync(fd: number, syscall: "fsync" | "fdatasync"): Promise<void> {
    return this.#writes.sync(this.#opened(fd, syscall), syscall);
  }

  chmod(fd: number, mode: ModeLike): Promise<void> {
    const bits = fileMode(mode);
    return this.#writes.chmod(this.#opened(fd, "fchmod"), bits);
  }

  chown(fd: number, uid: number, gid: number): Promise<void> {
    const [user, group] = [ownerId("uid", uid), ownerId("gid", gid)];
    return this.#writes.chown(this.#opened(fd, "fchown"), user, group);
  }

  utimes(fd: number, atime: TimeLike, mtime: TimeLike): Promise<void> {
    const times = [fileTime(atime, "atime"), fileTime(mtime, "mtime")] as const;
    if (times[0] === undefined || times[1] === undefined) throw fileError("EINVAL", "futime");
    return this.#writes.utimes(this.#opened(fd, "futime"), times[1]);
  }

  #opened(fd: number, syscall: string): OpenFile {
    if (typeof fd !== "number") throw typeError("fd", "of type number", fd);
    return this.#core.opened(fd, syscall);
  }
}
