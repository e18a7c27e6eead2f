import { createHash } from "node:crypto";
import { digestOf } from "../../src/format/blake3.ts";
import { CODEC } from "../../src/format/chunk-value.ts";
import type { Frame, FrameReader } from "../../src/format/chunk-value.ts";
import type { ContentReader, ContentWriter } from "../../src/model/change.ts";
import type { Digest } from "../../src/model/digest.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import type { Content } from "../../src/model/node.ts";

type Piece = Uint8Array | number;

/** Content in memory: what sources write and sinks read where a test needs no store. Equal bytes have equal roots. */
export class MemoryContent implements ContentReader, FrameReader {
  readonly #contents = new Map<Digest, readonly Piece[]>();

  writer(): ContentWriter {
    let pieces: Piece[] = [];
    return {
      write: (bytes) => {
        if (bytes.length > 0) pieces.push(Uint8Array.from(bytes));
        return undefined;
      },
      hole: (length) => {
        if (length > 0) pieces.push(length);
      },
      end: () => {
        const content = this.#keep(pieces);
        pieces = [];
        return content;
      },
    };
  }

  /** A content of these bytes, and holes of these lengths. */
  put(...pieces: (Uint8Array | string | number)[]): Content {
    return this.#keep(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece)));
  }

  pieces(content: Content): readonly Piece[] {
    if (content.root === null) return content.size === 0 ? [] : [content.size];
    const pieces = this.#contents.get(content.root);
    if (pieces === undefined) throw new Error(`no content ${content.root}`);
    return pieces;
  }

  *frames(content: Content): Generator<Frame | number> {
    for (const piece of this.pieces(content)) {
      if (typeof piece === "number") yield piece;
      else
        for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
          const stored = piece.subarray(at, at + BLOCK_BYTES);
          yield { digest: digestOf(stored), codec: CODEC.raw, plainBytes: stored.length, stored };
        }
    }
  }

  /** All bytes of a content that fits into memory. */
  bytes(content: Content): Buffer {
    return Buffer.concat(
      Array.from(this.pieces(content), (piece) => (typeof piece === "number" ? Buffer.alloc(piece) : piece)),
    );
  }

  #keep(pieces: readonly Piece[]): Content {
    let size = 0;
    const hash = createHash("sha256");
    let zeros = 0;
    let anything = false;
    for (const piece of pieces) {
      const length = typeof piece === "number" ? piece : piece.length;
      size += length;
      if (typeof piece === "number" || piece.every((byte) => byte === 0)) {
        zeros += length;
        continue;
      }
      // Byte by byte as run lengths of zeros: how the bytes were cut into pieces must not matter.
      for (const byte of piece) {
        if (byte === 0) zeros++;
        else {
          hash.update(`${zeros},${byte};`);
          zeros = 0;
          anything = true;
        }
      }
    }
    const sparse = pieces.some((piece) => typeof piece === "number");
    if (!anything) return { size, sparse, root: null };
    const root = hash.update(`${zeros}`).digest("hex") as Digest;
    this.#contents.set(root, pieces);
    return { size, sparse, root };
  }
}
