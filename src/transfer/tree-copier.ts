import type { Digest } from "../model/digest.ts";
import { Beside, EdgeWalk } from "../trees/edges.ts";
import type { ChunkEdge, NodeEdge } from "../trees/edges.ts";
import { FLUSH_NODE_BYTES } from "./objects.ts";
import type { Objects } from "./objects.ts";

/** What was not there before. */
export interface CopiedObjects {
  readonly chunks: number;
  readonly nodes: number;
}

/** Copies trees from one store to another: what is not there, proven, compressed as it is, and after all that it names. */
export class TreeCopier {
  readonly #from: Objects;
  readonly #to: Objects;
  readonly #flush: () => Promise<void>;
  readonly #walk: EdgeWalk;
  #copied: CopiedObjects = { chunks: 0, nodes: 0 };
  #nodeBytes = 0;

  /** Borrows both stores. @param flush makes what was put durable: of nodes no more is kept in memory */
  constructor(from: Objects, to: Objects, flush: () => Promise<void>) {
    this.#from = from;
    this.#to = to;
    this.#flush = flush;
    this.#walk = new EdgeWalk(from.nodes, {
      chunk: (edge) => this.#chunk(edge),
      node: (edge, bytes) => this.#node(edge, bytes),
    });
  }

  get copied(): CopiedObjects {
    return this.#copied;
  }

  /**
   * @param like trees that the other store has wholly, and has claimed: what they have at the same place is passed by
   * @param rest called between two objects: a turn for others, and where it can be stopped
   * @throws {StoreError} what the store that is copied from does for damage
   */
  async copy(tree: Digest, like: readonly Digest[], rest: () => Promise<void> | undefined): Promise<void> {
    await this.#walk.tree(tree, { beside: Beside.trees(this.#to.nodes, like), rest });
  }

  #chunk({ digest }: ChunkEdge): Promise<void> | undefined {
    const { chunks } = this.#to;
    if (chunks.claim(digest)) return undefined;
    chunks.copyFrom(this.#from.chunks, digest);
    this.#copied = { ...this.#copied, chunks: this.#copied.chunks + 1 };
    return chunks.backpressure();
  }

  #node({ digest }: NodeEdge, bytes: Uint8Array): Promise<void> | undefined {
    const { nodes } = this.#to;
    if (!nodes.has(digest)) this.#copied = { ...this.#copied, nodes: this.#copied.nodes + 1 };
    nodes.put(bytes);
    this.#nodeBytes += bytes.length;
    if (this.#nodeBytes < FLUSH_NODE_BYTES) return undefined;
    this.#nodeBytes = 0;
    return this.#flush();
  }
}
