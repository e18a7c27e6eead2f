import { errnoOf } from "../errors.ts";
import type { Name } from "../model/name.ts";
import { DirectoryStack, type StackedDirectory } from "./directory-stack.ts";

/** What removal needs of an open directory. */
export interface RemovableDirectory<D> extends StackedDirectory<D> {
  list(): Name[];
  unlink(name: string): void;
  removeDirectory(name: string): void;
  setMode(name: string, mode: number): void;
}

/** Deletes `name` of `directory` with all below it. Follows no symlink; depth is limited by memory alone. */
export function removeTree<D extends RemovableDirectory<D>>(directory: D, name: string): void {
  if (unlinked(directory, name)) return;
  using stack = new DirectoryStack(directory);
  const entered: { name: string; left: Name[] }[] = [];
  const enter = (child: string) => {
    makeWritable(stack.current, child);
    stack.enter(child);
    entered.push({ name: child, left: stack.current.list().reverse() });
  };
  enter(name);
  for (let level = entered.at(-1); level !== undefined; level = entered.at(-1)) {
    const child = level.left.pop();
    if (child === undefined) {
      entered.pop();
      stack.leave();
      stack.current.removeDirectory(level.name);
    } else if (!unlinked(stack.current, child)) {
      enter(child);
    }
  }
}

/** @returns false if it is a directory */
function unlinked<D>(directory: RemovableDirectory<D>, name: string): boolean {
  try {
    directory.unlink(name);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EISDIR") return false;
    throw error;
  }
}

/** A tree often has directories without the write bit, which stop all but root from emptying them. */
function makeWritable<D>(directory: RemovableDirectory<D>, name: string): void {
  if (process.geteuid?.() === 0) return;
  try {
    directory.setMode(name, 0o700);
  } catch (error) {
    // Another's directory: deletion goes on, and fails with the name of what cannot be deleted.
    if (errnoOf(error) !== "EPERM") throw error;
  }
}
