import { StoreError } from "../errors.ts";
import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { isEntryPath, isName, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import { flawOf } from "../model/node.ts";
import type { DirectoryNode, Metadata, Node, NodeType, Xattr } from "../model/node.ts";
import { pack } from "./packing.ts";

/**
 * A node as a MessagePack tuple, the same wherever it stands:
 *
 *   [kind, mode, uid, gid, mtimeSec, mtimeNsec, xattrs, …]
 *     kind      index in KINDS, plus 8 if `linked`
 *     xattrs    null, or [name, value, name, value, …] in byte order of names
 *     file      …, size, sparse 0|1, root
 *     directory …, root, entries, bytes
 *     symlink   …, target
 *     device    …, major, minor
 *
 * Byte strings (names, targets) are MessagePack strings with one code point per byte; digests and values are byte arrays.
 */
export type NodeTuple = readonly unknown[];

const KINDS: readonly NodeType[] = ["file", "directory", "symlink", "character", "block", "fifo", "socket"];
const LINKED = 8;

export function encodeNode(node: Node): NodeTuple {
  const kind = KINDS.indexOf(node.type) + (node.linked ? LINKED : 0);
  const xattrs = node.xattrs.length === 0 ? null : node.xattrs.flatMap((x) => [x.name, asBuffer(x.value)]);
  const common = [kind, node.mode, node.uid, node.gid, node.mtimeSec, node.mtimeNsec, xattrs];
  switch (node.type) {
    case "file":
      return [...common, node.content.size, node.content.sparse ? 1 : 0, encodeRef(node.content.root)];
    case "directory":
      return [...common, encodeRef(node.listing.root), node.listing.entries, node.listing.bytes];
    case "symlink":
      return [...common, node.target];
    case "character":
    case "block":
      return [...common, node.major, node.minor];
    case "fifo":
    case "socket":
      return common;
  }
}

/** The bytes that a page has of a node. */
export function packNode(node: Node): Buffer {
  return pack(encodeNode(node));
}

/** Makes bytes of `packNode` those of the same node with this `linked`. The kind is their second byte, whatever the node. */
export function setLinkedBit(packed: Uint8Array, linked: boolean): void {
  packed[1] = (packed[1]! & (LINKED - 1)) | (linked ? LINKED : 0);
}

/** @throws {StoreError} FORMAT_INVALID for everything that `encodeNode` does not make */
export function decodeNode(tuple: unknown, record: string): Node {
  const t = new TupleReader(tuple, record);
  const node = decodeFields(t);
  t.end();
  const flaw = flawOf(node);
  if (flaw !== undefined) throw t.invalid(`a node ${flaw}`);
  return node;
}

function decodeFields(t: TupleReader): Node {
  const kind = t.integer(0, LINKED + KINDS.length - 1);
  const type = KINDS[kind % LINKED];
  if (type === undefined) throw t.invalid("has a node of no known kind");
  const linked = kind >= LINKED;
  const metadata: Metadata = {
    mode: t.integer(),
    uid: t.integer(),
    gid: t.integer(),
    mtimeSec: t.integer(),
    mtimeNsec: t.integer(),
    xattrs: decodeXattrs(t.next(), t),
  };
  switch (type) {
    case "file":
      return {
        type,
        linked,
        ...metadata,
        content: { size: t.integer(), sparse: t.integer(0, 1) === 1, root: t.ref() },
      };
    case "directory": {
      const listing = { root: t.ref(), entries: t.integer(), bytes: t.integer() };
      // `flawOf` refuses one that is linked.
      return { type, linked: linked as false, ...metadata, listing };
    }
    case "symlink":
      return { type, linked, ...metadata, target: t.byteString() };
    case "character":
    case "block":
      return { type, linked, ...metadata, major: t.integer(), minor: t.integer() };
    case "fifo":
    case "socket":
      return { type, linked, ...metadata };
  }
}

export function decodeDirectory(tuple: unknown, record: string): DirectoryNode {
  const node = decodeNode(tuple, record);
  if (node.type !== "directory") throw new StoreError("FORMAT_INVALID", { record, reason: "is not a directory" });
  return node;
}

export function encodeRef(digest: Digest | null): Buffer | null {
  return digest === null ? null : digestToBytes(digest);
}

const NO_XATTRS: readonly Xattr[] = [];

function decodeXattrs(value: unknown, t: TupleReader): readonly Xattr[] {
  if (value === null) return NO_XATTRS;
  if (!Array.isArray(value) || value.length === 0 || value.length % 2 !== 0) throw t.invalid("has no xattr list");
  const pairs = new TupleReader(value, t.record);
  return Array.from({ length: value.length / 2 }, () => ({ name: pairs.byteString(), value: pairs.bytes() }));
}

/** Takes a decoded tuple apart, field by field, and believes none of it. */
export class TupleReader {
  readonly record: string;
  readonly #tuple: readonly unknown[];
  #index = 0;

  constructor(tuple: unknown, record: string) {
    this.record = record;
    if (!Array.isArray(tuple)) throw this.invalid("is not a tuple");
    this.#tuple = tuple;
  }

  invalid(reason: string): StoreError {
    return new StoreError("FORMAT_INVALID", { record: this.record, reason });
  }

  next(): unknown {
    return this.#tuple[this.#index++];
  }

  integer(min: number = -Number.MAX_SAFE_INTEGER, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.next();
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max)
      throw this.invalid(`field ${this.#index - 1} is out of range`);
    return value;
  }

  byteString(): string {
    const value = this.next();
    if (typeof value !== "string" || /[^\x01-\xff]/.test(value)) throw this.invalid("has no byte string");
    return value;
  }

  /** Text for people, UTF-8. */
  text(): string {
    const value = this.next();
    if (typeof value !== "string") throw this.invalid(`field ${this.#index - 1} is no text`);
    return value;
  }

  textOrNull(): string | null {
    if (this.#tuple[this.#index] !== null) return this.text();
    this.#index++;
    return null;
  }

  /** A path of a tree, "" too; null for none. */
  pathOrNull(): TreePath | null {
    const value = this.next();
    if (value === null || value === ROOT) return value;
    if (typeof value !== "string" || !isEntryPath(value)) throw this.invalid("has a path that is none");
    return value;
  }

  name(): Name {
    const value = this.byteString();
    if (!isName(value)) throw this.invalid("has an entry that is no name");
    return value;
  }

  bytes(): Uint8Array {
    const value = this.next();
    if (!(value instanceof Uint8Array)) throw this.invalid(`field ${this.#index - 1} is no byte array`);
    return value;
  }

  digest(): Digest {
    const value = this.bytes();
    if (value.length !== DIGEST_BYTES) throw this.invalid(`field ${this.#index - 1} is no digest`);
    return digestFromBytes(value);
  }

  ref(): Digest | null {
    if (this.#tuple[this.#index] !== null) return this.digest();
    this.#index++;
    return null;
  }

  list(): readonly unknown[] {
    const value = this.next();
    if (!Array.isArray(value)) throw this.invalid(`field ${this.#index - 1} is no list`);
    return value;
  }

  get isAtEnd(): boolean {
    return this.#index >= this.#tuple.length;
  }

  end(): void {
    if (this.#tuple.length !== this.#index) throw this.invalid(`has ${this.#tuple.length} fields, not ${this.#index}`);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
