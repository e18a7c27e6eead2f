import { joinPath, type Name, parentPath, ROOT, type TreePath } from "../model/name.ts";
import type { DirectoryHandle } from "./directory-handle.ts";
import { DirectoryStack } from "./directory-stack.ts";

/**
 * Walks the directories below a root by names, never by whole paths: a symlink is nowhere followed, and depth is limited
 * neither by PATH_MAX nor by fds.
 */
export class PathWalker implements Disposable {
  readonly #stack: DirectoryStack<DirectoryHandle>;
  readonly #names: Name[] = [];
  #path: TreePath = ROOT;

  private constructor(root: DirectoryHandle) {
    this.#stack = new DirectoryStack(root);
  }

  /** Borrows `root`, and stands in it. */
  static open(root: DirectoryHandle): PathWalker {
    return new PathWalker(root);
  }

  /** The directory at `path`; the walker closes it, so it is good until the next move. */
  get current(): DirectoryHandle {
    return this.#stack.current;
  }

  get path(): TreePath {
    return this.#path;
  }

  /** Stays where it is if that fails. */
  enter(name: string): void {
    this.#stack.enter(name);
    this.#names.push(name as Name);
    this.#path = joinPath(this.#path, name);
  }

  /** To the parent; a bug at the root. @throws {PosixError} ESTALE if the directory has been moved elsewhere */
  leave(): void {
    this.#stack.leave();
    this.#names.pop();
    this.#path = parentPath(this.#path);
  }

  /** To any directory, by way of the nearest common parent. If it fails it stands somewhere on that way. */
  goTo(directoryPath: TreePath): void {
    if (directoryPath === this.#path) return;
    let start = 0;
    let shared = 0;
    for (; shared < this.#names.length && start < directoryPath.length; shared++) {
      const end = componentEnd(directoryPath, start);
      const name = this.#names[shared]!;
      if (end - start !== name.length || !directoryPath.startsWith(name, start)) break;
      start = end + 1;
    }
    while (this.#names.length > shared) this.leave();
    while (start < directoryPath.length) {
      const end = componentEnd(directoryPath, start);
      this.enter(directoryPath.slice(start, end));
      start = end + 1;
    }
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
    this.#names.length = 0;
    this.#path = ROOT;
  }
}

function componentEnd(path: TreePath, start: number): number {
  const slash = path.indexOf("/", start);
  return slash < 0 ? path.length : slash;
}
