import type { TreePath } from "../model/name.ts";
import type { Checksum } from "./package-files.ts";

export type Manager = "dpkg" | "apk" | "rpm";

/** A package that a tree's database has. */
export interface Package {
  /** As the manager's own list has it; of dpkg "libc6:amd64" for one that can be there for several architectures. */
  readonly name: string;
  /** Of rpm perhaps several, the latest last: "5.1-1, 5.2-1". */
  readonly version: string;
  readonly architecture: string;
  /** False: removed, but its configuration is still there. */
  readonly installed: boolean;
  /** Files that an administrator may change, and what they were when they came. */
  readonly conffiles: ReadonlyMap<TreePath, Checksum>;
}

/** The package database of a tree. */
export interface Database {
  readonly manager: Manager;
  /** By their names. */
  readonly packages: ReadonlyMap<string, Package>;
  /** Which packages have these files. */
  owners(wanted: ReadonlySet<TreePath>): ReadonlyMap<TreePath, string>;
}

/** More packages than any system has; a database that was made up does not take all memory. */
export const MAX_PACKAGES = 200_000;

/** The files in which managers keep their books: no package has them, nor are they anybody's. */
export function isDatabaseFile(path: TreePath): boolean {
  return BOOKS.test(path);
}

const BOOKS =
  /^(?:var\/lib\/(?:dpkg|apt|rpm|dnf|zypp)|(?:usr\/)?lib\/apk\/db|usr\/lib\/sysimage\/(?:rpm|libdnf5))(?:\/|$)/;
