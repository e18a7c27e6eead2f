import { digestOf } from "../format/blake3.ts";
import type { Digest } from "../model/digest.ts";
import type { Chunks } from "./chunk-store.ts";
import type { Nodes } from "./node-store.ts";

/** Nodes in memory, over those of a store: for trees that are looked at once, and that the store never has. */
export class ScratchNodes implements Nodes {
  readonly #below: Nodes;
  readonly #own = new Map<Digest, Uint8Array>();

  /** Borrows `below`. */
  constructor(below: Nodes) {
    this.#below = below;
  }

  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.#own.set(digest, bytes);
    return digest;
  }

  get(digest: Digest): Uint8Array {
    return this.#own.get(digest) ?? this.#below.get(digest);
  }
}

/** Names chunks, and keeps none. */
export const FORGOTTEN_CHUNKS: Chunks = { put: digestOf, backpressure: () => undefined };
