import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { errnoOf, isStoreError, StoreError } from "../errors.ts";
import { byteString } from "../model/name.ts";
import { decompressStream } from "../sys/zstd.ts";

export interface PlainStreamOptions {
  /** What errors call the stream. */
  readonly source: string;
  readonly signal?: AbortSignal;
}

/**
 * The bytes of `input`, decompressed if they begin as gzip, zstd, xz or bzip2 do; the latter two by their programs.
 * Pieces are borrowed until the next is asked for; those of `input` must stay as they are. Memory is bounded, whatever the input: nothing is read ahead of the
 * consumer but a few pieces.
 *
 * Once it has ended, failed or been left, `input` is closed and no child runs. A `Readable` is destroyed for that, also
 * when `signal` aborts: a read that is pending then ends at once.
 *
 * @throws {StoreError} SOURCE_INVALID if the compressed data is damaged or cut short; PROGRAM_FAILED if there is no such
 *   program, or it failed by itself; what `input` throws
 */
export async function* plainStream(
  input: AsyncIterable<Uint8Array>,
  { source, signal }: PlainStreamOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted();
  const watched = new WatchedInput(input);
  const onAbort = () => watched.destroy(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  let plain: AsyncIterator<Uint8Array> | undefined;
  try {
    const head = byteString(await watched.peek(HEAD_BYTES));
    const pieces = watched.pieces();
    plain = (FORMATS.find(({ magic }) => magic.test(head))?.decode(pieces, source) ?? pieces)[Symbol.asyncIterator]();
    while (true) {
      const step = await plain.next();
      signal?.throwIfAborted();
      if (step.done === true) return;
      yield step.value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    // A decoder takes an input that fails for one that ends.
    throw watched.failure === undefined ? error : watched.failure.error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    // Before the decoder is told to stop, since it may wait for a read that is pending.
    watched.destroy();
    await plain?.return?.();
    await watched.close();
  }
}

interface Format {
  readonly magic: RegExp;
  readonly decode: (input: AsyncIterable<Uint8Array>, source: string) => AsyncIterable<Uint8Array>;
}

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** What it says, in English, of an input that ends too early, and of one that is wrong. */
  readonly cutShort: RegExp;
  readonly damaged: RegExp;
  readonly hint: string;
}

const XZ: Program = {
  command: "xz",
  // xz -9 needs 65 MiB; only a header made for it would have more.
  args: ["--decompress", "--stdout", "--memlimit-decompress=256MiB"],
  cutShort: /unexpected end/i,
  damaged: /corrupt|not recognized|unsupported/i,
  hint: "install xz (package xz-utils on Debian and Ubuntu)",
};

const BZIP2: Program = {
  command: "bzip2",
  args: ["--decompress", "--stdout"],
  cutShort: /ends unexpectedly/i,
  damaged: /corrupt|integrity|not a bzip2 file/i,
  hint: "install bzip2",
};

/** More than one letter each, lest a tar whose first file is called "BZh" be taken for compressed. */
const FORMATS: readonly Format[] = [
  { magic: /^\x1f\x8b\x08/, decode: gunzipped },
  // Skippable frames count, too: pzstd begins with one.
  { magic: /^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/, decode: unzstd },
  { magic: /^\xfd7zXZ\0/, decode: (input, source) => throughProgram(XZ, input, source) },
  { magic: /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/, decode: (input, source) => throughProgram(BZIP2, input, source) },
];
const HEAD_BYTES = 10;

/** The input as decoders see it, which remembers what it failed with. */
class WatchedInput {
  readonly #input: AsyncIterable<Uint8Array>;
  readonly #iterator: AsyncIterator<Uint8Array>;
  #head: Uint8Array = new Uint8Array(0);
  failure: { readonly error: unknown } | undefined;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input;
    this.#iterator = input[Symbol.asyncIterator]();
  }

  /** At least `length` bytes, or all there are; they stay to be read. */
  async peek(length: number): Promise<Uint8Array> {
    while (this.#head.length < length) {
      const piece = await this.#next();
      if (piece === undefined) break;
      this.#head = this.#head.length === 0 && piece.length >= length ? piece : Buffer.concat([this.#head, piece]);
    }
    return this.#head.subarray(0, length);
  }

  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#head.length > 0) yield this.#head;
    for (let piece = await this.#next(); piece !== undefined; piece = await this.#next()) yield piece;
  }

  /** Ends the read that is pending, which an iterator's `return` would wait for. */
  destroy(reason?: unknown): void {
    if (this.#input instanceof Readable) this.#input.destroy(reason instanceof Error ? reason : undefined);
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      const step = await this.#iterator.next();
      return step.done === true ? undefined : step.value;
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }
}

async function* gunzipped(input: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: GUNZIP_PIECE_BYTES });
  // Its failure destroys `gunzip`, which throws it below. Nobody waits for it, since it waits for `input`.
  pipeline(input, gunzip).catch(() => undefined);
  try {
    for await (const piece of gunzip) yield piece as Buffer;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "Z_BUF_ERROR") throw invalid(source, "is cut short", error);
    if (code === "Z_DATA_ERROR" || code === "Z_NEED_DICT") throw invalid(source, "is damaged", error);
    throw error;
  } finally {
    gunzip.destroy();
  }
}

async function* unzstd(input: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<Uint8Array> {
  try {
    yield* decompressStream(input);
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    const { reason } = error.details;
    throw invalid(source, reason === "cut short" ? "is cut short" : "is damaged", error);
  }
}

async function* throughProgram(
  program: Program,
  input: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array> {
  const { command, args, hint } = program;
  const child = spawn(command, args, { stdio: "pipe", env: { ...process.env, LC_ALL: "C" } });
  const ended = new Promise<number | NodeJS.Signals | Error>((resolve) => {
    child.on("error", resolve);
    child.on("close", (code, signal) => resolve(signal ?? code ?? 0));
  });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => (said = (said + bytes.toString()).slice(-STDERR_CHARS)));
  // It fails when the child stops reading, of which the child's exit tells more, or when `input` does. Nobody waits for
  // it, since it waits for `input`.
  pipeline(input, child.stdin).catch(() => undefined);
  try {
    for await (const piece of child.stdout) yield piece as Buffer;
    const how = await ended;
    if (how === 0) return;
    if (errnoOf(how) === "ENOENT")
      throw new StoreError("PROGRAM_FAILED", { program: command, reason: "is not installed", hint }, { cause: how });
    if (how === 1 || how === 2) {
      if (program.cutShort.test(said)) throw invalid(source, "is cut short");
      if (program.damaged.test(said)) throw invalid(source, "is damaged");
    }
    const reason = said.trim().split("\n").at(-1) || `ended with ${how instanceof Error ? how.message : how}`;
    throw new StoreError("PROGRAM_FAILED", { program: command, reason }, { cause: how });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

function invalid(source: string, reason: string, cause?: unknown): StoreError {
  return new StoreError("SOURCE_INVALID", { source, reason }, { cause });
}

const GUNZIP_PIECE_BYTES = 256 * 1024;
const STDERR_CHARS = 4096;
