import picomatch from "picomatch";
import type { RawChange } from "../model/change.ts";
import { baseName, byteStringOf, parentPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";

/** A file that was left out, for hard links to it that are not. */
interface LeftOut {
  readonly change?: RawChange & { readonly kind: "put" };
  /** Its first name that was kept. */
  keptName: TreePath | undefined;
}

/** What of a source is left out, by globs. */
export class Exclusion {
  readonly #isEmpty: boolean;
  readonly #fitsName: (name: string) => boolean;
  readonly #fitsPath: (path: string) => boolean;
  readonly #leftOut = new Map<TreePath, LeftOut>();

  /** @param globs one without a slash fits a name in any directory, others paths from the root of the tree */
  constructor(globs: readonly string[]) {
    const ofPaths = globs
      .filter((glob) => glob.includes("/"))
      .map((glob) => glob.replace(/^\.?\//, "").replace(/\/$/, ""));
    const ofNames = globs.filter((glob) => !glob.includes("/"));
    this.#isEmpty = globs.length === 0;
    this.#fitsName = matcher(ofNames);
    this.#fitsPath = matcher(ofPaths);
  }

  /** True also of all below a directory that is left out. */
  covers(path: TreePath): boolean {
    if (this.#isEmpty) return false;
    for (let at = path; at !== ROOT; at = parentPath(at))
      if (this.#fitsName(baseName(at)) || this.#fitsPath(at)) return true;
    return false;
  }

  /**
   * What becomes of a change, in the order of its source. A hard link to a file that is left out is that file itself, as if
   * the link's name had come first.
   *
   * @returns undefined if it is left out
   */
  keep(change: RawChange): RawChange | undefined {
    const { path, kind } = change;
    const linked = kind === "link" ? this.#leftOut.get(change.target) : undefined;
    if (!this.covers(path)) {
      if (linked === undefined) return change;
      if (linked.keptName !== undefined) return { kind: "link", path, target: linked.keptName };
      linked.keptName = path;
      return linked.change && { ...linked.change, path };
    }
    if (kind === "link") this.#leftOut.set(path, linked ?? { keptName: change.target });
    else if (kind === "put" && change.node.type !== "directory")
      this.#leftOut.set(path, { change, keptName: undefined });
    return undefined;
  }
}

function matcher(globs: readonly string[]): (path: string) => boolean {
  return globs.length === 0 ? () => false : picomatch(globs.map(byteStringOf), { dot: true });
}
