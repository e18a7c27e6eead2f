import type { NodeStore } from "../chunks/node-store.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import { joinPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { partsOf, treePart } from "./reach.ts";
import type { Part } from "./reach.ts";

/** What is damaged of an entry. */
export interface DamagedPart {
  /** Of the entry whose listing or content it is, or is a part of. */
  readonly path: TreePath;
  readonly part: Part;
  readonly error: StoreError;
}

/**
 * Finds what damage hits. Each node is read and proven once, whatever the number of trees it is in; what cannot be read hides nothing but
 * what is below it.
 */
export class DamageSearch {
  readonly #nodes: Pick<NodeStore, "get">;
  readonly #chunkError: (digest: Digest) => StoreError | undefined;
  /** Whether damage is at them or below. */
  readonly #state = { nodes: new DigestMap(), chunks: new DigestMap() };
  readonly #damaged = new Map<Digest, { readonly part: Part; readonly error: StoreError }>();
  #nodeBytes = 0;

  /** Borrows `nodes`. @param chunkError asked once of each chunk that a tree has */
  constructor(nodes: Pick<NodeStore, "get">, chunkError: (digest: Digest) => StoreError | undefined) {
    this.#nodes = nodes;
    this.#chunkError = chunkError;
  }

  /** Nodes that cannot be read, and chunks, as far as trees were searched. */
  get damaged(): Iterable<{ readonly part: Part; readonly error: StoreError }> {
    return this.#damaged.values();
  }

  get reached(): { readonly nodes: number; readonly nodeBytes: number; readonly chunks: number } {
    return { nodes: this.#state.nodes.size, nodeBytes: this.#nodeBytes, chunks: this.#state.chunks.size };
  }

  reachesNode(digest: Digest): boolean {
    return this.#state.nodes.has(digest);
  }

  reachesChunk(digest: Digest): boolean {
    return this.#state.chunks.has(digest);
  }

  /** Whether a tree is hit by damage. @param rest called between nodes: a turn for others, and where it can be stopped */
  async isHit(tree: Digest, rest?: () => Promise<void> | undefined): Promise<boolean> {
    const path: Step[] = [];
    const root = treePart(tree);
    const known = this.#known(root);
    if (known !== undefined) return known === HIT;
    path.push(this.#enter(root));
    let isHit = false;
    // Not by recursion: trees may be deeper than the stack.
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const part = at.below.pop();
      if (part === undefined) {
        path.pop();
        this.#state.nodes.set(at.part.digest, at.isHit ? HIT : SOUND);
        isHit = at.isHit;
        const above = path.at(-1);
        if (above !== undefined && isHit) above.isHit = true;
        continue;
      }
      const state = part.kind === "chunk" ? this.#chunk(part) : this.#known(part);
      if (state === HIT) at.isHit = true;
      else if (state === undefined) path.push(this.#enter(part));
      const resting = rest?.();
      if (resting !== undefined) await resting;
    }
    return isHit;
  }

  /** What of a tree is damaged, each path once. Only for a tree that was found to be hit. */
  *paths(tree: Digest): Generator<DamagedPart, undefined> {
    const pending: { readonly part: Part; readonly path: TreePath }[] = [{ part: treePart(tree), path: ROOT }];
    const told = new Set<TreePath>();
    for (let met = pending.pop(); met !== undefined; met = pending.pop()) {
      const { part, path } = met;
      if (this.#known(part) !== HIT) continue;
      const damaged = this.#damaged.get(part.digest);
      if (damaged !== undefined) {
        if (!told.has(path)) yield { path, part, error: damaged.error };
        told.add(path);
        continue;
      }
      const below = [...partsOf(part, this.#nodes.get(part.digest))];
      for (const part of below.reverse())
        pending.push({ part, path: part.name === undefined ? path : joinPath(path, part.name) });
    }
  }

  #known({ kind, digest }: Part): number | undefined {
    return this.#state[kind === "chunk" ? "chunks" : "nodes"].get(digest);
  }

  #chunk(part: Part): number {
    const known = this.#known(part);
    if (known !== undefined) return known;
    const error = this.#chunkError(part.digest);
    if (error !== undefined) this.#damaged.set(part.digest, { part, error });
    const state = error === undefined ? SOUND : HIT;
    this.#state.chunks.set(part.digest, state);
    return state;
  }

  #enter(part: Part): Step {
    try {
      const bytes = this.#nodes.get(part.digest);
      this.#nodeBytes += bytes.length;
      return { part, below: [...partsOf(part, bytes)], isHit: false };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#damaged.set(part.digest, { part, error: error as StoreError });
      return { part, below: [], isHit: true };
    }
  }
}

interface Step {
  readonly part: Part;
  readonly below: Part[];
  isHit: boolean;
}

const SOUND = 0;
const HIT = 1;
