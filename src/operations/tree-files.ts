import { isEntryPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { PackageFiles } from "../packages/package-files.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import type { Side } from "./sides.ts";

/** The files of one side, for package databases. */
export class TreeFiles implements PackageFiles {
  readonly #trees: TreeStore;
  readonly #side: Side;
  /** What directories of the root are symlinks to, as "usr/lib/". */
  readonly #merged = new Map<string, TreePath>();

  /** Borrows both. */
  constructor(trees: TreeStore, side: Side) {
    this.#trees = trees;
    this.#side = side;
    if (side.tree === undefined) return;
    for (const [name, node] of trees.entries(side.tree.root.listing)) {
      const [, target] = (node.type === "symlink" && /^\/?(usr\/[a-z0-9]+)\/?$/.exec(node.target)) || [];
      if (target !== undefined) this.#merged.set(name, target);
    }
  }

  has(path: TreePath): boolean {
    return this.#lookup(path) !== undefined;
  }

  open(path: TreePath): Iterable<Uint8Array | number> | undefined {
    const node = this.#lookup(path);
    return node?.type === "file" ? this.#side.pieces(path, node.content) : undefined;
  }

  *list(directory: TreePath): Generator<Name> {
    const node = this.#lookup(directory);
    if (node?.type === "directory") for (const [name] of this.#trees.entries(node.listing)) yield name;
  }

  merged(path: TreePath): TreePath {
    const slash = path.indexOf("/");
    const target = slash < 0 ? undefined : this.#merged.get(path.slice(0, slash));
    return target === undefined ? path : `${target}${path.slice(slash)}`;
  }

  #lookup(path: TreePath): ReturnType<TreeStore["lookup"]> {
    const { tree } = this.#side;
    return tree === undefined || !isEntryPath(path) ? undefined : this.#trees.lookup(tree, path);
  }
}
