import { DirectoryHandle } from "../sys/directory-handle.ts";
import { randomBytes } from "../sys/random.ts";

/** Beside the exports: a directory that its owner may not write to can be renamed, but not moved to another parent. */
const HIDDEN = ".";

/** The name of what is being made or taken apart beside exports. */
export function hiddenName(): string {
  return HIDDEN + randomBytes(8).toString("hex");
}

export function isHidden(name: string): boolean {
  return name.startsWith(HIDDEN);
}

export function removeHidden(parent: string, name: string): void {
  using directory = DirectoryHandle.open(parent);
  directory.removeTree(name);
}
