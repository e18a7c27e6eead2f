import type { LinkGroup } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { splitPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { totalsOf } from "../model/node.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import type { Attributes } from "./entry.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { Leaf } from "./lower-entry.ts";
import type { Names, Row } from "./names.ts";

/** Entries of all trees together that are kept, at about 250 bytes each. */
const MAX_ENTRIES = 250_000;

/** Trees that views look into. Each is one object, so that all views of a tree share what was looked up in it. */
export class LowerTrees {
  readonly #store: TreeStore;
  readonly #room: Room;
  readonly #trees = new Map<Digest, WeakRef<LowerTree>>();

  /** Borrows `store`. */
  constructor(store: TreeStore, maxEntries: number = MAX_ENTRIES) {
    this.#store = store;
    this.#room = new Room(maxEntries, () => this.#drop());
  }

  /** @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID, FORMAT_NEWER */
  get(digest: Digest): LowerTree {
    const known = this.#trees.get(digest)?.deref();
    if (known !== undefined) return known;
    const tree = new LowerTree(this.#store, this.#store.tree(digest), this.#room);
    this.#trees.set(digest, new WeakRef(tree));
    return tree;
  }

  /** Those that views look into, and may for long. */
  live(): Digest[] {
    return [...this.#trees].flatMap(([digest, ref]) => (ref.deref() === undefined ? [] : digest));
  }

  #drop(): void {
    for (const [digest, ref] of this.#trees) {
      const tree = ref.deref();
      if (tree === undefined) this.#trees.delete(digest);
      else tree.drop();
    }
  }
}

/** Counts kept entries. When there are too many, all of all trees are dropped: an era ends. */
class Room {
  readonly #max: number;
  readonly #onFull: () => void;
  #taken = 0;
  era = 1;

  constructor(max: number, onFull: () => void) {
    this.#max = max;
    this.#onFull = onFull;
  }

  take(entries: number): void {
    if (this.#taken > 0 && this.#taken + entries > this.#max) {
      this.#taken = 0;
      this.era++;
      this.#onFull();
    }
    this.#taken += entries;
  }
}

/**
 * The entries of an immutable tree by their paths, read page by page where somebody looks.
 *
 * One map holds them all under their whole paths: a map in each directory would cost 75 bytes an entry more. A leaf page is
 * there entirely or not at all, so a name that is not there needs no entry of its own. bench/resolver.ts.
 */
export class LowerTree implements Names<LowerEntry> {
  readonly tree: Tree;
  readonly root: LowerEntry;
  readonly generation = 0;
  readonly #store: TreeStore;
  readonly #room: Room;
  readonly #attributes = new SharedAttributes();
  #entries = new Map<string, LowerEntry>();

  constructor(store: TreeStore, tree: Tree, room: Room) {
    this.#store = store;
    this.#room = room;
    this.tree = tree;
    this.root = this.#entry(tree.root, "", ROOT_ORDINAL);
    this.#entries.set("/", this.root);
  }

  at(path: string): LowerEntry | undefined {
    const entry = this.#entries.get(path);
    return entry?.hasAsciiPath === true ? entry : undefined;
  }

  lacks(directory: LowerEntry, path: string): boolean {
    const { leaves } = directory;
    const { era } = this.#room;
    // To compare names would take longer.
    if (leaves.length <= FEW_LEAVES && areThere(leaves, era)) return true;
    const leaf = leafOf(leaves, path.slice(directory.path.length + 1));
    return leaf === undefined || leaf.era === era;
  }

  find(directory: LowerEntry, name: string): LowerEntry | undefined {
    const leaf = leafOf(directory.leaves, name);
    if (leaf === undefined) return undefined;
    this.#load(directory, leaf);
    return this.#entries.get(`${directory.path}/${name}`);
  }

  *entries(directory: LowerEntry): Generator<readonly Row<LowerEntry>[]> {
    for (const leaf of directory.leaves) yield this.#load(directory, leaf).map((entry) => [entry.name, entry]);
  }

  current(entry: LowerEntry): LowerEntry {
    return entry;
  }

  retain(): void {}
  release(): void {}

  inode(entry: LowerEntry): number {
    return entry.linked ? this.#firstName(entry).ordinal : entry.ordinal;
  }

  links(entry: LowerEntry): number {
    return this.#group(entry)?.length ?? 1;
  }

  /** The paths of a file: its group's, or its own. */
  names(entry: LowerEntry): LinkGroup {
    return this.#group(entry) ?? [entry.path.slice(1)];
  }

  /** The entry at a path as trees have it; symlinks are not followed. */
  entryAt(path: TreePath): LowerEntry | undefined {
    let at: LowerEntry | undefined = this.root;
    for (const name of splitPath(path)) at = at?.isDirectory === true ? this.find(at, name) : undefined;
    return at;
  }

  /** Forgets what was looked up; the room's new era says so to those who hold entries. */
  drop(): void {
    this.#entries = new Map([["/", this.root]]);
    for (const leaf of this.root.leaves) leaf.entries = NO_ENTRIES;
  }

  /** The decoded node, from its page. */
  node(entry: LowerEntry): Node {
    const node = this.#store.lookup(this.tree, entry.path.slice(1));
    if (node === undefined) throw new Error(`${entry.path} is not in its own tree`);
    return node;
  }

  #group(entry: LowerEntry): LinkGroup | undefined {
    return entry.linked ? this.#store.linkMap(this.tree).get(entry.path.slice(1)) : undefined;
  }

  #firstName(entry: LowerEntry): LowerEntry {
    const first = this.#group(entry)?.[0];
    return (first !== undefined && this.entryAt(first)) || entry;
  }

  #load(directory: LowerEntry, leaf: Leaf): readonly LowerEntry[] {
    if (leaf.era === this.#room.era) return leaf.entries;
    const rows = this.#store.readLeaf(leaf.ref);
    this.#room.take(rows.size);
    const entries: LowerEntry[] = new Array<LowerEntry>(rows.size);
    let ordinal = leaf.firstIno;
    let i = 0;
    for (const [name, node] of rows) {
      const entry = this.#entry(node, `${directory.path}/${name}`, ordinal);
      this.#entries.set(entry.path, entry);
      entries[i++] = entry;
      ordinal += totalsOf(node).entries;
    }
    leaf.entries = entries;
    leaf.era = this.#room.era;
    return entries;
  }

  #entry(node: Node, path: string, ordinal: number): LowerEntry {
    const leaves: Leaf[] = [];
    if (node.type === "directory") {
      let firstIno = ordinal + 1;
      for (const ref of this.#store.leaves(node.listing)) {
        leaves.push({ ref, firstIno, entries: NO_ENTRIES, era: 0 });
        firstIno += ref.entries ?? 0;
      }
    }
    return LowerEntry.of(node, path, ordinal, this.#attributes.of(node), leaves);
  }
}

