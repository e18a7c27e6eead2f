import type { Change } from "../model/change.ts";
import { baseName } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { totalsOf } from "../model/node.ts";
import type { Node, Totals } from "../model/node.ts";
import { RenamedLinks } from "./renamed-links.ts";
import type { Tree, TreeStore } from "./tree-store.ts";
import { walkBelow } from "./walk.ts";

/** A change, with what became of names. */
export interface Difference extends Change {
  /** What is at `path` was here, and `before` is what it was; of a directory all that is below it came along. */
  readonly from?: TreePath;
  /** Where a directory is gone: what was below it, and was not renamed to elsewhere. */
  readonly gone?: Totals;
}

export interface RenameOptions {
  /** `none`; `files`: none of whole directories. Default: `all`. */
  readonly find?: "none" | "files" | "all";
}

/**
 * Makes renames of those changes that add what others remove: regular files of the same bytes, and whole directories that
 * hold the same nodes. Files without bytes are not looked for; a file with one name and one with several are never the same.
 * Of several candidates one of the same name is taken, else the first in canonical order. Costs what was added and removed.
 *
 * @param changes from `before` to `after` in canonical order, as `diffTrees` gives them, or some of them
 * @returns in canonical order; what is below a renamed directory is not listed
 */
export function findRenames(
  trees: TreeStore,
  [before, after]: readonly [before: Tree | undefined, after: Tree],
  changes: Iterable<Change>,
  { find = "all" }: RenameOptions = {},
): Difference[] {
  const all = [...changes];
  const renames = new Renames(all, find === "none" || !before ? [] : sourcesIn(trees, all));
  if (before && find !== "none") renames.find(trees, before, after, find);
  return renames.differences();
}

/** Something that is no more where it was. */
interface Source {
  readonly path: TreePath;
  readonly node: Node;
  /** Its place among all sources. */
  readonly index: number;
  /** The change that it went with. */
  readonly change: Change;
}

function sourcesIn(trees: TreeStore, changes: readonly Change[]): Source[] {
  if (!changes.some(isAdded)) return [];
  const sources: Source[] = [];
  const add = (path: TreePath, node: Node, change: Change): void =>
    void sources.push({ path, node, change, index: sources.length });
  for (const change of changes) {
    const { path, before } = change;
    if (before === undefined || !isGone(change)) continue;
    if (change.after === undefined) add(path, before, change);
    if (before.type === "directory")
      for (const [below, node] of walkBelow(trees, path, before)) add(below, node, change);
  }
  return sources;
}

/** True if a name went, or a directory with what was below it. */
function isGone({ before, after }: Change): boolean {
  return after === undefined || (before?.type === "directory" && after.type !== "directory");
}

function isAdded({ before }: Change): boolean {
  return before === undefined;
}

class Renames {
  readonly #changes: readonly Change[];
  /** In canonical order, so that what is below a directory follows it. */
  readonly #sources: readonly Source[];
  readonly #added: readonly Added[];
  /** By new path. */
  readonly #found = new Map<TreePath, Source>();
  /** Old paths of what was renamed. */
  readonly #left = new Set<TreePath>();
  /** Of sources and of what was added, those that are spoken for: found, or below a directory that is. */
  readonly #taken: Uint8Array;
  readonly #arrived: Uint8Array;

  constructor(changes: readonly Change[], sources: readonly Source[]) {
    this.#changes = changes;
    this.#sources = sources;
    this.#added = sources.length === 0 ? [] : changes.filter(isAdded).map((change, index) => ({ ...change, index }));
    this.#taken = new Uint8Array(sources.length);
    this.#arrived = new Uint8Array(this.#added.length);
  }

