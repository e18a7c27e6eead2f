import type { ContentStore } from "../chunks/content-store.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { headerKey, openHeader, sealHeader } from "../format/upper.ts";
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
  /** The version of the record that its records change; undefined if there are none. */
  readonly over: string | undefined;
  /** What the record is now, undefined if there is none any more. */
  readonly current: () => Recorded | undefined;
  /** Called before the first change after a fold: what it throws forbids that. */
  readonly beforeChange?: () => void;
  readonly onLastClosed?: () => Promise<void>;
}

/** Makes the frozen tree the container's, durably. `by` tells the store whose tree that is. */
export type RecordTree = (tree: Digest, by: SharedUpper) => Promise<void>;

/** An upper that is open, perhaps several times. */
export class SharedUpper {
  readonly upper: Upper;
  readonly bytes: UpperBytes;
  readonly #lower: Lower;
  readonly #options: SharedUpperOptions;
  /** What it showed when it was last folded, or else its base. */
  #tree: Digest;
  /** The version of the record that it holds changes of; undefined if there are none since it was last folded. */
  #over: string | undefined;
  #isRetired = false;
  #users = 0;

  private constructor(upper: Upper, lower: Lower, options: SharedUpperOptions) {
    this.upper = upper;
    this.bytes = new UpperBytes(upper, lower.blocks);
    this.#lower = lower;
    this.#options = options;
    this.#tree = options.base;
    this.#over = options.over;
    upper.onRestored = () => (this.#over = this.#recordedOver());
  }

  /** Takes over `log`, borrows `lower`. */
  static async load(log: UpperLog, lower: Lower, options: SharedUpperOptions): Promise<SharedUpper> {
    const base = lower.lowers.get(options.base);
    const upper = await Upper.load(log, options.id, base, () => shared.#begin());
    const shared: SharedUpper = new SharedUpper(upper, lower, options);
    return shared;
  }

  get name(): string {
    return this.#options.name;
  }

  get id(): number {
    return this.#options.id;
  }

  get isInUse(): boolean {
    return this.#users > 0;
  }

  /** It shows the container whose record this is: as that has it, or with changes of its own. */
  shows({ tree, version }: Recorded): boolean {
    return !this.#isRetired && (this.#over === undefined ? this.#tree === tree : this.#over === version);
  }

  /** It holds changes of the record of that version. */
  changes(version: string): boolean {
    return this.#over === version;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  async close(): Promise<void> {
    if (--this.#users > 0) return;
    await this.upper.log.pieces.close();
    await this.#options.onLastClosed?.();
  }

  /** The container is gone, or another: what there is can be read still, and not be changed. */
  retire(): void {
    this.#isRetired = true;
  }

  /** @returns false if there are no changes of the record of that version */
  async fold(version: string, record: RecordTree): Promise<boolean> {
    const { upper, bytes } = this;
    const { trees, content } = this.#lower;
    return await upper.exclusive(async () => {
      if (this.#over !== version) return false;
      await upper.log.commit();
      const { era } = upper;
      const { tree, contents } = await freeze(upper, bytes, trees, content);
      await record(tree.digest, this);
      this.#tree = tree.digest;
      this.#over = undefined;
      // Else these nodes are not its own any more.
      if (upper.era === era)
        for (const [file, settled] of contents) {
          bytes.settle(file, settled);
          upper.save(file);
        }
      upper.log.delete(headerKey(this.name));
      // The record has it all. A header that stays is of a record that is no more.
      await upper.log.commit().catch(() => undefined);
      if (!upper.log.hasFailed && !bytes.areWritten) upper.log.pieces.clear();
      return true;
    });
  }

  /** From here on the upper says what the container is, and its record does not. */
  #begin(): void {
    if (this.#over !== undefined && !this.#isRetired) return;
    const { name, id, base, current, beforeChange } = this.#options;
    const recorded = current();
    if (this.#isRetired || recorded?.tree !== this.#tree)
      throw new StoreError("REFUSED", {
        reason: `"${name}" was changed otherwise since it was opened`,
        hint: "open it again",
      });
    beforeChange?.();
    const key = headerKey(name);
    this.upper.log.put(key, sealHeader(key, { id, base, version: recorded.version }));
    this.#over = recorded.version;
  }

  /** What the header says of it. */
  #recordedOver(): string | undefined {
    const key = headerKey(this.name);
    const bytes = this.upper.log.kv.getSync(key);
    try {
      const header = bytes && openHeader(key, bytes);
      const isOwn = header?.id === this.id && header.version === this.#options.current()?.version;
      return isOwn ? header.version : undefined;
    } catch (error) {
      if (!isStoreError(error, "FORMAT_INVALID")) throw error;
      return undefined;
    }
  }
}
