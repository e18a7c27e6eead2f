import { joinPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { DirectoryNode, Node } from "../model/node.ts";
import type { TreeStore } from "./tree-store.ts";

/** All that is below the directory at `path`, in canonical order, itself left out. */
export function* walkBelow(
  trees: TreeStore,
  path: TreePath,
  directory: DirectoryNode,
): Generator<readonly [path: TreePath, node: Node]> {
  const stack: Frame[] = [{ path, rows: trees.entries(directory.listing) }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const step = frame.rows.next();
    if (step.done) {
      stack.pop();
      continue;
    }
    const [name, node] = step.value;
    const below = joinPath(frame.path, name);
    yield [below, node];
    if (node.type === "directory") stack.push({ path: below, rows: trees.entries(node.listing) });
  }
}

interface Frame {
  readonly path: TreePath;
  readonly rows: Generator<readonly [Name, Node]>;
}
