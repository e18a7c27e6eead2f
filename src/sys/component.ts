import { PosixError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import { type FixedMemory, fixedMemory } from "./koffi.ts";

/** Where a call puts its one or two names. Each holds 255 bytes and NUL. */
export type NameSlot = "first" | "second";

/**
 * Writes `name` for C and gives its address, good until the next call with the same slot.
 *
 * The wall that keeps all work inside a root: what passes is one component that leads down.
 *
 * @throws {PosixError} EINVAL if `name` is empty, ".", "..", has "/", NUL or a char that is no byte; ENAMETOOLONG
 */
export function component(name: string, syscall: string, slot: NameSlot = "first"): bigint {
  slots ??= { first: fixedMemory(NAME_BYTES + 1), second: fixedMemory(NAME_BYTES + 1) };
  const { bytes, address } = slots[slot];
  writeName(bytes, 0, name, syscall);
  return address;
}

/**
 * A path to `name` in the open directory `directory`, for calls that take no directory fd; likewise for C, and checked.
 * Without a name it is the open file itself, whatever its type: a call that follows symlinks gets to it.
 */
export function procPath(directory: number, name: string | undefined, syscall: string): bigint {
  procSlot ??= fixedMemory(PROC.length + 12 + NAME_BYTES);
  const { bytes, address } = procSlot;
  if (directory !== procDirectory) {
    procLength = bytes.write(`${PROC}${directory}/`, "latin1");
    procDirectory = directory;
  }
  if (name !== undefined) {
    writeName(bytes, procLength, name, syscall);
  } else {
    bytes[procLength - 1] = 0;
    procDirectory = NONE;
  }
  return address;
}

const NAME_BYTES = 255;
const SLASH = 0x2f;
const DOT = 0x2e;
const PROC = "/proc/self/fd/";
const NONE = -1;
let slots: Readonly<Record<NameSlot, FixedMemory>> | undefined;
let procSlot: FixedMemory | undefined;
/** Whose path `procSlot` begins with, and how long that is with its "/". */
let procDirectory = NONE;
let procLength = 0;

function writeName(bytes: Buffer, at: number, name: string, syscall: string): void {
  const length = name.length;
  if (length > NAME_BYTES) throw new PosixError("ENAMETOOLONG", syscall, displayName(name));
  for (let i = 0; i < length; i++) {
    const char = name.charCodeAt(i);
    if (char === 0 || char === SLASH || char > 0xff) throw new PosixError("EINVAL", syscall, displayName(name));
    bytes[at + i] = char;
  }
  bytes[at + length] = 0;
  const dots = bytes[at] === DOT && (length === 1 || (length === 2 && bytes[at + 1] === DOT));
  if (length === 0 || dots) throw new PosixError("EINVAL", syscall, displayName(name));
}

/** A byte string for C, as a symlink target or an attribute's name. @throws {PosixError} EINVAL if it holds a NUL */
export function byteStringForC(text: string, syscall: string): Buffer {
  if (text.includes("\0")) throw new PosixError("EINVAL", syscall, displayName(text));
  return Buffer.from(`${text}\0`, "latin1");
}
