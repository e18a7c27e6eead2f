import type { BlockCache, DataSegment } from "./block-cache.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { Entry } from "./entry.ts";
import type { Bytes } from "./view-core.ts";

/** The bytes of a tree's files. */
export class LowerBytes implements Bytes {
  readonly #blocks: BlockCache;

  /** Borrows `blocks`. */
  constructor(blocks: BlockCache) {
    this.#blocks = blocks;
  }

  read(entry: Entry, position: number, target: Uint8Array): number {
    return entry instanceof LowerEntry ? this.#blocks.read(entry.content, position, target) : 0;
  }

  *dataSegments(entry: Entry): Generator<DataSegment> {
    if (entry instanceof LowerEntry) yield* this.#blocks.dataSegments(entry.content);
  }
}
