import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Content } from "../model/node.ts";

/** What tells that a file is still the one that was read: no call sets a ctime back. */
export interface FileIdentity {
  /** Below 2^53. */
  readonly ino: number;
  readonly size: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
}

/** What is known of a file but for what its identity says. */
export interface KnownFile {
  readonly content: Content;
  /** It has no extended attributes. */
  readonly isPlain: boolean;
}

/** Inode, size, mtime and ctime in seconds as doubles 8 each, their nanoseconds 4 each, flags 1, root of the content 32; little-endian. */
const ROW_BYTES = 41 + DIGEST_BYTES;
const FLAGS = 40;
const SPARSE = 1;
const HAS_ROOT = 2;
const PLAIN = 4;
const FIRST_ROWS = 1024;

/** Files of one device and the contents that they have. Rows of bytes: with an object for each, 500 000 would take 100 MB. docs/format.md, "Known files". */
export class KnownRows {
  #bytes: Buffer;
  #count: number;
  /** Of rows, by inode: made when it is first asked for. */
  #rows: Map<number, number> | undefined;
  #next = 0;

  private constructor(bytes: Buffer, count: number) {
    this.#bytes = bytes;
    this.#count = count;
  }

  static empty(): KnownRows {
    return new KnownRows(Buffer.alloc(0), 0);
  }

  /** @param bytes kept. @returns undefined if they are no rows */
  static decode(bytes: Buffer): KnownRows | undefined {
    return bytes.length % ROW_BYTES === 0 ? new KnownRows(bytes, bytes.length / ROW_BYTES) : undefined;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns what is borrowed until the next `add` */
  encode(): Buffer {
    return this.#bytes.subarray(0, this.#count * ROW_BYTES);
  }

  add(file: FileIdentity, { content: { sparse, root }, isPlain }: KnownFile): void {
    const at = this.#nextRow();
    const bytes = this.#bytes;
    bytes.writeDoubleLE(file.ino, at);
    bytes.writeDoubleLE(file.size, at + 8);
    bytes.writeDoubleLE(file.mtimeSec, at + 16);
    bytes.writeDoubleLE(file.ctimeSec, at + 24);
    bytes.writeUInt32LE(file.mtimeNsec, at + 32);
    bytes.writeUInt32LE(file.ctimeNsec, at + 36);
    bytes[at + FLAGS] = (sparse ? SPARSE : 0) | (root === null ? 0 : HAS_ROOT) | (isPlain ? PLAIN : 0);
    if (root !== null) bytes.set(digestToBytes(root), at + FLAGS + 1);
  }

  /** As `add`, of what `other` found last. */
  addFound(other: KnownRows): void {
    const at = this.#nextRow();
    const from = (other.#next - 1) * ROW_BYTES;
    other.#bytes.copy(this.#bytes, at, from, from + ROW_BYTES);
  }

  /** @returns where it begins */
  #nextRow(): number {
    const at = this.#count++ * ROW_BYTES;
    if (at === this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], Math.max(2 * this.#bytes.length, FIRST_ROWS * ROW_BYTES));
    return at;
  }

  /** Fastest in the order of `add`. */
  find(file: FileIdentity): KnownFile | undefined {
    const row = this.#rowOf(file.ino);
    if (row === undefined) return undefined;
    const at = row * ROW_BYTES;
    const bytes = this.#bytes;
    if (
      bytes.readDoubleLE(at + 8) !== file.size ||
      bytes.readDoubleLE(at + 16) !== file.mtimeSec ||
      bytes.readDoubleLE(at + 24) !== file.ctimeSec ||
      bytes.readUInt32LE(at + 32) !== file.mtimeNsec ||
      bytes.readUInt32LE(at + 36) !== file.ctimeNsec
    )
      return undefined;
    const flags = bytes[at + FLAGS]!;
    const root = (flags & HAS_ROOT) === 0 ? null : digestFromBytes(bytes.subarray(at + FLAGS + 1));
    const content = { size: file.size, sparse: (flags & SPARSE) !== 0, root };
    return { content, isPlain: (flags & PLAIN) !== 0 };
  }

  #rowOf(ino: number): number | undefined {
    let row: number | undefined = this.#next;
    if (row >= this.#count || this.#bytes.readDoubleLE(row * ROW_BYTES) !== ino) {
      this.#rows ??= new Map(
        Array.from({ length: this.#count }, (_, i) => [this.#bytes.readDoubleLE(i * ROW_BYTES), i]),
      );
      row = this.#rows.get(ino);
    }
    if (row !== undefined) this.#next = row + 1;
    return row;
  }
}
