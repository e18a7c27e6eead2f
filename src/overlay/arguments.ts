import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { byteString, byteStringOf } from "../model/name.ts";
import { isAscii } from "./entry.ts";
import { argumentError, rangeError, typeError } from "./file-error.ts";

/** Names and paths as a caller wants them: text, or their bytes. */
export type NameEncoding = BufferEncoding | "buffer";

/** A path that was given as bytes: as a byte string, and as text for people. */
export interface BytePath {
  readonly text: string;
  readonly bytes: string;
}

/** @throws {TypeError} as node:fs for what is no path; `name` is the argument's */
export function givenPath(path: PathLike, name = "path"): string | BytePath {
  if (typeof path === "string") {
    if (path.includes("\0")) throw nullByte(path, name);
    return path;
  }
  if (path instanceof Uint8Array) {
    const bytes = byteString(path);
    if (bytes.includes("\0")) throw nullByte(path, name);
    return { text: Buffer.from(bytes, "latin1").toString(), bytes };
  }
  if (path instanceof URL) return givenPath(fileURLToPath(path), name);
  throw typeError(name, "of type string or an instance of Buffer or URL", path);
}

function nullByte(path: string | Uint8Array, name: string): TypeError {
  const received = inspect(path);
  return argumentError(
    "VALUE",
    `The argument '${name}' must be a string, Uint8Array, or URL without null bytes. Received ${received}`,
  );
}

/** A path that was given, as a byte string. */
export function pathBytes(path: PathLike, name?: string): string {
  const given = givenPath(path, name);
  return typeof given === "string" ? byteStringOf(given) : given.bytes;
}

/** A name or path of the view as the caller wants it. */
export function encodeName(bytes: string, encoding: NameEncoding): string | Buffer {
  if (encoding === "utf8" && isAscii(bytes)) return bytes;
  const buffer = Buffer.from(bytes, "latin1");
  return encoding === "buffer" ? buffer : buffer.toString(encoding);
}

/** What may stand in place of options: an encoding alone. */
export type Options<T> = (T & { readonly encoding?: NameEncoding | null }) | NameEncoding | null | undefined;

export interface WithEncoding {
  readonly encoding?: NameEncoding | null;
}

/** @throws {TypeError} for what are no options, and for an encoding or a signal that is none */
export function optionsOf<T extends object>(options: Options<T>): Partial<T> & WithEncoding {
  const given: unknown = typeof options === "string" ? { encoding: options } : (options ?? {});
  if (typeof given !== "object") throw typeError("options", "of type string or object", given);
  const { encoding, signal } = given as { readonly encoding?: unknown; readonly signal?: unknown };
  if (encoding != null && encoding !== "buffer" && !Buffer.isEncoding(encoding as string))
    throw argumentError("VALUE", `The argument 'encoding' is invalid encoding. Received ${inspect(encoding)}`);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw typeError("options.signal", "an instance of AbortSignal", signal);
  return given as Partial<T> & WithEncoding;
}

/** @throws {Error} AbortError, as node:fs does between two pieces */
export function checkAborted(signal: AbortSignal | null | undefined): void {
  if (signal?.aborted !== true) return;
  const error = new Error("The operation was aborted", { cause: signal.reason });
  throw Object.assign(error, { name: "AbortError", code: "ABORT_ERR" });
}

/** @throws {TypeError} for what open(2) has no flags for */
export function openFlags(flags: string | number | undefined | null): number {
  if (typeof flags === "number") return integerIn("flags", flags, -(2 ** 31), 2 ** 31 - 1);
  const known = FLAGS[flags ?? "r"];
  if (known === undefined) throw argumentError("VALUE", `The argument 'flags' is invalid. Received ${inspect(flags)}`);
  return known;
}

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;
const FLAGS: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  sr: O_RDONLY | O_SYNC,
  "r+": O_RDWR,
  "rs+": O_RDWR | O_SYNC,
  "sr+": O_RDWR | O_SYNC,
  w: O_TRUNC | O_CREAT | O_WRONLY,
  wx: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  xw: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  "w+": O_TRUNC | O_CREAT | O_RDWR,
  "wx+": O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  "xw+": O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  a: O_APPEND | O_CREAT | O_WRONLY,
  ax: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  xa: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  as: O_APPEND | O_CREAT | O_WRONLY | O_SYNC,
  sa: O_APPEND | O_CREAT | O_WRONLY | O_SYNC,
  "a+": O_APPEND | O_CREAT | O_RDWR,
  "ax+": O_APPEND | O_CREAT | O_RDWR | O_EXCL,
  "xa+": O_APPEND | O_CREAT | O_RDWR | O_EXCL,
  "as+": O_APPEND | O_CREAT | O_RDWR | O_SYNC,
  "sa+": O_APPEND | O_CREAT | O_RDWR | O_SYNC,
};

export interface ReadOptions {
  readonly offset?: number | null;
  readonly length?: number | null;
  /** null, or below 0: where the last read ended. */
  readonly position?: number | bigint | null;
}

/** Where in `buffer` to read to, and from where in the file; `position` is null for where the last read ended. */
export interface ReadTarget {
  readonly bytes: Uint8Array;
  readonly position: number | null;
}

/** @throws {TypeError | RangeError} as node:fs for what no read can do */
export function readTarget(buffer: NodeJS.ArrayBufferView, options: ReadOptions): ReadTarget {
  if (!ArrayBuffer.isView(buffer)) throw typeError("buffer", "an instance of Buffer, TypedArray, or DataView", buffer);
  const { byteLength } = buffer;
  const offset = integerIn("offset", options.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
  const length = options.length ?? byteLength - offset;
  if (byteLength === 0 && length !== 0)
    throw argumentError("VALUE", "The argument 'buffer' is empty and cannot be written. Received an empty one");
  integerIn("length", length, 0, byteLength - offset);
  const position = options.position ?? -1;
  if (typeof position !== "number" && typeof position !== "bigint")
    throw typeError("position", "an integer or bigint", position);
  const at = Number(position);
  if (!Number.isSafeInteger(at)) throw rangeError("position", "an integer up to 2^53 - 1", position);
  const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
  return { bytes, position: at < 0 ? null : at };
}

/** @throws {TypeError | RangeError} for what is no integer from `min` to `max` */
export function integerIn(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw typeError(name, "of type number", value);
  if (!Number.isInteger(value)) throw rangeError(name, "an integer", value);
  if (value < min || value > max) throw rangeError(name, `>= ${min} && <= ${max}`, value);
  return value;
}
