import { pack, unpack } from "../../src/format/packing.ts";
import { header, withChecksum } from "../sources/tar-support.ts";
import type { Random } from "./random.ts";

/** Other bytes than `seed`, by one to four changes. `donor` is what pieces are taken from. */
export function mutatedBytes(random: Random, seed: Uint8Array, donor: Uint8Array = seed): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let left = 1 + random.below(4); left > 0; left--) bytes = changedOnce(random, bytes, donor);
  return bytes;
}

function changedOnce(random: Random, bytes: Buffer, donor: Uint8Array): Buffer {
  const at = random.below(bytes.length + 1);
  const length = random.once(4) ? random.below(600) : random.below(8);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(10)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(BYTES);
      return bytes;
    case 2:
      return number(random, bytes, at);
    case 3:
      return Buffer.concat([before, after.subarray(length)]);
    case 4:
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 5:
      return Buffer.concat([before, random.bytes(random.below(8)), after]);
    case 6:
      // What takes the square of a length shows by long runs.
      return Buffer.concat([before, Buffer.alloc(random.once(20) ? 1 << 16 : length, random.pick(BYTES)), after]);
    case 7:
      return Buffer.from(before);
    case 8: {
      const start = random.below(donor.length + 1);
      return Buffer.concat([before, donor.subarray(start, start + length), after.subarray(length)]);
    }
    default:
      return Buffer.concat([before, Buffer.from(random.pick(NUMBERS), "latin1"), after.subarray(length)]);
  }
}

function number(random: Random, bytes: Buffer, at: number): Buffer {
  const width = random.pick([2, 4, 8] as const);
  if (at + width > bytes.length) return bytes;
  const value = random.pick(VALUES);
  const swap = random.once(2);
  const field = Buffer.alloc(8);
  field.writeBigUInt64LE(BigInt.asUintN(64, value));
  const part = field.subarray(0, width);
  bytes.set(swap ? part.reverse() : part, at);
  return bytes;
}

/** Bytes of a MessagePack value that differs from that of `seed` in one to three places. */
export function mutatedPacked(random: Random, seed: Uint8Array): Buffer {
  let value: unknown = unpack(seed, "a seed");
  for (let left = 1 + random.below(3); left > 0; left--) value = changedValue(random, value);
  const bytes = pack(value);
  return random.once(10) ? mutatedBytes(random, bytes) : bytes;
}

function changedValue(random: Random, value: unknown): unknown {
  if (!Array.isArray(value) || random.once(12)) return otherValue(random, value);
  const list: unknown[] = [...(value as unknown[])];
  const at = random.below(list.length + 1);
  switch (random.below(8)) {
    case 0:
      list.splice(at, 1);
      return list;
    case 1:
      list.splice(at, 0, list[random.below(list.length)]);
      return list;
    case 2:
      if (list.length > 1) [list[0], list[list.length - 1]] = [list.at(-1), list[0]];
      return list;
    default:
      if (at < list.length) list[at] = changedValue(random, list[at]);
      return list;
  }
}

function otherValue(random: Random, value: unknown): unknown {
  switch (random.below(7)) {
    case 0:
      return Number(random.pick(VALUES));
    case 1:
      return random.pick([null, true, 1.5, -0, "", [], [[]], Buffer.alloc(0)]);
    case 2:
      return Buffer.from(random.bytes(random.pick([0, 1, 16, 31, 32, 33, 300])));
    case 3:
      return random.pick(TEXTS);
    case 4:
      return typeof value === "string" ? value + random.pick(TEXTS) : [value, value];
    case 5:
      return typeof value === "number" ? value + random.pick([-1, 1, 256]) : value;
    default:
      return value instanceof Uint8Array ? mutatedBytes(random, value) : random.pick(TEXTS);
  }
}

/** An archive whose headers are right for what they say: changed fields, blocks left out, put in twice, or swapped. */
export function mutatedTar(random: Random, seed: Uint8Array, donor: Uint8Array = seed): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < seed.length; at += 512) blocks.push(Buffer.from(seed.subarray(at, at + 512)));
  for (let left = 1 + random.below(4); left > 0; left--) changeBlocks(random, blocks, donor);
  const bytes = Buffer.concat(blocks);
  return random.once(8) ? mutatedBytes(random, bytes, donor) : bytes;
}

function changeBlocks(random: Random, blocks: Buffer[], donor: Uint8Array): void {
  const at = random.below(blocks.length);
  const block = blocks[at];
  if (block === undefined) return;
  switch (random.below(9)) {
    case 0:
      blocks.splice(at, 1);
      return;
    case 1:
      blocks.splice(random.below(blocks.length), 0, Buffer.from(block));
      return;
    case 2: {
      const start = 512 * random.below(Math.floor(donor.length / 512));
      blocks.splice(at, 0, Buffer.from(donor.subarray(start, start + 512)));
      return;
    }
    case 3:
      blocks[at] = mutatedBytes(random, block).subarray(0, 512);
      return;
    case 4:
      blocks.splice(
        at,
        0,
        header({ name: random.pick(TEXTS), type: random.pick(TYPES), linkName: random.pick(TEXTS) }),
      );
      return;
    default: {
      if (block.length < 512) return;
      const [start, length] = random.pick(FIELDS);
      const value = random.pick([...NUMBERS, ...TEXTS, "\x80\0\0\0\0\0\0\x01", "\xff".repeat(12)]);
      block.fill(0, start, start + length).write(value.slice(0, length), start, "latin1");
      withChecksum(block);
    }
  }
}

const BYTES = [
  0, 1, 0x09, 0x0a, 0x20, 0x2c, 0x2e, 0x2f, 0x30, 0x39, 0x3a, 0x3d, 0x7f, 0x80, 0x91, 0xc0, 0xdc, 0xdd, 0xff,
];
const VALUES = [
  0n,
  1n,
  -1n,
  2n,
  127n,
  128n,
  255n,
  256n,
  4095n,
  4096n,
  32767n,
  65535n,
  65536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  -(2n ** 53n),
  -128n,
  -129n,
  131072n,
  131073n,
];
const NUMBERS = [
  "0",
  "-1",
  "00000000001",
  "77777777777",
  "9007199254740991",
  "9007199254740993",
  "18446744073709551616",
  "1e400",
  "0x10",
  "12 ",
  "999999999999999999999",
];
const TEXTS = [
  "",
  ".",
  "..",
  "/",
  "a",
  "a/b",
  "a/../b",
  "../a",
  "\0",
  "a\0b",
  "\n",
  "\xff\xfe",
  "é",
  "x".repeat(256),
  "y/".repeat(300),
  "user.a",
  "system.posix_acl_access",
  "security.capability",
  "trusted.overlay.opaque",
  "user::rwx,group::r--,other::r--",
  "directory",
  "container",
];
const TYPES = Array.from("01234567gxXLKSDMVNZA\0");
/** Name, mode, owner, group, size, time, check sum, type, link name, magic, devices, prefix, and what GNU and star have there. */
const FIELDS = [
  [0, 100],
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [124, 12],
  [136, 12],
  [148, 8],
  [156, 1],
  [156, 1],
  [157, 100],
  [257, 8],
  [329, 8],
  [337, 8],
  [345, 155],
  [386, 12],
  [398, 12],
  [482, 1],
  [483, 12],
  [508, 4],
] as const;
