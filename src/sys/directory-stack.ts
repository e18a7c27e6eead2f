import { PosixError } from "../errors.ts";
import type { Stat } from "./stat.ts";

/** What a stack needs of an open directory. */
export interface StackedDirectory<D> {
  openDirectory(name: string): D;
  openParent(): D;
  statSelf(): Stat;
  close(): void;
}

interface Level<D> {
  directory: D | undefined;
  /** Which directory it was, from when it was closed for want of fds. */
  identity: string | undefined;
}

/**
 * A chain of open directories from a root down, of any depth: beyond `MAX_OPEN` the shallowest are closed, and opened
 * again by ".." on the way up, which must lead to the same directory as before.
 */
export class DirectoryStack<D extends StackedDirectory<D>> implements Disposable {
  readonly #root: D;
  readonly #levels: Level<D>[] = [];
  #current: D;
  /** Levels below this one are closed. */
  #firstOpen = 0;

  /** Borrows `root`. */
  constructor(root: D) {
    this.#root = root;
    this.#current = root;
  }

  /** Good until the next `enter` or `leave`. */
  get current(): D {
    return this.#current;
  }

  /** Levels below the root. */
  get depth(): number {
    return this.#levels.length;
  }

  enter(name: string): void {
    const directory = this.#current.openDirectory(name);
    this.#levels.push({ directory, identity: undefined });
    this.#current = directory;
    if (this.#levels.length - this.#firstOpen > MAX_OPEN) this.#closeShallowest();
  }

  /** @throws {PosixError} ESTALE if the directory was moved away from the one that it was entered from */
  leave(): void {
    const left = this.#levels.pop();
    if (left?.directory === undefined) throw new Error("left a directory that was not entered");
    try {
      this.#current = this.#reach(left.directory);
    } finally {
      left.directory.close();
    }
  }

  [Symbol.dispose](): void {
    for (const level of this.#levels.splice(0)) level.directory?.close();
    this.#firstOpen = 0;
    this.#current = this.#root;
  }

  #closeShallowest(): void {
    const level = this.#levels[this.#firstOpen];
    if (level?.directory === undefined) throw new Error("the shallowest open directory is closed");
    level.identity = identityOf(level.directory);
    level.directory.close();
    level.directory = undefined;
    this.#firstOpen++;
  }

  /** The deepest level, open; `child` is the one that was left. */
  #reach(child: D): D {
    const level = this.#levels.at(-1);
    if (level === undefined) return this.#root;
    if (level.directory !== undefined) return level.directory;
    const parent = child.openParent();
    if (identityOf(parent) !== level.identity) {
      parent.close();
      throw new PosixError("ESTALE", "openat", "..");
    }
    level.directory = parent;
    this.#firstOpen--;
    return parent;
  }
}

/** Well below the usual limit of 1024 fds, and deeper than trees usually are. */
const MAX_OPEN = 200;

function identityOf(directory: StackedDirectory<unknown>): string {
  const { device, ino } = directory.statSelf();
  return `${device} ${ino}`;
}