  find(trees: TreeStore, before: Tree, after: Tree, find: "files" | "all"): void {
    if (this.#added.length === 0) return;
    const links = new RenamedLinks(trees, before, after, this.#sources, this.#added);
    if (find === "all") this.#findDirectories(links);
    this.#findFiles(links);
  }

  /** The largest first: what they hold is then not looked at by itself. */
  #findDirectories(links: RenamedLinks): void {
    const pool = new Pool(this.#sources, ({ node }) => (node.type === "directory" ? node.listing.root : null));
    const sizeOf = ({ after }: Change): number => (after?.type === "directory" ? after.listing.entries : 0);
    const directories = this.#added.filter((change) => sizeOf(change) > 0);
    for (const { path, after, index } of directories.sort((a, b) => sizeOf(b) - sizeOf(a))) {
      if (after?.type !== "directory" || after.listing.root === null || this.#arrived[index] === 1) continue;
      const fits = (source: Source): boolean => this.#taken[source.index] === 0 && links.moveAsOne(source.path, path);
      const source = pool.take(after.listing.root, baseName(path), fits);
      if (source === undefined) continue;
      this.#rename(path, source);
      this.#taken.fill(1, source.index, source.index + totalsOf(source.node).entries);
      const below = `${path}/`;
      let end = index + 1;
      while (this.#added[end]?.path.startsWith(below) === true) end++;
      this.#arrived.fill(1, index, end);
    }
  }

  #findFiles(links: RenamedLinks): void {
    const free = this.#sources.filter(({ index }) => this.#taken[index] === 0);
    const pool = new Pool(free, ({ path, node }) => links.keyBefore(path, node));
    const wanted = this.#added.flatMap(({ path, after, index }) => {
      const key = after && this.#arrived[index] === 0 ? links.keyAfter(path, after) : undefined;
      return key === undefined ? [] : [{ path, key }];
    });
    for (const sameName of [true, false])
      for (const { path, key } of wanted) {
        if (this.#found.has(path)) continue;
        const source = sameName ? pool.takeNamed(key, baseName(path)) : pool.takeAny(key);
        if (source !== undefined) this.#rename(path, source);
      }
  }

  #rename(path: TreePath, source: Source): void {
    this.#found.set(path, source);
    this.#left.add(source.path);
  }

  differences(): Difference[] {
    const moved = this.#movedTotals();
    let next = 0;
    return this.#changes.flatMap((change): Difference[] => {
      const { path, before, after } = change;
      if (isAdded(change)) {
        const source = this.#found.get(path);
        const arrived = this.#arrived[next++] === 1;
        if (source !== undefined) return [{ ...change, before: source.node, from: source.path }];
        return arrived ? [] : [change];
      }
      if (after === undefined && this.#left.has(path)) return [];
      if (before?.type !== "directory" || !isGone(change)) return [change];
      const { entries, bytes } = moved.get(change) ?? { entries: 0, bytes: 0 };
      return [{ ...change, gone: { entries: before.listing.entries - entries, bytes: before.listing.bytes - bytes } }];
    });
  }

  /** What was renamed out of each directory that is gone. */
  #movedTotals(): ReadonlyMap<Change, Totals> {
    const moved = new Map<Change, Totals>();
    for (const { change, node } of this.#found.values()) {
      const { entries, bytes } = totalsOf(node);
      const sum = moved.get(change);
      moved.set(change, { entries: entries + (sum?.entries ?? 0), bytes: bytes + (sum?.bytes ?? 0) });
    }
    return moved;
  }
}

interface Added extends Change {
  readonly index: number;
}

/** Sources by what they hold. What was taken is not there any more. */
class Pool {
  readonly #byKey = new Map<string, Queue>();
  readonly #byName = new Map<string, Queue>();
  readonly #taken = new Set<Source>();

  constructor(sources: readonly Source[], keyOf: (source: Source) => string | null | undefined) {
    for (const source of sources) {
      const key = keyOf(source);
      if (key === null || key === undefined) continue;
      push(this.#byKey, key, source);
      push(this.#byName, namedKey(key, baseName(source.path)), source);
    }
  }

  take(key: string, name: string, fits: (source: Source) => boolean): Source | undefined {
    return this.#next(this.#byName.get(namedKey(key, name)), fits) ?? this.#next(this.#byKey.get(key), fits);
  }

  takeNamed(key: string, name: string): Source | undefined {
    return this.#next(this.#byName.get(namedKey(key, name)));
  }

  takeAny(key: string): Source | undefined {
    return this.#next(this.#byKey.get(key));
  }

  /** What does not fit now is passed over for good: of equal ones it is no loss, and looking again would cost squares. */
  #next(queue: Queue | undefined, fits: (source: Source) => boolean = () => true): Source | undefined {
    while (queue !== undefined && queue.at < queue.sources.length) {
      const source = queue.sources[queue.at++]!;
      if (this.#taken.has(source) || !fits(source)) continue;
      this.#taken.add(source);
      return source;
    }
    return undefined;
  }
}

interface Queue {
  readonly sources: Source[];
  at: number;
}

function push(queues: Map<string, Queue>, key: string, source: Source): void {
  const queue = queues.get(key);
  if (queue === undefined) queues.set(key, { sources: [source], at: 0 });
  else queue.sources.push(source);
}

function namedKey(key: string, name: string): string {
  return `${key}/${name}`;
}
