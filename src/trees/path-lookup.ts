import { PosixError } from "../errors.ts";
import { displayName, joinPath, parentPath, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

export interface Found {
  /** Where it is, without any symlink on the way. */
  readonly path: TreePath;
  readonly node: Node;
}

/**
 * Looks a path up as the kernel would with `tree` as its root directory: symlinks are followed, the last one too unless
 * `followLast` is false, and neither ".." nor an absolute target leads out. path_resolution(7).
 *
 * @throws {PosixError} ENOENT, ENOTDIR, ELOOP
 */
export function lookupPath(store: TreeStore, tree: Tree, path: string, followLast = true): Found {
  const fail = (code: string): PosixError => new PosixError(code, "lookup", displayName(path));
  const left = components(path).reverse();
  let at: Found = { path: ROOT, node: tree.root };
  for (let symlinks = 0; ;) {
    const name = left.pop();
    if (name === undefined) return at;
    if (at.node.type !== "directory") throw fail("ENOTDIR");
    if (name === ".") continue;
    if (name === "..") {
      const parent = at.path === ROOT ? ROOT : parentPath(at.path);
      at = { path: parent, node: store.lookup(tree, parent) ?? tree.root };
      continue;
    }
    const node = store.find(at.node.listing, name as Name);
    if (node === undefined) throw fail("ENOENT");
    if (node.type !== "symlink" || (left.length === 0 && !followLast && !path.endsWith("/"))) {
      at = { path: joinPath(at.path, name), node };
      continue;
    }
    if (++symlinks > MAX_SYMLINKS) throw fail("ELOOP");
    left.push(...components(node.target).reverse());
    if (node.target.startsWith("/")) at = { path: ROOT, node: tree.root };
  }
}

/** As in Linux's namei.c. */
const MAX_SYMLINKS = 40;

/** A trailing slash asks for a directory, as a last "." does. */
function components(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return path.endsWith("/") ? [...names, "."] : names;
}
