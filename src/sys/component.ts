import { PosixError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import { type FixedMemory, fixedMemory } from "./koffi.ts";

/** Where a call puts its one or two names. Each holds 255 bytes and NUL. */
export type NameSlot = "first" | "second";

let slots: Readonly<Record<NameSlot, FixedMemory>> | undefined;

const NAME_BYTES = 255;
const SLASH = 0x2f;
const DOT = 0x2e;

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
  const length = name.length;
  if (length > NAME_BYTES) throw new PosixError("ENAMETOOLONG", syscall, displayName(name));
  for (let i = 0; i < length; i++) {
    const char = name.charCodeAt(i);
    if (char === 0 || char === SLASH || char > 0xff) throw new PosixError("EINVAL", syscall, displayName(name));
    bytes[i] = char;
  }
  bytes[length] = 0;
  const dots = bytes[0] === DOT && (length === 1 || (length === 2 && bytes[1] === DOT));
  if (length === 0 || dots) throw new PosixError("EINVAL", syscall, displayName(name));
  return address;
}

/** A byte string for C, as a symlink target or an attribute's name. @throws {PosixError} EINVAL if it holds a NUL */
export function byteStringForC(text: string, syscall: string): Buffer {
  if (text.includes("\0")) throw new PosixError("EINVAL", syscall, displayName(text));
  return Buffer.from(`${text}\0`, "latin1");
}
