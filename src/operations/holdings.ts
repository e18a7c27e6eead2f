import type { Digest } from "../model/digest.ts";
import { isStoreError } from "../errors.ts";
import type { Store } from "../store.ts";
import { TreeCheck } from "../transfer/tree-check.ts";
import { isDamage } from "./references.ts";

/**
 * What a store holds for certain, with all that it names: what its names reach. That some node is there says little: a collection that
 * was killed may have left it, and not what is below it.
 */
export class Holdings {
  readonly #store: Store;
  readonly #layers = new Set<Digest>();
  readonly #trees = new Set<Digest>();

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Borrows the store. Costs a record for each name and each layer. */
  static async of(store: Store): Promise<Holdings> {
    const holdings = new Holdings(store);
    for (const [, ref] of await store.refs.list(() => undefined)) {
      if (ref.type === "layer") holdings.#addLayers(ref.layer);
      else {
        holdings.#trees.add(ref.lower).add(ref.tree);
        if (ref.base !== null) holdings.#addLayers(ref.base);
      }
    }
    return holdings;
  }

  #addLayers(first: Digest): void {
    try {
      for (let digest: Digest | null = first; digest !== null && !this.#layers.has(digest);) {
        const { tree, parent }: { tree: Digest; parent: Digest | null } = this.#store.refs.layer(digest);
        this.#layers.add(digest);
        this.#trees.add(tree);
        digest = parent;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
  }

  hasLayer(layer: Digest): boolean {
    return this.#layers.has(layer);
  }

  /** True for one that a name reaches, which is claimed. */
  claimTree(tree: Digest): boolean {
    if (!this.#trees.has(tree) || !this.#store.nodes.has(tree)) return false;
    this.#store.trees.tree(tree);
    return true;
  }

  /** As `claimTree`; a tree that no name reaches is looked through. */
  async findTree(tree: Digest, rest: () => Promise<void> | undefined): Promise<boolean> {
    if (this.claimTree(tree)) return true;
    if (!this.#store.nodes.has(tree)) return false;
    try {
      await new TreeCheck(this.#store).require(tree, [], rest);
    } catch (error) {
      if (!isStoreError(error, "NODE_MISSING") && !isStoreError(error, "CHUNK_MISSING")) throw error;
      return false;
    }
    this.#store.trees.tree(tree);
    this.#trees.add(tree);
    return true;
  }
}
