import type { Name } from "../model/name.ts";
import type { Entry } from "./entry.ts";

/** One line of a listing. */
export type Row<E extends Entry = Entry> = readonly [name: Name, entry: E];

/** What paths lead through. A view of a tree has its `LowerTree`; one that can change puts its changes over that. */
export interface Names<E extends Entry = Entry> {
  readonly root: E;
  /** Rises whenever a path may lead to something else than before. */
  readonly generation: number;
  /**
   * The entry with this path: "/" or names with a "/" before each. Undefined also if it was not looked at yet, or is not
   * ASCII: such a byte string may look like some other text.
   */
  at(path: string): E | undefined;
  /**
   * Given that `at(path)` is undefined and `path` is ASCII: true if it is certain that `directory` has no such entry.
   *
   * @param path the directory's own, a "/" and a name
   */
  lacks(directory: E, path: string): boolean;
  /** @throws {StoreError} for damage, as all that follow */
  find(directory: E, name: string): E | undefined;
  /** A directory's entries in byte order, some at a time: as they were when the iteration began. */
  entries(directory: E): Iterable<readonly Row<E>[]>;
  /** What has become of an entry that was found before. */
  current(entry: E): E;
  /** The file's number: of a hard link that of the group's first path. */
  inode(entry: E): number;
  /** A file's names. Of directories always 1, as btrfs and overlayfs have it: that says that nothing was counted. */
  links(entry: E): number;
  /** Keeps a file that is open, whatever becomes of its names, until `release`. */
  retain(entry: E): void;
  release(entry: E): void;
}
