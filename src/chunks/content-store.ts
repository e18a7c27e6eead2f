import { isStoreError, StoreError } from "../errors.ts";
import { decodeContentPage } from "../format/pages.ts";
import type { Frame, FrameReader } from "../format/chunk-value.ts";
import type { ContentReader, ContentWriter } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES, PAGE_REFS } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import type { ChunkStore } from "./chunk-store.ts";
import { BlockWriter, isZero, pageLevels, PageWriter } from "./content-writer.ts";
import type { NodeStore } from "./node-store.ts";

/** Files' bytes, as chunks and the pages that list them. */
export class ContentStore implements ContentReader, FrameReader {
  readonly #chunks: ChunkStore;
  readonly #nodes: NodeStore;

  /** Borrows both. */
  constructor(chunks: ChunkStore, nodes: NodeStore) {
    this.#chunks = chunks;
    this.#nodes = nodes;
  }

  writer(): ContentWriter {
    return new BlockWriter(this.#chunks, this.#nodes);
  }

  /** Keeps a content from being collected while the operation runs. @returns false if the store does not have all of it */
  claim({ size, root }: Content): boolean {
    try {
      return root === null || this.#claim(root, pageLevels(Math.ceil(size / BLOCK_BYTES)));
    } catch (error) {
      if (isStoreError(error, "NODE_CORRUPT") || isStoreError(error, "FORMAT_INVALID")) return false;
      throw error;
    }
  }

  #claim(ref: Digest, level: number): boolean {
    if (level === 0) return this.#chunks.claim(ref);
    if (!this.#nodes.claim(ref)) return false;
    const { refs } = decodeContentPage(this.#nodes.get(ref), ref);
    return refs.every((below) => below === null || this.#claim(below, level - 1));
  }

  pieces(content: Content): Generator<Uint8Array | number> {
    return this.range(content, 0, content.size);
  }

  /**
   * The bytes from `start` to before `end`, in order: bytes (borrowed until the next step), or the length of a run of
   * zeros. What lies beyond the content's size is not there.
   *
   * @throws {StoreError} CHUNK_MISSING, CHUNK_CORRUPT, NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID
   */
  *range(content: Content, start: number, end: number): Generator<Uint8Array | number> {
    const stop = Math.min(end, content.size);
    if (start >= stop) return;
    const blocks = Math.ceil(content.size / BLOCK_BYTES);
    const level = pageLevels(blocks);
    const root: Span = { ref: content.root, first: 0, blocks };
    const room = blocks > 1 ? new Uint8Array(BLOCK_BYTES) : undefined;
    let zeros = 0;
    for (const { ref, first, blocks: count } of this.#spans(root, level, start / BLOCK_BYTES, stop / BLOCK_BYTES)) {
      const at = first * BLOCK_BYTES;
      const length = Math.min(count * BLOCK_BYTES, content.size - at);
      const [from, to] = [Math.max(start - at, 0), Math.min(stop - at, length)];
      if (ref === null) {
        zeros += to - from;
        continue;
      }
      if (zeros > 0) yield zeros;
      zeros = 0;
      const bytes = this.#chunks.get(ref, room?.subarray(0, length));
      if (bytes.length !== length) throw misfit(ref, bytes.length, length);
      yield bytes.subarray(from, to);
    }
    if (zeros > 0) yield zeros;
  }

  *frames({ size, root: ref }: Content): Generator<Frame | number> {
    const blocks = Math.ceil(size / BLOCK_BYTES);
    if (blocks === 0) return;
    let zeros = 0;
    for (const span of this.#spans({ ref, first: 0, blocks }, pageLevels(blocks), 0, blocks)) {
      const at = span.first * BLOCK_BYTES;
      const length = Math.min(span.blocks * BLOCK_BYTES, size - at);
      if (span.ref === null) {
        zeros += length;
        continue;
      }
      if (zeros > 0) yield zeros;
      zeros = 0;
      const frame = this.#chunks.unprovenFrame(span.ref);
      if (frame.plainBytes !== length) throw misfit(span.ref, frame.plainBytes, length);
      yield frame;
    }
    if (zeros > 0) yield zeros;
  }

  /**
   * A content with other blocks, and perhaps another size: what is not changed is neither read nor written.
   *
   * @param kept how many of the first blocks of `content` stay where `changed` does not say otherwise; then zeros follow
   * @param changed numbers of blocks in rising order, and what they hold: bytes, borrowed until the next step, as many as a
   *   block has at its place in a file of `size` bytes; null for zeros
   */
  async splice(content: Content, kept: number, changed: Iterable<ChangedBlock>, after: Extent): Promise<Content> {
    const { size, sparse } = after;
    const blocks = Math.ceil(size / BLOCK_BYTES);
    const pages = new PageWriter(this.#nodes);
    const from = Math.ceil(content.size / BLOCK_BYTES);
    const root: Span = { ref: content.root, first: 0, blocks: from };
    let next = 0;
    const keepTo = (end: number): void => {
      const stop = Math.min(end, kept, from);
      if (next < stop) {
        for (const span of this.#spans(root, pageLevels(from), next, stop)) {
          const [first, last] = [Math.max(span.first, next), Math.min(span.first + span.blocks, stop)];
          if (span.ref === null) pages.appendZeros(last - first);
          else pages.append(span.ref);
        }
        next = stop;
      }
      if (next < end) pages.appendZeros(end - next);
      next = Math.max(next, end);
    };
    for (const [block, bytes] of changed) {
      keepTo(block);
      pages.append(bytes === null || isZero(bytes) ? null : this.#chunks.put(bytes));
      next = block + 1;
      await this.#chunks.backpressure();
    }
    keepTo(blocks);
    return { size, sparse, root: pages.finish(blocks) };
  }

  /** Chunks, and runs of zeros, that cover the blocks from `from` (rounded down) to before `to`, in order. */
  *#spans(span: Span, level: number, from: number, to: number): Generator<Span> {
    if (span.ref === null || level === 0) {
      yield span;
      return;
    }
    const { refs, level: found } = decodeContentPage(this.#nodes.get(span.ref), span.ref);
    const each = PAGE_REFS ** (level - 1);
    if (found !== level || refs.length !== Math.ceil(span.blocks / each))
      throw new StoreError("FORMAT_INVALID", {
        record: `content page ${span.ref}`,
        reason: "does not fit the size of its file",
      });
    const firstRef = Math.max(Math.floor((from - span.first) / each), 0);
    for (let i = firstRef; i < refs.length && span.first + i * each < to; i++) {
      const below: Span = {
        ref: refs[i] ?? null,
        first: span.first + i * each,
        blocks: Math.min(each, span.blocks - i * each),
      };
      yield* this.#spans(below, level - 1, from, to);
    }
  }
}

function misfit(digest: Digest, found: number, wanted: number): StoreError {
  const reason = `has ${found} bytes where ${wanted} should be`;
  return new StoreError("FORMAT_INVALID", { record: `chunk ${digest}`, reason });
}

export type ChangedBlock = readonly [block: number, bytes: Uint8Array | null];
type Extent = Pick<Content, "size" | "sparse">;

/** A ref and the blocks it covers: `blocks` many from number `first` on. null: all zero. */
interface Span {
  readonly ref: Digest | null;
  readonly first: number;
  readonly blocks: number;
}
