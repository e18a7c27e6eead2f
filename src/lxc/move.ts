import { lstatSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";

/** @returns false if there is nothing to move @throws {StoreError} EXISTS rather than replace anything */
export function moved(fromDirectory: string, from: string, toDirectory: string, to: string): boolean {
  using source = DirectoryHandle.open(fromDirectory);
  using target = DirectoryHandle.open(toDirectory);
  try {
    source.rename(from, target, to, { noReplace: true });
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    if (errnoOf(error) !== "EEXIST") throw error;
    throw new StoreError("EXISTS", { what: `${toDirectory}/${to} exists` }, { cause: error });
  }
}

/** True of a symlink that leads nowhere, too. */
export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
