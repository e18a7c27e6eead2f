import { digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { byteString } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Node } from "../model/node.ts";
import { findId } from "./keys.ts";
import { decodeNode, encodeNode, TupleReader } from "./node.ts";
import { openRecord, sealRecord } from "./record.ts";

/**
 * The key space of the database `uppers`, all of it. Numbers are 8 bytes, big-endian. docs/format.md, "Uppers".
 *
 *   h <container's name>                header: which upper a container has
 *   e <upper> <directory> <name>        entry of a directory: a whiteout, or the number of its node
 *   n <upper> <inode>                   node that is new or changed
 *   b <upper> <inode> <block>           what of a block of 128 KiB was written, and where that is in the file of pieces
 */
export const UPPER_KIND = { block: 0x62, entry: 0x65, header: 0x68, node: 0x6e } as const;

export function headerKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(UPPER_KIND.header), Buffer.from(name, "latin1")]);
}

/** @returns a container's name, or a byte string */
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

/** Number `i` of a key. NaN if there is none. */
export function numberOfKey(key: Uint8Array, i: number): number {
  return findId(key, 1 + 8 * i) ?? Number.NaN;
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
  /** Records of a directory's entries, or of a file's blocks. */
  readonly parts: number;
}

export function sealNode(key: Uint8Array, { node, links, origin, size, shown, parts }: UpperRecord): Buffer {
  return sealRecord(key, [encodeNode(node), links, origin, size, shown, parts]);
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
    parts: t.integer(0),
  };
  t.end();
  const flaw = flawOfRecord(found);
  if (flaw !== undefined) throw t.invalid(flaw);
  return found;
}

function flawOfRecord({ node, size, shown, parts }: UpperRecord): string | undefined {
  if (node.linked) return "has a node of a tree";
  if (node.type === "file") {
    if (shown > size || shown > node.content.size) return "shows more than there is";
    return undefined;
  }
  if (size > 0 || shown > 0) return "has bytes and is no file";
  if (node.type !== "directory") return parts > 0 ? "has parts and is neither file nor directory" : undefined;
  return node.listing.root === null ? undefined : "has a listing";
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

/** What a block's units are that no piece covers. */
export const FILLS = ["base", "hole"] as const;

/** Bytes that were written at once into one block. They are in the upper's file of pieces. */
export interface UpperPiece {
  /** Where they begin in the block. */
  readonly unit: number;
  /** Where they begin in the file of pieces, in units. */
  readonly place: number;
  /** 1 or more. Those that are missing of the last unit are zeros. */
  readonly length: number;
  /** The first 6 bytes of their BLAKE3, as a number. */
  readonly check: number;
}

/** The state of one block of 128 KiB of a file. */
export interface UpperBlock {
  readonly fill: (typeof FILLS)[number];
  /** Bit i: unit i is a hole, whatever pieces cover it. */
  readonly holes: number;
  /** As they were written: of those that overlap the last one shows. */
  readonly pieces: readonly UpperPiece[];
}

export const UNIT_BYTES = 4096;
/** Of a block. */
export const UNITS: number = BLOCK_BYTES / UNIT_BYTES;

/** Units that so many bytes begin. */
export function unitsOf(bytes: number): number {
  return Math.ceil(bytes / UNIT_BYTES);
}

export function sealBlock(key: Uint8Array, { fill, holes, pieces }: UpperBlock): Buffer {
  const fields: number[] = [FILLS.indexOf(fill), holes];
  for (const { unit, place, length, check } of pieces) fields.push(unit, place, length, check);
  return sealRecord(key, fields);
}

export function openBlock(key: Uint8Array, bytes: Uint8Array): UpperBlock {
  const [upper, ino, block] = [0, 1, 2].map((i) => numberOfKey(key, i));
  const record = `block ${block} of node ${ino} of upper ${upper}`;
  const t = new TupleReader(openRecord(key, bytes, record), record);
  const fill = FILLS[t.integer(0, FILLS.length - 1)] ?? "base";
  const holes = t.integer(0, MAX_MASK);
  const pieces: UpperPiece[] = [];
  while (!t.isAtEnd) {
    const piece = { unit: t.integer(0), place: t.integer(0), length: t.integer(1), check: t.integer(0, MAX_CHECK) };
    if (piece.unit * UNIT_BYTES + piece.length > BLOCK_BYTES) throw t.invalid("has bytes beyond its end");
    pieces.push(piece);
  }
  return { fill, holes, pieces };
}

const MAX_MASK = 2 ** 32 - 1;
const MAX_CHECK = 2 ** 48 - 1;
