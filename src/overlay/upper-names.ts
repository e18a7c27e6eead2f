import type { StoreError } from "../errors.ts";
import type { Name } from "../model/name.ts";
import type { Entry } from "./entry.ts";
import { fileError } from "./file-error.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { LowerTree } from "./lower-tree.ts";
import type { Names, Row } from "./names.ts";
import type { Upper } from "./upper.ts";
import { DamagedNode, UpperNode } from "./upper-node.ts";
import type { DirectoryBody } from "./upper-node.ts";

/** What paths lead through in a container: its upper over the base tree. */
export class UpperNames implements Names {
  readonly #upper: Upper;
  readonly #base: LowerTree;
  #closed = false;

  /** Borrows `upper`. */
  constructor(upper: Upper) {
    this.#upper = upper;
    this.#base = upper.base;
  }

  get root(): Entry {
    return this.current(this.#base.root);
  }

  /** From now on all that is asked for fails with EBADF. */
  close(): void {
    this.#closed = true;
  }

  get generation(): number {
    this.#requireOpen();
    return this.#upper.generation;
  }

  at(path: string): Entry | undefined {
    return this.#upper.isEmpty && !this.#closed ? this.#base.at(path) : undefined;
  }

  lacks(directory: Entry, path: string): boolean {
    const isBase = this.#upper.isEmpty && !this.#closed && directory instanceof LowerEntry;
    return isBase && this.#base.lacks(directory, path);
  }

  find(directory: Entry, name: string): Entry | undefined {
    const body = this.#bodyOf(directory);
    const own = body?.entries.get(name as Name);
    if (own !== undefined) return own ?? undefined;
    const lower = body === undefined ? directory : body.lower;
    const below = lower instanceof LowerEntry ? this.#base.find(lower, name) : undefined;
    return below && this.current(below);
  }

  entries(directory: Entry): Iterable<readonly Row[]> {
    const body = this.#bodyOf(directory);
    const lower = body === undefined ? directory : body.lower;
    const below = lower instanceof LowerEntry ? this.#base.entries(lower) : [];
    return this.#merged(below, body === undefined ? [] : sortedEntries(body), body?.damage);
  }

  current(entry: Entry): Entry {
    this.#requireOpen();
    if (this.#upper.isEmpty) return entry;
    return this.#upper.changed(this.inode(entry)) ?? entry;
  }

  inode(entry: Entry): number {
    if (entry instanceof LowerEntry) return this.#base.inode(entry);
    return entry instanceof UpperNode || entry instanceof DamagedNode ? entry.ino : 0;
  }

  links(entry: Entry): number {
    if (entry instanceof LowerEntry) return this.#base.links(entry);
    return entry instanceof UpperNode ? entry.links : 1;
  }

  retain(entry: Entry): void {
    this.#upper.retain(this.inode(entry));
  }

  release(entry: Entry): void {
    this.#upper.release(this.inode(entry));
  }

  #requireOpen(): void {
    if (this.#closed) throw fileError("EBADF", "use of a view that is closed");
    this.#upper.requireCurrent();
  }

  /** What the upper has of a directory; undefined if nothing. */
  #bodyOf(directory: Entry): DirectoryBody | undefined {
    const node = this.current(directory);
    if (node instanceof DamagedNode) throw node.error;
    return node instanceof UpperNode && node.body.type === "directory" ? node.body : undefined;
  }

  /** Both in byte order. `own` is never changed: another one takes its place. @throws damage, once all the rest is told */
  *#merged(
    below: Iterable<readonly Row<LowerEntry>[]>,
    own: NonNullable<DirectoryBody["sorted"]>,
    damage: StoreError | undefined,
  ): Generator<readonly Row[]> {
    let next = 0;
    for (const rows of below) {
      const merged: Row[] = [];
      for (const [name, entry] of rows) {
        let upper = own[next];
        while (upper !== undefined && upper[0] <= name) {
          const [upperName, node] = upper;
          if (node !== null) merged.push([upperName, node]);
          upper = own[++next];
        }
        if (own[next - 1]?.[0] !== name) merged.push([name, this.current(entry)]);
      }
      yield merged;
    }
    for (; next < own.length; next += ROWS_AT_ONCE) {
      const some = own.slice(next, next + ROWS_AT_ONCE);
      yield some.flatMap(([name, node]) => (node === null ? [] : [[name, node] as const]));
    }
    if (damage !== undefined) throw damage;
  }
}

const ROWS_AT_ONCE = 256;

function sortedEntries(body: DirectoryBody): NonNullable<DirectoryBody["sorted"]> {
  body.sorted ??= [...body.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return body.sorted;
}
