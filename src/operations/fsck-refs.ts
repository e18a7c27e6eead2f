import type { Layer, Ref } from "../containers/records.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { TreePath } from "../model/name.ts";
import type { DamageSearch } from "../trees/damage-search.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";

/** What of a name's states cannot be read. */
export interface DamagedPath {
  /** null: all of it. */
  readonly path: string | null;
  readonly pathBase64?: string;
  /** "tree", its present state; "lower", what it stands on; "layer …", a layer below it. */
  readonly of: string;
  readonly reason: string;
}

export interface DamagedRef {
  readonly name: string;
  readonly type: "layer" | "container" | "snapshot" | "past" | "export" | "upper" | "tree";
  /** Of what is past: when, and by which command it was changed. */
  readonly note?: string;
  readonly paths: readonly DamagedPath[];
  /** How many more there are. */
  readonly morePaths: number;
}

/** Tells which names, and which paths of them, damage hits. */
export class RefCheck {
  readonly #context: Context;
  readonly #search: DamageSearch;
  readonly #rest: () => Promise<void> | undefined;
  /** Layers that are sound, with all below them. */
  readonly #sound = new Set<Digest>();
  /** Layers that cannot be read. */
  readonly badLayers = new Map<Digest, StoreError>();

  constructor(context: Context, search: DamageSearch, rest: () => Promise<void> | undefined) {
    this.#context = context;
    this.#search = search;
    this.#rest = rest;
  }

  /** @returns undefined for one that is sound */
  async ref(name: string, type: DamagedRef["type"], ref: Ref, note?: string): Promise<DamagedRef | undefined> {
    const found = new Found(name, type, note);
    if (ref.type === "container") {
      await this.#tree(found, "tree", ref.tree);
      if (ref.lower !== ref.tree) await this.#tree(found, "lower", ref.lower);
    }
    await this.#layers(found, ref);
    return found.result();
  }

  async tree(name: string, type: DamagedRef["type"], tree: Digest): Promise<DamagedRef | undefined> {
    const found = new Found(name, type);
    await this.#tree(found, "tree", tree);
    return found.result();
  }

  async #layers(found: Found, ref: Ref): Promise<void> {
    const chain: Digest[] = [];
    let digest = ref.type === "layer" ? ref.layer : ref.base;
    let isSound = true;
    while (digest !== null && !this.#sound.has(digest)) {
      const of = ref.type === "layer" && chain.length === 0 ? "tree" : `layer ${digest}`;
      chain.push(digest);
      const layer = this.#layer(digest);
      if (layer instanceof StoreError) {
        found.add({ path: null, of, reason: layer.message });
        isSound = false;
        break;
      }
      if (await this.#tree(found, of, layer.tree)) isSound = false;
      digest = layer.parent;
    }
    if (isSound) for (const layer of chain) this.#sound.add(layer);
  }

  #layer(digest: Digest): Layer | StoreError {
    try {
      return this.#context.store.refs.layer(digest);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.badLayers.set(digest, error as StoreError);
      return error as StoreError;
    }
  }

  /** @returns whether it is hit */
  async #tree(found: Found, of: string, tree: Digest): Promise<boolean> {
    if (!(await this.#search.isHit(tree, this.#rest))) return false;
    if (found.trees.has(tree)) return true;
    found.trees.add(tree);
    for (const { path, error } of this.#search.paths(tree)) {
      found.add({ ...pathOf(path), of, reason: error.message });
      await this.#rest();
    }
    return true;
  }
}

class Found {
  readonly trees = new Set<Digest>();
  readonly #ref: Omit<DamagedRef, "paths" | "morePaths">;
  readonly #paths: DamagedPath[] = [];
  #count = 0;

  constructor(name: string, type: DamagedRef["type"], note?: string) {
    this.#ref = { name, type, ...(note !== undefined && { note }) };
  }

  add(path: DamagedPath): void {
    if (this.#count++ < MOST_PATHS) this.#paths.push(path);
  }

  result(): DamagedRef | undefined {
    if (this.#count === 0) return undefined;
    return { ...this.#ref, paths: this.#paths, morePaths: this.#count - this.#paths.length };
  }
}

function pathOf(path: TreePath): Pick<DamagedPath, "path" | "pathBase64"> {
  return path === "" ? { path: null } : describePath("path", `/${path}`);
}

const MOST_PATHS = 1000;
