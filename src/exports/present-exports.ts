import type { Digest } from "../model/digest.ts";
import { keyOfParts, liesOver, partsOfKey } from "./export-key.ts";
import type { ExportKey, KeyParts } from "./export-key.ts";
import type { ExportStack } from "./export-stack.ts";

/** The exports that are on disk, and how they lie one over the other. */
export class PresentExports {
  readonly #parts: readonly KeyParts[];

  constructor(keys: Iterable<ExportKey>) {
    this.#parts = Array.from(keys, partsOfKey);
  }

  /** The stack of the fewest exports that shows a tree, all of them there, with the ids of that map. */
  find(tree: Digest, map: string | undefined): ExportStack | undefined {
    return this.#find(tree, map, []);
  }

  #find(tree: Digest, map: string | undefined, above: readonly Digest[]): ExportStack | undefined {
    let best: ExportStack | undefined;
    for (const parts of this.#parts) {
      if (parts.tree !== tree || parts.map !== map) continue;
      if (parts.over === undefined) return [keyOfParts(parts)];
      for (const below of this.#treesUnder(parts)) {
        const stack = above.includes(below) ? undefined : this.#find(below, map, [...above, tree]);
        if (stack !== undefined && (best === undefined || stack.length + 1 < best.length))
          best = [keyOfParts(parts), ...stack];
      }
    }
    return best;
  }

  #treesUnder({ over, map }: KeyParts): Set<Digest> {
    const under = this.#parts.filter((parts) => parts.map === map && liesOver(over, parts.tree));
    return new Set(under.map(({ tree }) => tree));
  }

  /** The stacks of all trees that are there. @param map undefined for those of all maps */
  *stacks(map?: { readonly of: string | undefined }): Generator<ExportStack> {
    const seen = new Set<string>();
    for (const parts of this.#parts) {
      const id = keyOfParts({ ...parts, over: undefined });
      if ((map !== undefined && map.of !== parts.map) || seen.has(id)) continue;
      seen.add(id);
      const stack = this.find(parts.tree, parts.map);
      if (stack !== undefined) yield stack;
    }
  }
}
