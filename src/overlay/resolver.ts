import { byteStringOf } from "../model/name.ts";
import type { Entry } from "./entry.ts";
import { isAscii } from "./entry.ts";

/** What paths lead through. A view of a tree has its `LowerTree`; one that can change puts its changes over that. */
export interface Names {
  readonly root: Entry;
  /** The entry with this path: "/" or names with a "/" before each. Undefined also if it was not looked at yet. */
  at(path: string): Entry | undefined;
  find(directory: Entry, name: string): Entry | undefined;
  /** A directory's entries in byte order, some at a time. */
  entries(directory: Entry): Iterable<readonly Entry[]>;
  /** The file's number: of a hard link that of the group's first path. */
  inode(entry: Entry): number;
  /** A file's names. Of directories always 1, as btrfs and overlayfs have it: that says that nothing was counted. */
  links(entry: Entry): number;
}

/** Why a path leads nowhere. */
export type Errno = "ENOENT" | "ENOTDIR" | "ELOOP" | "ENAMETOOLONG";
export type Resolved = Entry | Errno;

/** From the root down: what realpath(3) tells. */
export interface Trace {
  readonly entry: Entry;
  readonly names: readonly string[];
}

/**
 * Looks paths up as the kernel would with the view's root as its root directory: neither ".." nor an absolute target leads
 * out, and what is relative is relative to the root. path_resolution(7).
 *
 * Answers for paths that are not in `Names` as they stand (through symlinks, or missing) are kept, up to a number.
 */
export class Resolver {
  readonly #names: Names;
  /** By whether a symlink in the last place is followed; by the text as it was given. */
  readonly #followed = new Answers();
  readonly #unfollowed = new Answers();

  constructor(names: Names) {
    this.#names = names;
  }

  /** @param text as users have it, not a byte string */
  resolve(text: string, follow: boolean): Resolved {
    const entry = this.#names.at(text);
    // A byte string may look like some other text, but not if it is ASCII.
    if (entry?.hasAsciiPath === true && !(follow && entry.isSymlink) && text.length < PATH_BYTES) return entry;
    const answers = follow ? this.#followed : this.#unfollowed;
    const known = answers.get(text);
    if (known !== undefined) return known;
    const resolved = this.resolveBytes(isAscii(text) ? text : byteStringOf(text), follow);
    answers.set(text, resolved);
    return resolved;
  }

  /** As `resolve`, for a byte string. */
  resolveBytes(path: string, follow: boolean): Resolved {
    const quick = this.#inKnownDirectory(path, follow);
    if (quick !== undefined) return quick;
    const trace = this.trace(path, follow);
    return typeof trace === "string" ? trace : trace.entry;
  }

  /** The names of what was found, without any symlink. */
  trace(path: string, follow: boolean): Trace | Errno {
    if (path === "") return "ENOENT";
    if (path.length >= PATH_BYTES) return "ENAMETOOLONG";
    const left = components(path).reverse();
    const entries: Entry[] = [];
    const names: string[] = [];
    for (let symlinks = 0; ;) {
      const at = entries.at(-1) ?? this.#names.root;
      const name = left.pop();
      if (name === undefined) return { entry: at, names };
      if (!at.isDirectory) return "ENOTDIR";
      if (name === ".") continue;
      if (name === "..") {
        entries.pop();
        names.pop();
        continue;
      }
      if (name.length > NAME_BYTES) return "ENAMETOOLONG";
      const entry = this.#names.find(at, name);
      if (entry === undefined) return "ENOENT";
      if (!entry.isSymlink || (left.length === 0 && !follow)) {
        entries.push(entry);
        names.push(name);
        continue;
      }
      if (++symlinks > MAX_SYMLINKS) return "ELOOP";
      left.push(...components(entry.target).reverse());
      if (entry.target.startsWith("/")) entries.length = names.length = 0;
    }
  }

  /** Most paths that were never asked for are in a directory that was. */
  #inKnownDirectory(path: string, follow: boolean): Resolved | undefined {
    const slash = path.lastIndexOf("/");
    const length = path.length - slash - 1;
    if (slash <= 0 || length === 0 || length > NAME_BYTES || path.length >= PATH_BYTES) return undefined;
    if (path.charCodeAt(slash + 1) === DOT && length <= 2) return undefined;
    const directory = this.#names.at(path.slice(0, slash));
    if (directory?.isDirectory !== true) return undefined;
    const entry = this.#names.find(directory, path.slice(slash + 1));
    if (entry === undefined) return "ENOENT";
    return follow && entry.isSymlink ? undefined : entry;
  }
}

/** Those of Linux: PATH_MAX counts the NUL at the end. */
const PATH_BYTES = 4096;
const NAME_BYTES = 255;
const MAX_SYMLINKS = 40;
const DOT = 0x2e;

/** A trailing slash asks for a directory, as a last "." does. */
function components(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return path.endsWith("/") ? [...names, "."] : names;
}

/** Answers by path, bounded in number and length. */
class Answers {
  readonly #answers = new Map<string, Resolved>();

  get(text: string): Resolved | undefined {
    return this.#answers.get(text);
  }

  set(text: string, resolved: Resolved): void {
    if (text.length > MAX_TEXT) return;
    if (this.#answers.size === MAX_ANSWERS) this.#answers.clear();
    this.#answers.set(text, resolved);
  }
}

const MAX_ANSWERS = 40_000;
const MAX_TEXT = 512;
