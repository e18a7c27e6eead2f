import type { NodeStore } from "../chunks/node-store.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import { joinPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { partsOf, treePart } from "./reach.ts";
import type { Part } from "./reach.ts";

/**
 * Finds where trees have one node or chunk. What was searched in vain is not searched again, whatever tree it is met in.
 */
export class TreeSearch {
  readonly #nodes: Pick<NodeStore, "get">;
  readonly #target: Digest;
  readonly #seen = new DigestMap();
  /** Of parts that lead to the target, the path from there. */
  readonly #leading = new Map<Digest, TreePath>();

  /** Borrows `nodes`. */
  constructor(nodes: Pick<NodeStore, "get">, target: Digest) {
    this.#nodes = nodes;
    this.#target = target;
  }

  /**
   * @returns the path of the entry whose listing or content the target is, or is a part of; undefined if there is none
   * @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID, FORMAT_NEWER
   */
  find(tree: Digest): TreePath | undefined {
    const pending: Met[] = [{ part: treePart(tree), path: ROOT, from: undefined }];
    for (let met = pending.pop(); met !== undefined; met = pending.pop()) {
      const { part, path } = met;
      const rest = part.digest === this.#target ? ROOT : this.#leading.get(part.digest);
      if (rest !== undefined) return this.#found(met, rest === ROOT ? path : joinPath(path, rest));
      if (part.kind === "chunk" || !this.#seen.add(part.digest)) continue;
      for (const below of partsOf(part, this.#nodes.get(part.digest)))
        pending.push({ part: below, path: below.name === undefined ? path : joinPath(path, below.name), from: met });
    }
    return undefined;
  }

  #found(last: Met, whole: TreePath): TreePath {
    for (let met: Met | undefined = last; met !== undefined; met = met.from) {
      const { length } = met.path;
      this.#leading.set(met.part.digest, length === 0 ? whole : whole.slice(length + 1));
    }
    return whole;
  }
}

interface Met {
  readonly part: Part;
  readonly path: TreePath;
  readonly from: Met | undefined;
}
