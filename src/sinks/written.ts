import { displayName, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";

/** What a target cannot hold, or this process may not make. "whiteout": a device 0:0, which hides in an overlay mount. */
export type LossKind =
  "owner" | "mode" | "time" | "xattr" | "device" | "fifo" | "socket" | "symlink" | "hardlink" | "whiteout";

export interface Loss {
  readonly kind: LossKind;
  /** Of nodes; of attributes for "xattr". */
  readonly count: number;
  /** Up to ten of them, for display. */
  readonly examples: readonly string[];
}
export type Losses = readonly Loss[];

/** What a sink has made. */
export interface Written {
  /** The root is not counted. */
  readonly entries: number;
  /** Apparent size of all regular files, one name of each. */
  readonly bytes: number;
  readonly losses: Losses;
  /** What was left out on demand (`asUser`). */
  readonly omitted: Losses;
}

const MAX_EXAMPLES = 10;

/** Counts losses by kind. */
export class LossTally {
  readonly #losses = new Map<LossKind, { readonly kind: LossKind; count: number; readonly examples: string[] }>();

  /** @param detail what of the node it is, such as an attribute's name */
  add(kind: LossKind, path: TreePath, detail?: string): void {
    let loss = this.#losses.get(kind);
    if (loss === undefined) this.#losses.set(kind, (loss = { kind, count: 0, examples: [] }));
    loss.count++;
    if (loss.examples.length === MAX_EXAMPLES) return;
    const shown = path === ROOT ? "/" : displayName(path);
    loss.examples.push(detail === undefined ? shown : `${shown} (${displayName(detail)})`);
  }

  /** Adds what another one counted. */
  merge(losses: Losses): void {
    for (const { kind, count, examples } of losses) {
      let loss = this.#losses.get(kind);
      if (loss === undefined) this.#losses.set(kind, (loss = { kind, count: 0, examples: [] }));
      loss.count += count;
      loss.examples.push(...examples.slice(0, MAX_EXAMPLES - loss.examples.length));
    }
  }

  get list(): Losses {
    return [...this.#losses.values()];
  }
}
