import type { NodeStore } from "../chunks/node-store.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import { reachTree } from "../trees/reach.ts";
import type { Reach } from "../trees/reach.ts";
import type { Layer, Ref } from "./records.ts";
import type { Refs } from "./refs.ts";

/**
 * Marks what names reach: layers with their parents, trees, nodes and chunks. What is marked stays so.
 *
 * While a collection runs, each change of names marks what its new records reach, before it is made.
 */
export class Marker {
  readonly #refs: Refs;
  readonly #nodes: NodeStore;
  readonly #layers = new DigestMap();
  readonly #marked = new DigestMap();
  readonly #chunks = new DigestMap();
  readonly #reach: Reach;
  #isBroken = false;

  /** Borrows both. @param reach is told of each node and chunk when it is marked */
  constructor(refs: Refs, nodes: NodeStore, reach: Partial<Pick<Reach, "node" | "chunk">> = {}) {
    this.#refs = refs;
    this.#nodes = nodes;
    this.#reach = {
      enter: (digest) => this.#marked.add(digest),
      node: (bytes) => reach.node?.(bytes),
      chunk: (digest) => {
        if (this.#chunks.add(digest)) reach.chunk?.(digest);
      },
    };
  }

  hasLayer(digest: Digest): boolean {
    return this.#isBroken || this.#layers.has(digest);
  }

  hasNode(digest: Digest): boolean {
    return this.#isBroken || this.#marked.has(digest);
  }

  hasChunk(digest: Digest): boolean {
    return this.#isBroken || this.#chunks.has(digest);
  }

  /** @param fresh layers that are not stored yet */
  markRef(ref: Ref, fresh: ReadonlyMap<Digest, Layer> = NO_LAYERS): void {
    if (ref.type === "layer") return this.#markLayer(ref.layer, fresh);
    if (ref.base !== null) this.#markLayer(ref.base, fresh);
    this.markTree(ref.lower);
    this.markTree(ref.tree);
  }

  markTree(tree: Digest): void {
    this.#wholly(() => reachTree(this.#nodes, tree, this.#reach));
  }

  #markLayer(first: Digest, fresh: ReadonlyMap<Digest, Layer>): void {
    this.#wholly(() => {
      for (let digest: Digest | null = first; digest !== null && this.#layers.add(digest);) {
        const layer: Layer = fresh.get(digest) ?? this.#refs.layer(digest);
        reachTree(this.#nodes, layer.tree, this.#reach);
        digest = layer.parent;
      }
    });
  }

  /** What is marked counts as marked with all below it: after an error that would be wrong, so that all counts as marked. */
  #wholly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }
}

const NO_LAYERS: ReadonlyMap<Digest, Layer> = new Map();
