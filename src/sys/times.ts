import { type FixedMemory, fixedMemory } from "./koffi.ts";

let memory: FixedMemory | undefined;

/** A `struct timespec[2]` with atime = mtime, at an address that is good until the next call. */
export function timespecs(sec: number, nsec: number): bigint {
  memory ??= fixedMemory(32);
  const { view, address } = memory;
  for (const offset of [0, 16]) {
    view.setInt32(offset, sec | 0, true); // the low 32 bits, whatever the sign
    view.setInt32(offset + 4, Math.floor(sec / 2 ** 32), true);
    view.setInt32(offset + 8, nsec, true);
    view.setInt32(offset + 12, 0, true);
  }
  return address;
}
