import { existsSync, statSync } from "node:fs";

/** True if `path` leads to a directory; false also where nothing is, or where this user cannot look. */
export function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
