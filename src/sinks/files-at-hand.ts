import type { TreePath } from "../model/name.ts";
import type { FileNode } from "../model/node.ts";
import type { DirectoryHandle } from "../sys/directory-handle.ts";

/** Regular files that are on disk already, where a sink would write the same again. */
export interface FilesAtHand {
  /**
   * Makes the file that is to be at `path`, if it is at hand: `name` in `directory`, where there is nothing.
   *
   * @returns "whole" if it has its metadata too, "content" if the caller is to set that; undefined if nothing was made
   */
  make(path: TreePath, node: FileNode, directory: DirectoryHandle, name: string): "whole" | "content" | undefined;
}
