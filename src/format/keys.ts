import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { DIGEST_BYTES, digestToBytes } from "../model/digest.ts";

/**
 * The key space of the database `meta`, all of it. A key is one kind byte and what follows. docs/format.md, "Keys".
 *
 *   c <digest 32>   chunk index: where the chunk's frame is        (rebuilt from `chunks` if lost)
 *   n <digest 32>   node: a directory, link or content page, a tree (its bytes hash to the digest)
 *   y <digest 32>   layer record                                   (likewise)
 *   r <name>        what a name stands for: layer or container
 *   h <number 8>    history: one change of a name, in order
 *   s <name>        settings and counters
 *   v <id 8>        of a chunk value: how many bytes of it are dead
 *
 * The database `chunks` has one kind of key: the chunk value's id as 8 bytes, big-endian.
 */
export const KIND = {
  chunk: 0x63,
  history: 0x68,
  node: 0x6e,
  ref: 0x72,
  setting: 0x73,
  value: 0x76,
  layer: 0x79,
} as const;
export type Kind = keyof typeof KIND;

export function digestKey(kind: "chunk" | "node" | "layer", digest: Digest): Buffer {
  const key = Buffer.allocUnsafe(33);
  key[0] = KIND[kind];
  key.set(digestToBytes(digest), 1);
  return key;
}

/** Bounds of the keys of digests that begin with these hex digits; with an odd number of them, of a few more. */
export function digestPrefixRange(kind: "chunk" | "node" | "layer", prefix: string): { gte: Buffer; lt: Buffer } {
  const bytes = Buffer.from(prefix.slice(0, prefix.length & ~1), "hex");
  return {
    gte: Buffer.concat([Buffer.of(KIND[kind]), bytes]),
    lt: Buffer.concat([Buffer.of(KIND[kind]), bytes, Buffer.alloc(DIGEST_BYTES + 1 - bytes.length, 0xff)]),
  };
}

/** @param name ASCII */
export function nameKey(kind: "ref" | "setting", name: string): Buffer {
  const key = Buffer.allocUnsafe(1 + name.length);
  key[0] = KIND[kind];
  key.write(name, 1, "latin1");
  return key;
}

/** Bounds of the keys of names that begin with `prefix`, which is ASCII. */
export function namePrefixRange(kind: "ref" | "setting", prefix: string): { gte: Buffer; lt: Buffer } {
  const gte = nameKey(kind, prefix);
  return { gte, lt: prefix === "" ? kindRange(kind).lt : Buffer.concat([gte, Buffer.of(0xff)]) };
}

/** @param sequence integer, 0 ≤ sequence ≤ 2^53 - 1 */
export function historyKey(sequence: number): Buffer {
  return Buffer.concat([Buffer.of(KIND.history), idKey(sequence)]);
}

/** @param id of a chunk value */
export function valueKey(id: number): Buffer {
  return Buffer.concat([Buffer.of(KIND.value), idKey(id)]);
}

/** The key of a value of `chunks`. */
export function idKey(id: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(BigInt(id));
  return key;
}

/** @throws {StoreError} FORMAT_INVALID for a key that nobody made of an id */
export function idOfKey(key: Uint8Array, offset = 0): number {
  const id = findId(key, offset);
  if (id !== undefined) return id;
  const shown = Buffer.from(key.subarray(0, SHOWN_KEY_BYTES)).toString("hex");
  throw new StoreError("FORMAT_INVALID", { record: `key ${shown}`, reason: "has no number that a key may have" });
}

/** @returns undefined if the key is too short, or its number above 2^53 - 1 */
export function findId(key: Uint8Array, offset: number): number | undefined {
  if (key.length < offset + 8) return undefined;
  const id = Number(new DataView(key.buffer, key.byteOffset + offset, 8).getBigUint64(0));
  return Number.isSafeInteger(id) ? id : undefined;
}

const SHOWN_KEY_BYTES = 32;

/** Bounds of all keys of one kind: `gte` included, `lt` not. */
export function kindRange(kind: Kind): { gte: Buffer; lt: Buffer } {
  return { gte: Buffer.of(KIND[kind]), lt: Buffer.of(KIND[kind] + 1) };
}

/** All keys of one kind in `count` parts, of about the same size where digests follow the kind. @param count at most 256 */
export function slicesOf(kind: Kind, count: number): { gte: Buffer; lt: Buffer }[] {
  const bounds = Array.from({ length: count }, (_, i) => Buffer.of(KIND[kind], Math.floor((i * 256) / count)));
  return bounds.map((gte, i) => ({ gte, lt: bounds[i + 1] ?? kindRange(kind).lt }));
}
