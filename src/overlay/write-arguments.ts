import { constants } from "node:fs";
import { inspect, types } from "node:util";
import { integerIn } from "./arguments.ts";
import { argumentError, rangeError, typeError } from "./file-error.ts";
import type { FileTime } from "./writes.ts";

/** A mode as node:fs takes it: a number, or octal digits. */
export type ModeLike = number | string | null | undefined;

/** @throws {TypeError | RangeError} for what is none, and for nothing where there is no `fallback` */
export function fileMode(mode: ModeLike, fallback?: number): number {
  const value = mode ?? fallback;
  if (typeof value !== "string") return integerIn("mode", value, 0, 2 ** 32 - 1);
  if (/^[0-7]+$/.test(value)) return integerIn("mode", Number.parseInt(value, 8), 0, 2 ** 32 - 1);
  const received = inspect(value);
  throw argumentError(
    "VALUE",
    `The argument 'mode' must be a 32-bit unsigned integer or an octal string. Got ${received}`,
  );
}

/** @returns -1 also for what the kernel takes as that: 2^32 - 1 */
export function ownerId(name: "uid" | "gid", id: number): number {
  return integerIn(name, id, -1, MAX_ID) === MAX_ID ? -1 : id;
}

const MAX_ID = 2 ** 32 - 1;

/** The mode of access and of copyFile: some of three bits. */
export function threeBits(mode: number | null | undefined): number {
  if (mode == null) return 0;
  if (typeof mode !== "number") throw typeError("mode", "int32 or null/undefined", mode);
  if (mode < 0 || mode > 7) throw rangeError("mode", ">= 0 && <= 7", mode);
  return mode;
}

/** Whether copyFile's mode asks that nothing be there. By reference it copies whether it asks for that or not. */
export function isExclusive(mode: number | null | undefined): boolean {
  return (threeBits(mode) & constants.COPYFILE_EXCL) !== 0;
}

/** @returns what is below zero as zero, as node:fs does */
export function fileLength(length: number): number {
  return Math.max(0, integerIn("len", length, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
}

export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") throw typeError(name, "of type boolean", value);
}

export function checkObject(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw typeError(name, "of type object", value);
}

/** A time as node:fs takes it: seconds, also as text, or a Date. And what it lacks: nanoseconds as stat tells them. */
export type TimeLike = number | string | Date | bigint;

/**
 * Seconds are cut to microseconds and below zero mean now, as libuv and node:fs do; as text, a Date or nanoseconds they are
 * what they say.
 *
 * @returns undefined for a time that no file can have
 */
export function fileTime(time: TimeLike, name: string): FileTime | undefined {
  if (typeof time === "bigint") {
    const nsec = ((time % GIGA) + GIGA) % GIGA;
    return inRange(Number((time - nsec) / GIGA), Number(nsec));
  }
  // An empty text is 0 to node:fs, too.
  if (typeof time === "string" && !Number.isNaN(Number(time))) return fromSeconds(Number(time));
  if (typeof time === "number" && Number.isFinite(time)) return time < 0 ? "now" : fromSeconds(time);
  if (types.isDate(time)) return fromSeconds(time.getTime() / 1000);
  throw typeError(name, "an instance of Date or a time in seconds", time);
}

const GIGA = 1_000_000_000n;

function fromSeconds(seconds: number): FileTime | undefined {
  const whole = Math.trunc(seconds);
  const nsec = Math.trunc((seconds - whole) * 1e9);
  const cut = nsec - (nsec % 1000);
  return cut < 0 ? inRange(whole - 1, cut + 1e9) : inRange(whole, cut);
}

function inRange(sec: number, nsec: number): FileTime | undefined {
  return Number.isSafeInteger(sec) ? { sec, nsec } : undefined;
}

/** What to write, and where: `position` is null for where the last write ended. */
export interface WriteSource {
  readonly bytes: Uint8Array;
  readonly position: number | null;
}

export interface WriteOptions {
  readonly offset?: number | null | undefined;
  readonly length?: number | null | undefined;
  readonly position?: number | null | undefined;
}

/** The arguments of a write: of bytes `(offset, length, position)` or options, of text `(position, encoding)`. */
export type WriteRest = readonly [
  offsetOrPosition?: number | WriteOptions | null,
  lengthOrEncoding?: number | BufferEncoding | null,
  position?: number | null,
];

/** @throws {TypeError | RangeError} as node:fs for what no write can do */
export function writeSource(data: string | NodeJS.ArrayBufferView, [at, length, position]: WriteRest): WriteSource {
  if (!ArrayBuffer.isView(data)) return textSource(data, at, length);
  // With null in the first place node:fs takes all of them for left out.
  const given = typeof at === "object" ? (at ?? {}) : { offset: at, length, position };
  const { byteLength } = data;
  const offset = integerIn("offset", given.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
  if (offset > byteLength) throw rangeError("offset", `<= ${byteLength}`, offset);
  const count = typeof given.length === "number" ? given.length : byteLength - offset;
  integerIn("length", count, 0, byteLength - offset);
  const bytes = new Uint8Array(data.buffer, data.byteOffset + offset, count);
  return { bytes, position: writePosition(given.position) };
}

function textSource(text: unknown, position: unknown, encoding: unknown): WriteSource {
  if (typeof text !== "string")
    throw typeError("buffer", "of type string or an instance of Buffer, TypedArray, or DataView", text);
  if (encoding === "hex" && text.length % 2 !== 0)
    throw argumentError("VALUE", `The argument 'encoding' is invalid for data of length ${text.length}`);
  // What is no encoding is UTF-8: node:fs says nothing against it here.
  const known = typeof encoding === "string" && Buffer.isEncoding(encoding) ? encoding : "utf8";
  return { bytes: Buffer.from(text, known), position: writePosition(position) };
}

/** @returns null for all that is no place in a file, as node:fs does */
export function writePosition(position: unknown): number | null {
  return Number.isSafeInteger(position) && (position as number) >= 0 ? (position as number) : null;
}

export function checkBuffers(buffers: readonly NodeJS.ArrayBufferView[]): void {
  if (!Array.isArray(buffers) || !buffers.every((buffer) => ArrayBuffer.isView(buffer)))
    throw typeError("buffers", "an ArrayBufferView[]", buffers);
}

export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
