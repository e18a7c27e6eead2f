import { byteString } from "../model/name.ts";
import { MalformedTar } from "./tar-malformed.ts";

export const TAR_BLOCK_BYTES = 512;

/**
 * Who wrote a header, as far as its fields differ:
 *   v7     no magic, nothing behind the link name but what sloppy writers put there
 *   ustar  POSIX, pax too: has a name prefix
 *   gnu    other fields in the place of the prefix
 *   star   ustar with a shorter prefix, times behind it
 */
type Dialect = "v7" | "ustar" | "gnu" | "star";

/** "zeros" is a block of the archive's end. */
export function blockKind(block: Uint8Array): "header" | "zeros" | "other" {
  let sum = 0;
  let high = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    const byte = block[i]!;
    sum += byte;
    high += byte >> 7;
  }
  if (sum === 0) return "zeros";
  for (let i = CHECKSUM_AT; i < CHECKSUM_AT + CHECKSUM_BYTES; i++) {
    const byte = block[i]!;
    sum += SPACE - byte;
    high -= byte >> 7;
  }
  const written = readNumber(block, CHECKSUM_AT, CHECKSUM_BYTES);
  // Sun and others once summed signed chars.
  return written === sum || written === sum - 256 * high ? "header" : "other";
}

/** The fields of one header block, decoded when asked for: pax records may stand for fields that hold nonsense. */
export class TarHeader {
  /** Borrowed. */
  readonly block: Buffer;

  constructor(block: Buffer) {
    this.block = block;
  }

  get dialect(): Dialect {
    if (!this.#holds(MAGIC_AT, "ustar")) return "v7";
    if (this.#holds(MAGIC_AT + 5, "  \0")) return "gnu";
    return this.#holds(STAR_MAGIC_AT, "tar\0") ? "star" : "ustar";
  }

  /** A char; "\0" of old writers means a regular file, as "0" does. */
  get type(): string {
    return String.fromCharCode(this.block[TYPE_AT]!);
  }

  get name(): string {
    const name = readString(this.block, 0, 100);
    const prefix = readString(this.block, PREFIX_AT, this.#prefixBytes);
    return prefix === "" ? name : `${prefix}/${name}`;
  }

  get linkName(): string {
    return readString(this.block, 157, 100);
  }

  get mode(): number {
    return this.#number(100, 8, "mode") & 0o7777;
  }

  get uid(): number {
    return this.#number(108, 8, "owner");
  }

  get gid(): number {
    return this.#number(116, 8, "group");
  }

  get size(): number {
    return this.#number(124, 12, "size");
  }

  get mtime(): number {
    return this.#number(136, 12, "time");
  }

  get major(): number {
    return this.#number(329, 8, "device number");
  }

  get minor(): number {
    return this.#number(337, 8, "device number");
  }

  get #prefixBytes(): number {
    switch (this.dialect) {
      case "v7":
      case "gnu":
        return 0;
      case "ustar":
        return 155;
      case "star":
        // Of a sparse file the map takes the rest.
        return this.type === "S" ? 1 : 131;
    }
  }

  #number(at: number, length: number, what: string): number {
    const value = readNumber(this.block, at, length);
    if (Number.isNaN(value)) throw new MalformedTar(`has a ${what} that is no number`);
    return value;
  }

  #holds(at: number, magic: string): boolean {
    return byteString(this.block.subarray(at, at + magic.length)) === magic;
  }
}

/**
 * A number field: octal between spaces and NULs, or base 256 of GNU tar and star. Empty is 0.
 *
 * @returns NaN if it is no number; beyond 2^53 it is not exact
 */
export function readNumber(block: Uint8Array, at: number, length: number): number {
  const end = at + length;
  const first = block[at]!;
  if (first >= 0x80) {
    // Two's complement in all bits but the first, which is the mark.
    let value = (first & 0x3f) - (first & 0x40);
    for (let i = at + 1; i < end; i++) value = value * 256 + block[i]!;
    return value;
  }
  let i = at;
  // A NUL in front is what a writer left whose field before this one overflowed.
  if (first === 0) i++;
  while (i < end && block[i] === SPACE) i++;
  let value = 0;
  for (; i < end; i++) {
    const digit = block[i]! - ZERO;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  return i === end || block[i] === 0 || block[i] === SPACE ? value : NaN;
}

function readString(block: Buffer, at: number, length: number): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return byteString(block.subarray(at, end));
}

const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
const TYPE_AT = 156;
const MAGIC_AT = 257;
const PREFIX_AT = 345;
const STAR_MAGIC_AT = 508;
const SPACE = 0x20;
const ZERO = 0x30;
