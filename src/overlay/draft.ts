import type { Digest } from "../model/digest.ts";
import { freeze } from "./freeze.ts";
import type { Lower } from "./shared-upper.ts";
import { UpperBytes } from "./upper-bytes.ts";
import type { UpperLog } from "./upper-log.ts";
import { Upper } from "./upper.ts";

/** Changes over a tree that are no container's: they become a tree of their own, or nothing is left of them. */
export class Draft {
  readonly upper: Upper;
  readonly bytes: UpperBytes;
  readonly #lower: Lower;
  readonly #discard: () => Promise<void>;

  private constructor(upper: Upper, lower: Lower, discard: () => Promise<void>) {
    this.upper = upper;
    this.bytes = new UpperBytes(upper, lower.blocks);
    this.#lower = lower;
    this.#discard = discard;
  }

  /**
   * Borrows `log` and `lower`.
   *
   * @param discard deletes the records of upper `id`
   */
  static async over(
    tree: Digest,
    log: UpperLog,
    lower: Lower,
    { id, discard }: { readonly id: number; readonly discard: () => Promise<void> },
  ): Promise<Draft> {
    const upper = await Upper.load(log, id, lower.lowers.get(tree), () => undefined);
    return new Draft(upper, lower, discard);
  }

  /** What it shows by now, as a tree, which is in the store but not yet durable. */
  async freeze(): Promise<Digest> {
    const { upper, bytes } = this;
    const { trees, content } = this.#lower;
    if (upper.isEmpty) return upper.base.tree.digest;
    return await upper.exclusive(async () => {
      await upper.log.commit();
      const { tree } = await freeze(upper, bytes, trees, content);
      return tree.digest;
    });
  }

  async close(): Promise<void> {
    await this.upper.log.pieces.close();
    await this.#discard();
  }
}
