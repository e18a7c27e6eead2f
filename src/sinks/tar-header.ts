import type { Metadata } from "../model/node.ts";

/** Everything in a tar comes in blocks of this size. */
export const TAR_BLOCK_BYTES = 512;

/** The largest number in a field of 8 and of 12 bytes: octal digits, and a NUL. */
export const MAX_SHORT_OCTAL: number = 8 ** 7 - 1;
export const MAX_LONG_OCTAL: number = 8 ** 11 - 1;
export const MAX_LINK_BYTES = 100;

/** POSIX.1-2008, pax, "ustar Header Block". */
export type TarType = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "x";

/** What one header says. Byte strings; numbers and names may be too large for it, for a PAX record says them then. */
export interface TarHeader {
  readonly name: string;
  readonly type: TarType;
  readonly metadata: Omit<Metadata, "xattrs">;
  readonly size: number;
  readonly link?: string | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
}

/** One header block in the ustar form; what it cannot hold is cut to what it can. */
export function encodeTarHeader({ name, type, metadata, size, link = "", device }: TarHeader): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const split = splitTarName(name) ?? { name: name.slice(0, NAME_BYTES), prefix: "" };
  block.write(split.name, 0, NAME_BYTES, "latin1");
  octal(block, 100, 8, metadata.mode);
  octal(block, 108, 8, metadata.uid);
  octal(block, 116, 8, metadata.gid);
  octal(block, 124, 12, size);
  octal(block, 136, 12, Math.max(metadata.mtimeSec, 0));
  block.fill(" ", 148, 156);
  block.write(type, 156, "latin1");
  block.write(link, 157, MAX_LINK_BYTES, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  octal(block, 329, 8, device?.major ?? 0);
  octal(block, 337, 8, device?.minor ?? 0);
  block.write(split.prefix, 345, PREFIX_BYTES, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0`, 148, "latin1");
  return block;
}

/** @returns undefined if the name does not fit a header */
export function splitTarName(name: string): { readonly name: string; readonly prefix: string } | undefined {
  if (name.length <= NAME_BYTES) return { name, prefix: "" };
  // The "/" between the two is in neither, and the name must not be empty: a directory's ends with "/".
  const slash = name.indexOf("/", Math.max(name.length - NAME_BYTES - 1, 1));
  if (slash < 0 || slash > PREFIX_BYTES || slash >= name.length - 1) return undefined;
  return { name: name.slice(slash + 1), prefix: name.slice(0, slash) };
}

const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

function octal(block: Buffer, at: number, bytes: number, value: number): void {
  const digits = bytes - 1;
  block.write(
    Math.min(value, 8 ** digits - 1)
      .toString(8)
      .padStart(digits, "0"),
    at,
    "latin1",
  );
}
