import { byteStringOf } from "../model/name.ts";
import type { Entry } from "./entry.ts";
import { isAscii } from "./entry.ts";
import type { Names } from "./names.ts";

/** Why a path leads nowhere. EACCES only where somebody asks who is asking. */
export type Errno = "ENOENT" | "ENOTDIR" | "ELOOP" | "ENAMETOOLONG" | "EACCES";
export type Resolved<E extends Entry = Entry> = E | Errno;

/** From the root down, without any symlink: what realpath(3) tells. */
export interface Trace<E extends Entry = Entry> {
  readonly entry: E;
  readonly names: readonly string[];
}

/** Where a name is to be made, removed or opened. */
export interface Place<E extends Entry = Entry> {
  /** From the root down to the one that holds `name`. */
  readonly directories: readonly E[];
  /** The last one of `directories`. The root stands in itself. */
  readonly directory: E;
  /** "." and "..", too; "" for the root itself. */
  readonly name: string;
  /** What has that name now. */
  readonly entry: E | undefined;
  /** The name is longer than any can be. */
  readonly tooLong: boolean;
  /** The path ends in a slash: it asks for a directory. */
  readonly slash: boolean;
}

/**
 * Looks paths up as the kernel would with the view's root as its root directory: neither ".." nor an absolute target leads
 * out, and what is relative is relative to the root. path_resolution(7).
 *
 * Answers for paths that are not in `Names` as they stand (through symlinks, or missing) are kept, up to a number, and as
 * long as the names stay as they are.
 */
export class Resolver<E extends Entry = Entry> {
  readonly #names: Names<E>;
  readonly #maySearch: ((directory: E) => boolean) | undefined;
  #generation = 0;
  /** By whether a symlink in the last place is followed; by the text as it was given. */
  readonly #followed = new Answers<E>();
  readonly #unfollowed = new Answers<E>();

  /** @param maySearch of each directory on the way, whether whoever asks may search it; then nothing is kept */
  constructor(names: Names<E>, maySearch?: (directory: E) => boolean) {
    this.#names = names;
    this.#maySearch = maySearch;
  }

  /** @param text as users have it, not a byte string */
  resolve(text: string, follow: boolean): Resolved<E> {
    if (this.#maySearch !== undefined) return this.resolveBytes(byteStringOf(text), follow);
    const entry = this.#names.at(text);
    if (entry === undefined) {
      if (this.#isMissing(text)) return "ENOENT";
    } else if (!(follow && entry.isSymlink) && text.length < PATH_BYTES) return entry;
    const answers = this.#answers(follow);
    const known = answers.get(text);
    if (known !== undefined) return known;
    const resolved = this.resolveBytes(isAscii(text) ? text : byteStringOf(text), follow);
    answers.set(text, resolved);
    return resolved;
  }

  /** As `resolve`, for a byte string. */
  resolveBytes(path: string, follow: boolean): Resolved<E> {
    const quick = this.#inKnownDirectory(path, follow);
    if (quick !== undefined) return quick;
    const trace = this.trace(path, follow);
    return typeof trace === "string" ? trace : trace.entry;
  }

  /** The names of what was found, without any symlink. */
  trace(path: string, follow: boolean): Trace<E> | Errno {
    if (path === "") return "ENOENT";
    if (path.length >= PATH_BYTES) return "ENAMETOOLONG";
    const walk = this.#walk(components(path), follow);
    if (typeof walk === "string") return walk;
    if (walk.missing !== undefined) return "ENOENT";
    return { entry: walk.entries.at(-1) ?? this.#names.root, names: walk.names };
  }

  /**
   * The last name of a path, whether there is such a thing or not, and the directory that it is in.
   *
   * @param follow a symlink in the last place: then the place is where it leads, which may be a missing name too. Not if a
   *               slash comes after it: no file can be made or opened there
   */
  place(path: string, follow: boolean): Place<E> | Errno {
    if (path === "") return "ENOENT";
    if (path.length >= PATH_BYTES) return "ENAMETOOLONG";
    return this.#placeFrom({ entries: [this.#names.root], names: [], symlinks: 0 }, path, follow);
  }

  #placeFrom(from: Walk<E>, path: string, follow: boolean): Place<E> | Errno {
    const names = path.split("/").filter((name) => name !== "");
    const slash = path.endsWith("/");
    const root = this.#names.root;
    const start = path.startsWith("/") ? { entries: [root], names: [], symlinks: from.symlinks } : from;
    const name = names.pop();
    const none = { directories: [root], directory: root, name: "", entry: root, tooLong: false, slash };
    if (name === undefined) return none;
    const above = this.#walk([...names, "."], true, start);
    if (typeof above === "string") return above;
    if (above.missing !== undefined) return "ENOENT";
    const directory = above.entries.at(-1) ?? root;
    const place = { directories: above.entries, directory, name, slash };
    const walk = this.#walk([name], false, above);
    if (walk === "ENAMETOOLONG") return { ...place, entry: undefined, tooLong: true };
    if (typeof walk === "string") return walk;
    const entry = walk.missing === undefined ? walk.entries.at(-1) : undefined;
    if (entry?.isSymlink !== true || !follow || slash) return { ...place, entry, tooLong: false };
    if (above.symlinks === MAX_SYMLINKS) return "ELOOP";
    return this.#placeFrom({ ...above, symlinks: above.symlinks + 1 }, entry.target, true);
  }

  /** @param from where to begin; from the root if it is left out */
  #walk(path: readonly string[], follow: boolean, from?: Walk<E>): Walk<E> | Errno {
    const left = path.toReversed();
    const root = this.#names.root;
    const entries = from === undefined ? [root] : [...from.entries];
    const names = from === undefined ? [] : [...from.names];
    let symlinks = from?.symlinks ?? 0;
    for (;;) {
      const at = entries.at(-1) ?? root;
      const name = left.pop();
      if (name === undefined) return { entries, names, symlinks };
      if (!at.isDirectory) return "ENOTDIR";
      if (this.#maySearch?.(at) === false) return "EACCES";
      if (name === ".") continue;
      if (name === "..") {
        if (entries.length > 1) entries.pop();
        names.pop();
        continue;
      }
      if (name.length > NAME_BYTES) return "ENAMETOOLONG";
      const entry = this.#names.find(at, name);
      if (entry === undefined) return left.length === 0 ? { entries, names, symlinks, missing: name } : "ENOENT";
      if (!entry.isSymlink || (left.length === 0 && !follow)) {
        entries.push(entry);
        names.push(name);
        continue;
      }
      if (++symlinks > MAX_SYMLINKS) return "ELOOP";
      left.push(...components(entry.target).reverse());
      if (entry.target.startsWith("/")) {
        entries.length = 1;
        names.length = 0;
      }
    }
  }

  #answers(follow: boolean): Answers<E> {
    if (this.#generation !== this.#names.generation) {
      this.#generation = this.#names.generation;
      this.#followed.clear();
      this.#unfollowed.clear();
    }
    return follow ? this.#followed : this.#unfollowed;
  }

  /**
   * Whether there is no such thing, of a path that `Names` do not have as it stands; false if that takes a closer look. To
   * make the names of what is missing, or to keep answers for it, would take three times as long.
   */
  #isMissing(text: string): boolean {
    if (text.length >= PATH_BYTES) return false;
    let slash = text.length;
    let code = 0;
    let bits = 0;
    while (code !== SLASH && slash > 0) bits |= code = text.charCodeAt(--slash);
    // "//a" is no path of an entry, though "/" is.
    if (bits > MAX_ASCII || slash === 1 || !isPlain(text, slash)) return false;
    const directory = this.#names.at(text.slice(0, slash));
    return directory?.isDirectory === true && this.#names.lacks(directory, text);
  }