const ROOT_ORDINAL = 1;
const NO_ENTRIES: readonly LowerEntry[] = [];
const FEW_LEAVES = 16;

function areThere(leaves: readonly Leaf[], era: number): boolean {
  for (const leaf of leaves) if (leaf.era !== era) return false;
  return true;
}

/** The page that has the name if any has. */
function leafOf(leaves: readonly Leaf[], name: string): Leaf | undefined {
  if (leaves.length < 2) return leaves[0];
  let low = 0;
  let high = leaves.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const lastKey = leaves[middle]?.ref.lastKey;
    if (lastKey !== undefined && lastKey < name) low = middle + 1;
    else high = middle;
  }
  return leaves[low];
}

/** Files of one package were made at one time by one owner. */
class SharedAttributes {
  readonly #recent = new Map<string, Attributes>();

  of({ uid, gid, mtimeSec, mtimeNsec, xattrs }: Node): Attributes {
    if (xattrs.length > 0) return { uid, gid, mtimeSec, mtimeNsec, xattrs };
    const key = `${uid} ${gid} ${mtimeSec} ${mtimeNsec}`;
    let shared = this.#recent.get(key);
    if (shared === undefined) {
      if (this.#recent.size === RECENT_ATTRIBUTES) this.#recent.clear();
      this.#recent.set(key, (shared = { uid, gid, mtimeSec, mtimeNsec, xattrs }));
    }
    return shared;
  }
}

const RECENT_ATTRIBUTES = 1000;
