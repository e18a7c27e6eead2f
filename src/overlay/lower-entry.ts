import { digestFromBytes, digestToBytes } from "../model/digest.ts";
import { baseName } from "../model/name.ts";
import type { Name } from "../model/name.ts";
import type { Content, Node } from "../model/node.ts";
import type { PageRef } from "../trees/tree-store.ts";
import { deviceNumber, Entry, FORMATS, isAscii } from "./entry.ts";
import type { Attributes } from "./entry.ts";

/** A leaf page of a directory, and the entries on it once they were looked at. */
export interface Leaf {
  readonly ref: PageRef;
  /** Of the first entry on it. */
  readonly firstIno: number;
  entries: readonly LowerEntry[];
  /** `entries` are there since this era of the cache; in another they are not. */
  era: number;
}

/** An entry of an immutable tree. Only what is needed to find it and stat it: 72 bytes, where a decoded `Node` takes 220. */
export class LowerEntry extends Entry {
  /** Where it is in its tree: "" for the root, else names with a "/" before each. A byte string. */
  readonly path: string;
  /** The place of `path` among all paths of its tree in canonical order; the root's is 1. */
  readonly ordinal: number;
  /** The mode as stat(2) has it, type included; above its 16 bits the flags below. */
  readonly #bits: number;
  readonly attributes: Attributes;
  /** Of a file its bytes, of a symlink its target's, of a device its number as stat(2) has it. */
  readonly size: number;
  /** Of a file the packed digest of its content, of a symlink its target. */
  readonly #data: string | null | readonly Leaf[];

  private constructor(
    path: string,
    ordinal: number,
    bits: number,
    attributes: Attributes,
    size: number,
    data: string | null | readonly Leaf[],
  ) {
    super();
    this.path = path;
    this.ordinal = ordinal;
    this.#bits = bits;
    this.attributes = attributes;
    this.size = size;
    this.#data = data;
  }

  /** @param leaves of a directory its pages, else nothing */
  static of(node: Node, path: string, ordinal: number, attributes: Attributes, leaves: readonly Leaf[]): LowerEntry {
    let bits = FORMATS[node.type] | node.mode;
    if (node.linked) bits |= LINKED;
    if (!isAscii(path)) bits |= NOT_ASCII;
    switch (node.type) {
      case "file": {
        const { size, sparse, root } = node.content;
        if (sparse) bits |= SPARSE;
        const packed = root === null ? null : digestToBytes(root).toString("latin1");
        return new LowerEntry(path, ordinal, bits, attributes, size, packed);
      }
      case "directory":
        return new LowerEntry(path, ordinal, bits, attributes, 0, leaves);
      case "symlink":
        return new LowerEntry(path, ordinal, bits, attributes, node.target.length, node.target);
      case "character":
      case "block":
        return new LowerEntry(path, ordinal, bits, attributes, deviceNumber(node.major, node.minor), null);
      case "fifo":
      case "socket":
        return new LowerEntry(path, ordinal, bits, attributes, 0, null);
    }
  }

  get mode(): number {
    return this.#bits & 0xffff;
  }

  /** It is one name of a hard-link group. */
  get linked(): boolean {
    return (this.#bits & LINKED) !== 0;
  }

  /** Its path is the same as text and as a byte string. */
  get hasAsciiPath(): boolean {
    return (this.#bits & NOT_ASCII) === 0;
  }

  get name(): Name {
    return baseName(this.path);
  }

  /** Of a symlink. */
  get target(): string {
    return typeof this.#data === "string" ? this.#data : "";
  }

  /** Of a directory, in order. */
  get leaves(): readonly Leaf[] {
    return typeof this.#data === "string" ? NO_LEAVES : (this.#data ?? NO_LEAVES);
  }

  /** Of a file: nothing of it was ever written. */
  get isHole(): boolean {
    return this.#data === null && (this.#bits & SPARSE) !== 0;
  }

  /** Of a file. */
  get content(): Content {
    const packed = this.#data;
    const root = typeof packed === "string" ? digestFromBytes(Buffer.from(packed, "latin1")) : null;
    return { size: this.size, sparse: (this.#bits & SPARSE) !== 0, root };
  }
}

const LINKED = 1 << 16;
const SPARSE = 1 << 17;
const NOT_ASCII = 1 << 18;
const NO_LEAVES: readonly Leaf[] = [];
