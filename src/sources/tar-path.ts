import { MAX_PATH_BYTES, type TreePath } from "../model/name.ts";
import { MalformedTar } from "./tar-malformed.ts";

/**
 * The path in the tree that a name in an archive stands for: from the root, whether it begins with "/", "./" or neither.
 *
 * @throws {MalformedTar} if it has "..", a component above 255 bytes, or NUL, or is longer than any path of a tree
 */
export function treePath(name: string): TreePath {
  if (name.includes("\0")) throw new MalformedTar("has a NUL in its name");
  const names = name.split("/");
  let kept = 0;
  for (const component of names) {
    if (component === "" || component === ".") continue;
    if (component === "..") throw new MalformedTar('has ".." in its name or in that of its hard link');
    if (component.length > NAME_MAX) throw new MalformedTar(`has a name above ${NAME_MAX} bytes`);
    names[kept++] = component;
  }
  const path = kept === names.length ? name : names.slice(0, kept).join("/");
  if (path.length > MAX_PATH_BYTES) throw new MalformedTar(`has a path above ${MAX_PATH_BYTES} bytes`);
  return path;
}

const NAME_MAX = 255;
