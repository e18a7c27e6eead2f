import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { byteString } from "../model/name.ts";
import { isAscii } from "./entry.ts";
import { argumentError, rangeError } from "./file-error.ts";

/** Names and paths as a caller wants them: text, or their bytes. */
export type NameEncoding = BufferEncoding | "buffer";

/** A path that was given as bytes: as a byte string, and as text for people. */
export interface BytePath {
  readonly text: string;
  readonly bytes: string;
}

/** @throws {TypeError} as node:fs for what is no path */
export function givenPath(path: PathLike): string | BytePath {
  if (typeof path === "string") {
    if (path.includes("\0")) throw nullByte(path);
    return path;
  }
  if (path instanceof Uint8Array) {
    const bytes = byteString(path);
    if (bytes.includes("\0")) throw nullByte(path);
    return { text: Buffer.from(bytes, "latin1").toString(), bytes };
  }
  if (path instanceof URL) return givenPath(fileURLToPath(path));
  throw argumentError(
    "TYPE",
    `The "path" argument must be of type string or an instance of Buffer or URL. Received ${inspect(path)}`,
  );
}

function nullByte(path: string | Uint8Array): TypeError {
  const received = inspect(path);
  return argumentError(
    "VALUE",
    `The argument 'path' must be a string, Uint8Array, or URL without null bytes. Received ${received}`,
  );
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

/** @throws {TypeError} for an encoding that is none */
export function optionsOf<T extends object>(options: Options<T>): Partial<T> & WithEncoding {
  const given = (typeof options === "string" ? { encoding: options } : (options ?? {})) as Partial<T> & WithEncoding;
  const { encoding } = given;
  if (encoding != null && encoding !== "buffer" && !Buffer.isEncoding(encoding))
    throw argumentError("VALUE", `The argument 'encoding' is invalid encoding. Received ${inspect(encoding)}`);
  return given;
}

/** @throws {TypeError} for what open(2) has no flags for */
export function openFlags(flags: string | number | undefined | null): number {
  if (typeof flags === "number") return flags;
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
  if (!ArrayBuffer.isView(buffer))
    throw argumentError(
      "TYPE",
      `The "buffer" argument must be an instance of Buffer, TypedArray, or DataView. Received ${inspect(buffer)}`,
    );
  const { byteLength } = buffer;
  const offset = integer("offset", options.offset ?? 0, byteLength);
  const length = integer("length", options.length ?? byteLength - offset, byteLength - offset);
  const position = Number(options.position ?? -1);
  if (!Number.isSafeInteger(position)) throw rangeError("position", "an integer up to 2^53 - 1", options.position);
  const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
  return { bytes, position: position < 0 ? null : position };
}

function integer(name: string, value: number, max: number): number {
  if (typeof value !== "number")
    throw argumentError("TYPE", `The "${name}" argument must be of type number. Received ${inspect(value)}`);
  if (!Number.isSafeInteger(value) || value < 0 || value > max) throw rangeError(name, `>= 0 && <= ${max}`, value);
  return value;
}