  /** Most paths that were never asked for are in a directory that was. */
  #inKnownDirectory(path: string, follow: boolean): Resolved<E> | undefined {
    if (this.#maySearch !== undefined) return undefined;
    const slash = path.lastIndexOf("/");
    if (path.length >= PATH_BYTES || !isPlain(path, slash)) return undefined;
    const directory = this.#names.at(path.slice(0, slash));
    if (directory?.isDirectory !== true) return undefined;
    const entry = this.#names.find(directory, path.slice(slash + 1));
    if (entry === undefined) return "ENOENT";
    return follow && entry.isSymlink ? undefined : entry;
  }
}

/** How far a path leads: `entries` begin with the root, `names` below it. */
interface Walk<E extends Entry> {
  readonly entries: readonly E[];
  readonly names: readonly string[];
  readonly symlinks: number;
  /** The last name, if there is no such thing in the last one of `entries`. */
  readonly missing?: string;
}

/** Those of Linux: PATH_MAX counts the NUL at the end. */
const PATH_BYTES = 4096;
const NAME_BYTES = 255;
const MAX_SYMLINKS = 40;
const DOT = 0x2e;
const SLASH = 0x2f;
const MAX_ASCII = 0x7f;

/** What comes after the last slash, which is not the first, is a name and neither "." nor "..". */
function isPlain(path: string, slash: number): boolean {
  const length = path.length - slash - 1;
  if (slash <= 0 || length === 0 || length > NAME_BYTES) return false;
  return path.charCodeAt(slash + 1) !== DOT || length > 2;
}

/** A trailing slash asks for a directory, as a last "." does. */
function components(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return path.endsWith("/") ? [...names, "."] : names;
}

/** Answers by path, bounded in number and length. */
class Answers<E extends Entry> {
  #answers = new Map<string, Resolved<E>>();

  get(text: string): Resolved<E> | undefined {
    return this.#answers.get(text);
  }

  set(text: string, resolved: Resolved<E>): void {
    if (text.length > MAX_TEXT) return;
    if (this.#answers.size === MAX_ANSWERS) this.clear();
    this.#answers.set(text, resolved);
  }

  clear(): void {
    if (this.#answers.size > 0) this.#answers = new Map();
  }
}

const MAX_ANSWERS = 40_000;
const MAX_TEXT = 512;
