import { StoreError } from "../errors.ts";
import { encodeNode } from "../format/node.ts";
import { pack } from "../format/packing.ts";
import { displayName } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { Digest } from "../model/digest.ts";
import { Beside, EdgeWalk } from "../trees/edges.ts";
import type { ChunkEdge } from "../trees/edges.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import type { Objects } from "./objects.ts";

/**
 * Proves that trees are there with all below them, and that all of it fits together: digests that fit prove what was written, not that
 * it is what a tree may be. What it has seen it claims. Chunks are not read.
 */
export class TreeCheck {
  readonly #store: Objects & { readonly trees: TreeStore };
  readonly #walk: EdgeWalk;

  /** Borrows the store. */
  constructor(store: Objects & { readonly trees: TreeStore }) {
    this.#store = store;
    this.#walk = new EdgeWalk(store.nodes, {
      chunk: (edge) => {
        this.#requireChunk(edge);
        return undefined;
      },
      node: ({ digest }) => {
        store.nodes.claims.claim("nodes", digest);
        return undefined;
      },
    });
  }

  /**
   * @param like trees that are known to be whole; the nearer they are, the less there is to be done
   * @param rest called between two steps
   * @throws {StoreError} NODE_MISSING, CHUNK_MISSING, FORMAT_INVALID, FORMAT_NEWER, NODE_CORRUPT
   */
  async require(digest: Digest, like: readonly Digest[], rest: () => Promise<void> | undefined): Promise<void> {
    const { nodes, trees } = this.#store;
    await this.#walk.tree(digest, { beside: Beside.trees(nodes, like), rest });
    const tree = trees.tree(digest);
    for (const group of trees.linkGroups(tree.links)) {
      this.#requireLinked(tree, group);
      const resting = rest();
      if (resting !== undefined) await resting;
    }
  }

  #requireChunk({ digest, bytes }: ChunkEdge): void {
    const { chunks } = this.#store;
    if (!chunks.claim(digest)) throw new StoreError("CHUNK_MISSING", { digest });
    const found = chunks.plainBytes(digest);
    if (found === bytes) return;
    const reason = `has ${found ?? 0} bytes where ${bytes} should be`;
    throw new StoreError("FORMAT_INVALID", { record: `chunk ${digest}`, reason });
  }

  #requireLinked(tree: Tree, group: readonly TreePath[]): void {
    let first: Buffer | undefined;
    for (const path of group) {
      const node = this.#store.trees.lookup(tree, path);
      const encoded = node?.linked === true ? pack(encodeNode(node)) : undefined;
      first ??= encoded;
      if (encoded !== undefined && first?.equals(encoded) === true) continue;
      throw new StoreError("FORMAT_INVALID", {
        record: `tree ${tree.digest}`,
        reason: `"${displayName(path)}" is not what the link table says`,
      });
    }
  }
}
