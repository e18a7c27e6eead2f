import { StoreError } from "../errors.ts";
import { memoryLimits } from "../sys/memory.ts";
import type { MemoryLimits } from "../sys/memory.ts";

/**
 * Bounds what a tree takes in memory while it is built, whatever a source says: an archive of a few megabytes can have millions of
 * entries, or gigabytes of extended attributes. Above a bound V8 would end the process, or the kernel would.
 */
export class BuilderRoom {
  #heapLeft: number;
  #bytesLeft: number;

  constructor({ heapBytes, totalBytes }: MemoryLimits = memoryLimits()) {
    this.#heapLeft = heapBytes * HEAP_SHARE;
    this.#bytesLeft = Math.min(totalBytes * TOTAL_SHARE, MAX_BYTES);
  }

  /** @throws {StoreError} UNSUPPORTED once all of it is taken */
  takeHeap(bytes: number): void {
    this.#heapLeft -= bytes;
    if (this.#heapLeft < 0) throw tooMuch("so many entries");
  }

  /** Room beside V8's heap. @throws {StoreError} UNSUPPORTED once all of it is taken */
  takeBytes(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft < 0) throw tooMuch("so much metadata");
  }
}

function tooMuch(what: string): StoreError {
  return new StoreError("UNSUPPORTED", {
    what: `a tree with ${what} does not fit into the memory of this machine`,
    hint: "half of what V8 may take (NODE_OPTIONS=--max-old-space-size=MIB) is for names, a quarter of all, up to 1 GiB, for the rest",
  });
}

const HEAP_SHARE = 0.5;
const TOTAL_SHARE = 0.25;
/** A system of ten million files has 0.7 GB. */
const MAX_BYTES = 2 ** 30;
