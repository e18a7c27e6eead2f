import { digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { byteString } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { idOfKey } from "./keys.ts";
import { decodeNode, encodeNode, TupleReader } from "./node.ts";
import { openRecord, sealRecord } from "./record.ts";

/**
 * The key space of the database `uppers`, all of it. Numbers are 8 bytes, big-endian. docs/format.md, "Uppers".
 *
 *   h <container's name>                header: which upper a container has
 *   e <upper> <directory> <name>        entry of a directory: a whiteout, or the number of its node
 *   n <upper> <inode>                   node that is new or changed
 *   b <upper> <inode> <block>           which of a block's 32 units of 4 KiB are not those of the base
 *   u <upper> <inode> <unit>            bytes of a unit
 *   w <upper> <inode> <block>           bytes of a whole block
 */
export const UPPER_KIND = { block: 0x62, entry: 0x65, header: 0x68, node: 0x6e, unit: 0x75, whole: 0x77 } as const;

export function headerKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(UPPER_KIND.header), Buffer.from(name, "latin1")]);
}

/** @param name of a container; of a directory's entry, a byte string */
export function nameOfKey(key: Uint8Array, offset: number): string {
  return byteString(key.subarray(offset));
}

export function entryKey(upper: number, directory: number, name: string): Buffer {
  return Buffer.concat([numberKey("entry", upper, directory), Buffer.from(name, "latin1")]);
}

/** The key of a node, or of what belongs to one; or the beginning of all such keys. */
export function numberKey(kind: keyof typeof UPPER_KIND, ...numbers: readonly number[]): Buffer {
  const key = Buffer.allocUnsafe(1 + 8 * numbers.length);
  key[0] = UPPER_KIND[kind];
  numbers.forEach((number, i) => {
    key.writeUInt32BE(Math.floor(number / 2 ** 32), 1 + 8 * i);
    key.writeUInt32BE(number % 2 ** 32, 5 + 8 * i);
  });
  return key;
}

/** Number `i` of a key. */
export function numberOfKey(key: Uint8Array, i: number): number {
  return idOfKey(key, 1 + 8 * i);
}

/** Bounds of all keys that begin with `prefix`, whose last byte is not 0xff. */
export function prefixRange(prefix: Uint8Array): { gte: Uint8Array; lt: Uint8Array } {
  const lt = Uint8Array.from(prefix);
  for (let i = lt.length - 1; i >= 0; i--) {
    lt[i] = (lt[i] ?? 0) + 1;
    if (lt[i] !== 0) break;
  }
  return { gte: prefix, lt };
}

/** Which upper a container has, and what it lies over. */
export interface UpperHeader {
  readonly id: number;
  /** The tree that its records are relative to. */
  readonly base: Digest;
  /** What the container's record was before the first change that is not in its tree, as an opaque check. */
  readonly version: string;
}

export function sealHeader(key: Uint8Array, { id, base, version }: UpperHeader): Buffer {
  return sealRecord(key, [id, digestToBytes(base), version]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER, as all that follow */
export function openHeader(key: Uint8Array, bytes: Uint8Array): UpperHeader {
  const record = `upper of "${nameOfKey(key, 1)}"`;
  const t = new TupleReader(openRecord(key, bytes, record), record);
  const header = { id: t.integer(0), base: t.digest(), version: t.text() };
  t.end();
  return header;
}

/** A node of an upper as its record has it. */
export interface UpperRecord {
  /** Of a directory without its listing, of a file with the content that its clean blocks come from. */
  readonly node: Node;
  /** Names that show. */
  readonly links: number;
  /** Where it stands in the base, of a group the first path; null if it is new. */
  readonly origin: TreePath | null;
  /** Of a file: its size, and how many bytes of the node's content still show. */
  readonly size: number;
  readonly shown: number;
}

export function sealNode(key: Uint8Array, { node, links, origin, size, shown }: UpperRecord): Buffer {
  return sealRecord(key, [encodeNode(node), links, origin, size, shown]);
}

export function openNode(key: Uint8Array, bytes: Uint8Array): UpperRecord {
  const record = `node ${numberOfKey(key, 1)} of upper ${numberOfKey(key, 0)}`;
  const t = new TupleReader(openRecord(key, bytes, record), record);
  const found: UpperRecord = {
    node: decodeNode(t.next(), record),
    links: t.integer(0),
    origin: t.pathOrNull(),
    size: t.integer(0),
    shown: t.integer(0),
  };
  t.end();
  return found;
}

/** @param ino 0: a whiteout */
export function sealEntry(key: Uint8Array, ino: number): Buffer {
  return sealRecord(key, ino);
}

export function openEntry(key: Uint8Array, bytes: Uint8Array): number {
  const record = `entry of directory ${numberOfKey(key, 1)} of upper ${numberOfKey(key, 0)}`;
  const t = new TupleReader([openRecord(key, bytes, record)], record);
  return t.integer(0);
}

/** What a block's units are where neither `units` nor `holes` says. */
export const FILLS = ["base", "whole", "hole"] as const;

/** The state of one block of 128 KiB of a file. */
export interface UpperBlock {
  readonly fill: (typeof FILLS)[number];
  /** Bit i: unit i has a record of its own. */
  readonly units: number;
  /** Bit i: unit i is a hole. None is in `units`, too. */
  readonly holes: number;
}

export function sealBlock(key: Uint8Array, { fill, units, holes }: UpperBlock): Buffer {
  return sealRecord(key, [FILLS.indexOf(fill), units, holes]);
}

export function openBlock(key: Uint8Array, bytes: Uint8Array): UpperBlock {
  const [upper, ino, block] = [0, 1, 2].map((i) => numberOfKey(key, i));
  const record = `block ${block} of node ${ino} of upper ${upper}`;
  const t = new TupleReader(openRecord(key, bytes, record), record);
  const fill = FILLS[t.integer(0, FILLS.length - 1)] ?? "base";
  const [units, holes] = [t.integer(0, MAX_MASK), t.integer(0, MAX_MASK)];
  t.end();
  if ((units & holes) !== 0) throw t.invalid("has a unit that is a hole, too");
  return { fill, units, holes };
}

const MAX_MASK = 2 ** 32 - 1;
