import { StoreError } from "../errors.ts";
import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { isName } from "../model/name.ts";
import type { Name } from "../model/name.ts";
import type { DirectoryNode, Metadata, Node, NodeType, Xattr } from "../model/node.ts";

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
const FIELDS = 7;

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

/** @throws {StoreError} FORMAT_INVALID for everything that `encodeNode` does not make */
export function decodeNode(tuple: unknown, record: string): Node {
  const t = new TupleReader(tuple, record);
  const kind = t.integer(0, LINKED + KINDS.length - 1);
  const type = KINDS[kind % LINKED];
  if (type === undefined) throw t.invalid("has a node of no known kind");
  const linked = kind >= LINKED;
  const metadata: Metadata = {
    mode: t.integer(0, 0o7777),
    uid: t.integer(0, 2 ** 32 - 1),
    gid: t.integer(0, 2 ** 32 - 1),
    mtimeSec: t.integer(-Number.MAX_SAFE_INTEGER),
    mtimeNsec: t.integer(0, 999_999_999),
    xattrs: decodeXattrs(t.next(), t),
  };
  switch (type) {
    case "file": {
      const content = { size: t.integer(0), sparse: t.integer(0, 1) === 1, root: t.ref() };
      t.end(FIELDS + 3);
      return { type, linked, ...metadata, content };
    }
    case "directory": {
      const listing = { root: t.ref(), entries: t.integer(0), bytes: t.integer(0) };
      t.end(FIELDS + 3);
      if (linked) throw t.invalid("a directory is linked");
      return { type, linked, ...metadata, listing };
    }
    case "symlink": {
      const target = t.byteString();
      t.end(FIELDS + 1);
      return { type, linked, ...metadata, target };
    }
    case "character":
    case "block": {
      const major = t.integer(0, 2 ** 32 - 1);
      const minor = t.integer(0, 2 ** 32 - 1);
      t.end(FIELDS + 2);
      return { type, linked, ...metadata, major, minor };
    }
    case "fifo":
    case "socket":
      t.end(FIELDS);
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
  const xattrs: Xattr[] = [];
  while (xattrs.length < value.length / 2) {
    const xattr = { name: pairs.byteString(), value: pairs.bytes() };
    const previous = xattrs.at(-1);
    if (previous !== undefined && previous.name >= xattr.name) throw t.invalid("has xattrs out of order");
    xattrs.push(xattr);
  }
  return xattrs;
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

  integer(min: number, max: number = Number.MAX_SAFE_INTEGER): number {
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

  end(length = this.#index): void {
    if (this.#tuple.length !== length) throw this.invalid(`has ${this.#tuple.length} fields, not ${length}`);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
