import type { ContentStore } from "../chunks/content-store.ts";
import { StoreError } from "../errors.ts";
import { headerKey, sealHeader } from "../format/upper.ts";
import type { Digest } from "../model/digest.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import type { BlockCache } from "./block-cache.ts";
import { freeze } from "./freeze.ts";
import type { LowerTrees } from "./lower-tree.ts";
import { UpperBytes } from "./upper-bytes.ts";
import type { UpperLog } from "./upper-log.ts";
import { Upper } from "./upper.ts";

/** The parts of a store that uppers lie over. */
export interface Lower {
  readonly trees: TreeStore;
  readonly lowers: LowerTrees;
  readonly content: ContentStore;
  readonly blocks: BlockCache;
}

/** A container as its record has it. `version` is another one whenever the record is. */
export interface Recorded {
  readonly tree: Digest;
  readonly version: string;
}

export interface SharedUpperOptions {
  /** The container's. */
  readonly name: string;
  readonly id: number;
  readonly base: Digest;
  /** What the record is now, undefined if there is none any more. */
  readonly current?: () => Recorded | undefined;
  /** Called before the first change after a fold: what it throws forbids that. */
  readonly beforeChange?: () => void;
  readonly onLastClosed?: () => Promise<void>;
}

/** An upper that is open, perhaps several times. */
export class SharedUpper {
  readonly upper: Upper;
  readonly bytes: UpperBytes;
  readonly #lower: Lower;
  readonly #options: SharedUpperOptions;
  /** What it shows, as a tree; undefined once it was changed, until it is folded. */
  #tree: Digest | undefined;
  #users = 0;

  private constructor(upper: Upper, lower: Lower, options: SharedUpperOptions) {
    this.upper = upper;
    this.bytes = new UpperBytes(upper, lower.blocks);
    this.#lower = lower;
    this.#options = options;
    this.#tree = options.base;
  }

  /** Borrows `log` and `lower`. */
  static async load(log: UpperLog, lower: Lower, options: SharedUpperOptions): Promise<SharedUpper> {
    const base = lower.lowers.get(options.base);
    const upper = await Upper.load(log, options.id, base, () => shared.#begin());
    const shared: SharedUpper = new SharedUpper(upper, lower, options);
    return shared;
  }

  get id(): number {
    return this.#options.id;
  }

  /** True also while it is changed: then the record follows, not the other way round. */
  shows(tree: Digest): boolean {
    return this.#tree === undefined || this.#tree === tree;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  async close(): Promise<void> {
    if (--this.#users === 0) await this.#options.onLastClosed?.();
  }

  /** @param record makes the frozen tree the container's, durably */
  async fold(record: (tree: Digest) => Promise<void>): Promise<void> {
    const { upper, bytes } = this;
    const { trees, content } = this.#lower;
    await upper.exclusive(async () => {
      await upper.log.commit();
      const { tree, contents } = await freeze(upper, bytes, trees, content);
      await record(tree.digest);
      this.#tree = tree.digest;
      for (const [file, settled] of contents) {
        bytes.settle(file, settled);
        upper.save(file);
      }
      upper.log.delete(headerKey(this.#options.name));
      await upper.log.commit();
    });
  }

  /** From here on the upper says what the container is, and its record does not. */
  #begin(): void {
    if (this.#tree === undefined) return;
    const { name, id, base, current, beforeChange } = this.#options;
    const recorded = current?.();
    if (recorded?.tree !== this.#tree)
      throw new StoreError("REFUSED", {
        reason: `"${name}" was changed otherwise since it was opened`,
        hint: "open it again",
      });
    beforeChange?.();
    const key = headerKey(name);
    this.upper.log.put(key, sealHeader(key, { id, base, version: recorded.version }));
    this.#tree = undefined;
  }
}
