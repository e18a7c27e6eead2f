import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { errnoOf } from "../errors.ts";
import { isDirectory } from "./is-directory.ts";

/** A directory with its parents, unless it is there. Not by mkdirSync's own way of that: whatever the disk says, it says ENOENT. */
export function makeDirectories(path: string, mode = 0o777): void {
  if (isDirectory(path)) return;
  makeDirectories(dirname(resolve(path)), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST" || !isDirectory(path)) throw error;
  }
}
