import { decodeNode, packNode, setLinkedBit } from "../format/node.ts";
import { unpack } from "../format/packing.ts";
import { totalsOf } from "../model/node.ts";
import type { Node, Totals } from "../model/node.ts";
import type { BuilderRoom } from "./builder-room.ts";

declare const packedBrand: unique symbol;
/** Where a node is in `PackedNodes`. */
export type PackedNode = number & { readonly [packedBrand]: true };

/** A node as it stands on a page, and what it adds to its directory. */
export interface EncodedNode {
  readonly bytes: Uint8Array;
  readonly totals: Totals;
}

/**
 * Nodes as the bytes that pages have of them, in memory that V8 does not manage: a file takes some 70 bytes where an object would take
 * 250, and the collector has nothing to trace.
 */
export class PackedNodes {
  readonly #room: BuilderRoom;
  readonly #slabs: Buffer[] = [];
  /** Where the next node goes in the last slab. */
  #at = 0;

  /** Borrows `room`. */
  constructor(room: BuilderRoom) {
    this.#room = room;
  }

  /** @throws {StoreError} UNSUPPORTED if there is no room */
  add(node: Node): PackedNode {
    const bytes = packNode(node);
    const { entries, bytes: fileBytes } = totalsOf(node);
    const slab = this.#slabWith(HEAD_BYTES + bytes.length);
    const at = this.#at;
    slab.writeUInt32LE(bytes.length, at);
    slab.writeDoubleLE(entries, at + 4);
    slab.writeDoubleLE(fileBytes, at + 12);
    slab.set(bytes, at + HEAD_BYTES);
    this.#at = at + HEAD_BYTES + bytes.length;
    return ((this.#slabs.length - 1) * SLAB_BYTES + at) as PackedNode;
  }

  /** The same node, as an object. */
  get(packed: PackedNode): Node {
    return decodeNode(unpack(this.encoded(packed).bytes, "a node under way"), "a node under way");
  }

  /** @returns what is borrowed */
  encoded(packed: PackedNode): EncodedNode {
    const slab = this.#slabs[Math.floor(packed / SLAB_BYTES)]!;
    const at = packed % SLAB_BYTES;
    const start = at + HEAD_BYTES;
    return {
      bytes: slab.subarray(start, start + slab.readUInt32LE(at)),
      totals: { entries: slab.readDoubleLE(at + 4), bytes: slab.readDoubleLE(at + 12) },
    };
  }

  setLinked(packed: PackedNode, linked: boolean): void {
    setLinkedBit(this.encoded(packed).bytes, linked);
  }

  /** The last slab, once it has room for as many bytes. A node that is longer than a slab begins one of its own. */
  #slabWith(bytes: number): Buffer {
    const last = this.#slabs.at(-1);
    if (last !== undefined && this.#at + bytes <= last.length) return last;
    const size = Math.max(bytes, last === undefined ? FIRST_SLAB_BYTES : SLAB_BYTES);
    this.#room.takeBytes(size);
    const slab = Buffer.allocUnsafeSlow(size);
    this.#slabs.push(slab);
    this.#at = 0;
    return slab;
  }
}

/** Length 4, entries 8, bytes of files 8. */
const HEAD_BYTES = 20;
const SLAB_BYTES = 1 << 20;
/** Most builders see a few changes. */
const FIRST_SLAB_BYTES = 1 << 14;
