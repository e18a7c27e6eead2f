import { encodeContentPage } from "../format/pages.ts";
import type { ContentWriter } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES, PAGE_REFS } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import type { Chunks } from "./chunk-store.ts";
import type { Nodes } from "./node-store.ts";

/**
 * Cuts files at the block grid, stores what is not zero and lists it in pages. Holds one block and one page per level,
 * whatever the file's size; a hole of any length costs no more than its pages' borders.
 */
export class BlockWriter implements ContentWriter {
  readonly #chunks: Chunks;
  readonly #pages: PageWriter;
  readonly #block = Buffer.allocUnsafe(BLOCK_BYTES);
  /** Bytes of `#block` that are filled. */
  #filled = 0;
  #blocks = 0;
  #sparse = false;

  /** Borrows both. */
  constructor(chunks: Chunks, nodes: Nodes) {
    this.#chunks = chunks;
    this.#pages = new PageWriter(nodes);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    for (let at = 0; at < bytes.length;) {
      if (this.#filled === 0 && bytes.length - at >= BLOCK_BYTES) {
        this.#put(bytes.subarray(at, at + BLOCK_BYTES));
        at += BLOCK_BYTES;
        continue;
      }
      const part = bytes.subarray(at, at + BLOCK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      at += part.length;
      this.#fill(part.length);
    }
    return this.#chunks.backpressure();
  }

  hole(length: number): void {
    if (length === 0) return;
    this.#sparse = true;
    let left = length;
    if (this.#filled > 0) {
      const part = Math.min(left, BLOCK_BYTES - this.#filled);
      this.#block.fill(0, this.#filled, this.#filled + part);
      left -= part;
      this.#fill(part);
    }
    const whole = Math.floor(left / BLOCK_BYTES);
    this.#pages.appendZeros(whole);
    this.#blocks += whole;
    const rest = left % BLOCK_BYTES;
    this.#block.fill(0, this.#filled, this.#filled + rest);
    this.#filled += rest;
  }

  end(): Content {
    const size = this.#blocks * BLOCK_BYTES + this.#filled;
    if (this.#filled > 0) this.#put(this.#block.subarray(0, this.#filled));
    const content = { size, sparse: this.#sparse, root: this.#pages.finish(this.#blocks) };
    this.#filled = 0;
    this.#blocks = 0;
    this.#sparse = false;
    return content;
  }

  #fill(length: number): void {
    this.#filled += length;
    if (this.#filled < BLOCK_BYTES) return;
    this.#put(this.#block);
    this.#filled = 0;
  }

  #put(block: Uint8Array): void {
    this.#pages.append(isZero(block) ? null : this.#chunks.put(block));
    this.#blocks++;
  }
}

/** Levels of pages above `blocks` blocks: 0 if the content's root is the one block itself. */
export function pageLevels(blocks: number): number {
  let levels = 0;
  for (let covered = 1; covered < blocks; covered *= PAGE_REFS) levels++;
  return levels;
}

/** Collects refs to full pages, and those to pages of the next level. */
export class PageWriter {
  readonly #nodes: Nodes;
  /** Per level, the refs of the page that is being filled. */
  #open: (Digest | null)[][] = [];

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  append(ref: Digest | null, level = 0): void {
    const refs = this.#level(level);
    refs.push(ref);
    if (refs.length === PAGE_REFS) this.#close(level);
  }

  appendZeros(count: number, level = 0): void {
    const refs = this.#level(level);
    let left = count;
    while (left > 0 && refs.length > 0) {
      this.append(null, level);
      left--;
    }
    const whole = Math.floor(left / PAGE_REFS);
    if (whole > 0) this.appendZeros(whole, level + 1);
    for (left %= PAGE_REFS; left > 0; left--) this.append(null, level);
  }

  /** @returns the root of all that was appended, which were `count` refs */
  finish(count: number): Digest | null {
    const top = pageLevels(count);
    for (let level = 0; level < top; level++) if (this.#level(level).length > 0) this.#close(level);
    const [root = null] = this.#level(top);
    this.#open = [];
    return root;
  }

  #level(level: number): (Digest | null)[] {
    return (this.#open[level] ??= []);
  }

  #close(level: number): void {
    const refs = this.#level(level);
    const zero = refs.every((ref) => ref === null);
    const page = zero ? null : this.#nodes.put(encodeContentPage({ level: level + 1, refs }));
    refs.length = 0;
    this.append(page, level + 1);
  }
}

export function isZero(block: Uint8Array): boolean {
  return (
    block[0] === 0 && block[block.length - 1] === 0 && ZEROS.compare(block, 0, block.length, 0, block.length) === 0
  );
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
