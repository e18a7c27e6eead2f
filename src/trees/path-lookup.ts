import { PosixError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

export interface Found {
  /** Where it is, without any symlink on the way. */
  readonly path: TreePath;
  readonly node: Node;
}

/**
 * Looks a path up as the kernel would with `tree` as its root directory: symlinks are followed, the last one too, and
 * neither ".." nor an absolute target leads out. "" is the root. path_resolution(7).
 *
 * @throws {PosixError} ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG
 */
export function lookupPath(store: TreeStore, tree: Tree, path: string): Found {
  const fail = (code: string): PosixError => new PosixError(code, "lookup", displayName(path));
  const left = components(path).reverse();
  /** The names from the root to where we are, each with its node. */
  const trail: { readonly name: string; readonly node: Node }[] = [];
  for (let symlinks = 0; ;) {
    const at = trail.at(-1)?.node ?? tree.root;
    const name = left.pop();
    if (name === undefined) return { path: trail.map((step) => step.name).join("/"), node: at };
    if (at.type !== "directory") throw fail("ENOTDIR");
    if (name === ".") continue;
    if (name === "..") {
      trail.pop();
      continue;
    }
    if (name.length > MAX_NAME_BYTES) throw fail("ENAMETOOLONG");
    const node = store.find(at.listing, name as Name);
    if (node === undefined) throw fail("ENOENT");
    if (node.type !== "symlink") {
      trail.push({ name, node });
      continue;
    }
    if (++symlinks > MAX_SYMLINKS) throw fail("ELOOP");
    left.push(...components(node.target).reverse());
    if (node.target.startsWith("/")) trail.length = 0;
  }
}

/** As in Linux's namei.c. */
const MAX_SYMLINKS = 40;
const MAX_NAME_BYTES = 255;

/** A trailing slash asks for a directory, as a last "." does. */
function components(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return path.endsWith("/") ? [...names, "."] : names;
}
