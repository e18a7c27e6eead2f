import type { Tally } from "../chunks/node-store.ts";
import type { Digest } from "../model/digest.ts";
import type { Reach } from "../trees/reach.ts";
import type { Context } from "./context.ts";

/** Counts what is reached: accounted bytes. */
export class ReachTally implements Pick<Reach, "node" | "chunk"> {
  readonly #context: Context;
  chunks: Tally = { count: 0, bytes: 0 };
  nodes: Tally = { count: 0, bytes: 0 };

  constructor(context: Context) {
    this.#context = context;
  }

  node(bytes: number): void {
    this.nodes.count++;
    this.nodes.bytes += bytes;
  }

  chunk(digest: Digest): void {
    this.chunks.count++;
    this.chunks.bytes += this.#context.store.chunks.storedBytes(digest);
  }

  get bytes(): number {
    return this.chunks.bytes + this.nodes.bytes;
  }

  reset(): void {
    this.chunks = { count: 0, bytes: 0 };
    this.nodes = { count: 0, bytes: 0 };
  }
}
