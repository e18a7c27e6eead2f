import type { ChunkStore } from "../chunks/chunk-store.ts";
import { pageLevels } from "../chunks/content-writer.ts";
import type { NodeStore } from "../chunks/node-store.ts";
import { StoreError } from "../errors.ts";
import { decodeContentPage } from "../format/pages.ts";
import type { ContentPage } from "../format/pages.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES, PAGE_REFS } from "../model/node.ts";
import type { Content } from "../model/node.ts";

/** A run of bytes that are there, from `start` to before `end`; between two of them is a hole. */
export interface DataSegment {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads anywhere in files. Chunks are verified when they come from the store, and kept by digest, up to a number of bytes.
 *
 * All calls throw CHUNK_MISSING, CHUNK_CORRUPT, NODE_MISSING, NODE_CORRUPT and FORMAT_INVALID.
 */
export class BlockCache {
  readonly #chunks: ChunkStore;
  readonly #nodes: NodeStore;
  readonly #room: number;
  /** The one that was used last at the end. */
  readonly #kept = new Map<Digest, Uint8Array>();
  #keptBytes = 0;
  readonly #pages = new Map<Digest, ContentPage>();

  /** Borrows both stores. @param room bytes of chunks that are kept */
  constructor(chunks: ChunkStore, nodes: NodeStore, room: number = CACHE_BYTES) {
    this.#chunks = chunks;
    this.#nodes = nodes;
    this.#room = room;
  }

  /** Fills `target` from `position` on. @returns how many bytes there were: less than asked for at the end alone */
  read(content: Content, position: number, target: Uint8Array): number {
    const end = Math.min(position + target.length, content.size);
    for (let at = position; at < end;) {
      const index = Math.floor(at / BLOCK_BYTES);
      const from = at - index * BLOCK_BYTES;
      const blockLength = Math.min(BLOCK_BYTES, content.size - index * BLOCK_BYTES);
      const length = Math.min(blockLength - from, end - at);
      const { ref } = this.#span(content, index);
      if (ref === null) target.fill(0, at - position, at - position + length);
      else target.set(this.#chunk(ref, blockLength).subarray(from, from + length), at - position);
      at += length;
    }
    return Math.max(end - position, 0);
  }

  /** What is no hole, in order. Of a file that never had a hole all of it, zeros too. */
  *dataSegments(content: Content): Generator<DataSegment> {
    const { size, sparse } = content;
    if (!sparse && size > 0) yield { start: 0, end: size };
    if (!sparse) return;
    let start: number | undefined;
    const blocks = Math.ceil(size / BLOCK_BYTES);
    for (let index = 0; index < blocks;) {
      const { ref, end } = this.#span(content, index);
      if (ref !== null) start ??= index * BLOCK_BYTES;
      else if (start !== undefined) {
        yield { start, end: index * BLOCK_BYTES };
        start = undefined;
      }
      index = end;
    }
    if (start !== undefined) yield { start, end: size };
  }

  /** The span that pages tell of block `index`: its own, or the largest hole that it is in. */
  #span({ root, size }: Content, index: number): Span {
    let count = Math.ceil(size / BLOCK_BYTES);
    let ref = root;
    let first = 0;
    for (let level = pageLevels(count); level > 0 && ref !== null; level--) {
      const each = PAGE_REFS ** (level - 1);
      const page = this.#page(ref, level, Math.ceil(count / each));
      const i = Math.floor((index - first) / each);
      ref = page.refs[i] ?? null;
      first += i * each;
      count = Math.min(each, count - i * each);
    }
    return { ref, end: first + count };
  }

  #page(digest: Digest, level: number, refs: number): ContentPage {
    let page = this.#pages.get(digest);
    if (page === undefined) {
      page = decodeContentPage(this.#nodes.get(digest), digest);
      if (this.#pages.size === MAX_PAGES) this.#pages.clear();
      this.#pages.set(digest, page);
    }
    if (page.level === level && page.refs.length === refs) return page;
    const reason = "does not fit the size of its file";
    throw new StoreError("FORMAT_INVALID", { record: `content page ${digest}`, reason });
  }

  #chunk(digest: Digest, length: number): Uint8Array {
    const kept = this.#kept.get(digest);
    const bytes = kept ?? (length === BLOCK_BYTES ? this.#readBlock(digest) : ownBytes(this.#chunks.get(digest)));
    if (bytes.length !== length) {
      const reason = `has ${bytes.length} bytes where ${length} should be`;
      throw new StoreError("FORMAT_INVALID", { record: `chunk ${digest}`, reason });
    }
    if (kept === undefined) {
      this.#keptBytes += roomOf(bytes);
      this.#evict(this.#room);
    } else this.#kept.delete(digest);
    this.#kept.set(digest, bytes);
    return bytes;
  }

  /** Where a chunk was that has to go anyway: new memory for each would keep the collector as busy as the reader. */
  #readBlock(digest: Digest): Uint8Array {
    const room = this.#evict(this.#room - BLOCK_BYTES - KEPT_OVERHEAD_BYTES) ?? new Uint8Array(BLOCK_BYTES);
    const bytes = this.#chunks.get(digest, room);
    if (bytes.buffer === room.buffer || bytes.length !== BLOCK_BYTES) return bytes;
    // What is not in the room may be the store's, which must never become room.
    room.set(bytes);
    return room;
  }

  /** Drops those that were used last the longest ago. @returns one of them that was a whole block */
  #evict(room: number): Uint8Array | undefined {
    let block: Uint8Array | undefined;
    for (const [oldest, bytes] of this.#kept) {
      if (this.#keptBytes <= room) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= roomOf(bytes);
      if (bytes.length === BLOCK_BYTES) block = bytes;
    }
    return block;
  }
}

/** The chunk of a block, or null for a hole; and the block that comes after. */
interface Span {
  readonly ref: Digest | null;
  readonly end: number;
}

const CACHE_BYTES = 64 << 20;
/** At about 20 KiB each, which lead to 4 GiB of files. */
const MAX_PAGES = 128;

function roomOf(bytes: Uint8Array): number {
  return bytes.buffer.byteLength + KEPT_OVERHEAD_BYTES;
}

const KEPT_OVERHEAD_BYTES = 256;

/** A small chunk must not keep the large value that it lies in. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.length * 1.1 + 1024 ? Uint8Array.from(bytes) : bytes;
}
