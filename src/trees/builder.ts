import { StoreError } from "../errors.ts";
import type { LinkGroup, RawChange, RawNode } from "../model/change.ts";
import {
  baseName,
  comparePaths,
  displayName,
  isName,
  joinPath,
  MAX_PATH_BYTES,
  parentPath,
  ROOT,
  splitPath,
} from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import { EMPTY_LISTING, flawOf, IMPLIED_DIRECTORY } from "../model/node.ts";
import type { Content, DirectoryNode, Listing, Metadata, Node } from "../model/node.ts";
import { BuilderRoom } from "./builder-room.ts";
import { PackedNodes } from "./packed-nodes.ts";
import type { PackedNode } from "./packed-nodes.ts";
import { writeDirectory, writeLinks } from "./page-writer.ts";
import type { DirectoryRow } from "./page-writer.ts";
import type { Tree, TreeStore } from "./tree-store.ts";
import { HIDDEN, isTouched, NO_ENTRIES, setEntry, shownNames, touched, Union } from "./union.ts";
import type { Placed, Shared, Slot, Touched } from "./union.ts";

/**
 * Turns a stream of raw changes, over a base tree or over nothing, into a tree.
 *
 * It is the union mount in memory: what the stream put lies over the base, which is read only where the stream went.
 * So it costs what changed, not what is there; memory about 150 bytes per entry put, and bounded by `BuilderRoom`. Hard links are
 * names of one object here, which makes every order of puts and links come out as it would on a file system.
 */
export class TreeBuilder {
  readonly #store: TreeStore;
  readonly #base: Tree | undefined;
  readonly #union: Union;
  readonly #room: BuilderRoom;
  readonly #packed: PackedNodes;
  /** Files of the base that the stream linked to, by path; of a group, by its first path. */
  readonly #adopted = new Map<TreePath, Shared>();
  #anyShared = false;
  // Streams put siblings in a row: the directories of the last path save most walks from the root. `end` is where a
  // directory's own path ends in the last one; keeping that itself would keep a string for each level.
  readonly #trail: { readonly directory: Touched; readonly end: number }[];
  #lastPath: TreePath = ROOT;

  /** @param room what it may take of memory */
  constructor(store: TreeStore, base?: Tree, room: BuilderRoom = new BuilderRoom()) {
    this.#room = room;
    this.#packed = new PackedNodes(room);
    this.#store = store;
    this.#base = base;
    this.#union = new Union(store, base);
    this.#trail = [{ directory: this.#union.root, end: 0 }];
  }

  /**
   * @throws {StoreError} SOURCE_INVALID if the change cannot be: a put or link below a file, a link to nothing or to a
   *   directory, a name or node that no file system has, a path above `MAX_PATH_BYTES`; UNSUPPORTED if there is no room for it
   */
  apply(change: RawChange): void {
    const { path } = change;
    if (path.length > MAX_PATH_BYTES) throw invalid(path, `has a path above ${MAX_PATH_BYTES} bytes`);
    switch (change.kind) {
      case "put":
        this.#put(path, change.node);
        return;
      case "link":
        this.#link(path, change.target);
        return;
      case "whiteout":
        this.#hide(path);
        return;
      case "opaque": {
        const directory = this.#directory(path);
        if (directory !== undefined) directory.opaque = true;
        return;
      }
      case "redirect":
        if (this.#union.baseDirectory(change.from) === undefined)
          throw invalid(path, `redirects to ${quoted(change.from)}, which is no directory of the base`);
        this.#made(path).redirect = change.from;
        return;
    }
  }

  /** Writes what is new of the tree. The builder is used up. @throws {StoreError} UNSUPPORTED for what no page holds */
  finish(): Tree {
    let placed = this.#union.place();
    const { groups, relinked } = this.#settleLinks(placed);
    if (relinked.size > 0) {
      for (const [path, node] of relinked) this.#set(path, this.#packed.add(node));
      placed = this.#union.place();
    }
    const root = this.#writeDirectories(placed);
    return this.#store.putTree(root, writeLinks(this.#store.nodes, groups));
  }

  #put(path: TreePath, raw: RawNode): void {
    const node = this.#settled(path, raw);
    const flaw = flawOf(node);
    if (flaw !== undefined) throw invalid(path, flaw);
    if (node.type !== "directory") this.#set(path, this.#packed.add(node));
    else this.#putDirectory(path).metadata = this.#packed.add(node);
  }

  #putDirectory(path: TreePath): Touched {
    if (path === ROOT) return this.#union.root;
    const slot = this.#made(parentPath(path)).entries.get(baseName(path));
    const directory = isTouched(slot) ? slot : this.#touched(slot !== undefined);
    directory.exists = true;
    if (directory !== slot) this.#set(path, directory);
    return directory;
  }

  #touched(hidden: boolean): Touched {
    this.#room.takeHeap(DIRECTORY_HEAP_BYTES);
    return touched(hidden);
  }

  #settled(path: TreePath, raw: RawNode): Node {
    if (raw.type === "directory") return { linked: false, listing: EMPTY_LISTING, ...raw };
    if (raw.type !== "file") return { linked: false, ...raw };
    const content = "base" in raw.content ? this.#baseContent(path, raw.content.base) : raw.content;
    return { linked: false, ...raw, content };
  }

  #baseContent(path: TreePath, base: TreePath): Content {
    const source = this.#base && this.#store.lookup(this.#base, base);
    if (source?.type === "file") return source.content;
    throw invalid(path, `its data should be that of ${quoted(base)}, which is no file of the base`);
  }

  #link(path: TreePath, target: TreePath): void {
    const shared = this.#sharedAt(target);
    if (shared === undefined) throw invalid(path, `is a hard link to ${quoted(target)}, which is no file here`);
    if (path !== target) this.#set(path, shared);
  }

  /** The file that shows at `path` now, as an object that can have another name. */
  #sharedAt(path: TreePath): Shared | undefined {
    if (path === ROOT) return undefined;
    this.#anyShared = true;
    const place = this.#union.resolve(splitPath(parentPath(path)));
    const name = baseName(path);
    const slot = place.directory?.entries.get(name);
    if (typeof slot === "number") {
      const shared = this.#shared(slot);
      if (place.directory !== undefined) setEntry(place.directory, name, shared);
      return shared;
    }
    if (slot?.type === "shared") return slot;
    if (slot?.type === "hidden") return undefined;
    if (slot !== undefined && (slot.hidden || this.#union.shows(slot, place, name))) return undefined;
    const node = this.#union.inBase(place, name);
    if (node === undefined || node.type === "directory") return undefined;
    return this.#adopt(joinPath(place.lower?.path ?? ROOT, name), node);
  }

  #shared(node: PackedNode): Shared {
    this.#room.takeHeap(SHARED_HEAP_BYTES);
    return { type: "shared", node, names: [] };
  }

  #adopt(path: TreePath, node: Node): Shared {
    const key = (node.linked && this.#base && this.#store.linkMap(this.#base).get(path)?.[0]) || path;
    let shared = this.#adopted.get(key);
    if (shared === undefined) this.#adopted.set(key, (shared = this.#shared(this.#packed.add(node))));
    return shared;
  }

  #hide(path: TreePath): void {
    if (path === ROOT) throw invalid(path, "the root is whited out");
    const parent = this.#directory(parentPath(path));
    const name = requireName(path);
    const slot = parent?.entries.get(name);
    if (slot === undefined && parent !== undefined) this.#enter(parent, name, HIDDEN);
    else if (isTouched(slot)) slot.hidden = true;
  }

  #set(path: TreePath, slot: Slot): void {
    if (path === ROOT) throw invalid(path, "the root is no directory");
    this.#enter(this.#made(parentPath(path)), requireName(path), slot);
  }

  #enter(directory: Touched, name: Name, slot: Slot): void {
    if (!directory.entries.has(name)) {
      this.#room.takeHeap(NAME_HEAP_BYTES + name.length);
      if (directory.entries.size === MAX_ENTRIES)
        throw invalid(name, `is in a directory of above ${MAX_ENTRIES} entries`);
    }
    setEntry(directory, name, slot);
  }

  /** The directory at `path`, which the stream has now. */
  #made(path: TreePath): Touched {
    const directory = this.#directory(path);
    if (directory === undefined) throw invalid(path, "is in the way: it is no directory");
    for (let i = this.#trail.length - 1; i >= 0 && !this.#trail[i]!.directory.exists; i--)
      this.#trail[i]!.directory.exists = true;
    return directory;
  }

  /** The directory at `path`, touched; undefined if the stream has a file there or above. */
  #directory(path: TreePath): Touched | undefined {
    const trail = this.#trail;
    while (!isWithin(path, this.#lastPath, trail.at(-1)!.end)) trail.pop();
    let { directory, end } = trail.at(-1)!;
    this.#lastPath = path;
    for (const name of end === path.length ? [] : splitPath(path.slice(end === 0 ? 0 : end + 1))) {
      end += name.length + (end === 0 ? 0 : 1);
      let next = directory.entries.get(name);
      if (next === undefined || next === HIDDEN) {
        next = this.#touched(next !== undefined);
        this.#enter(directory, requireName(path.slice(0, end)), next);
      } else if (!isTouched(next)) {
        return undefined;
      }
      directory = next;
      trail.push({ directory, end });
    }
    return directory;
  }

  /**
   * Decides which names are linked: those of the stream, and those of the base that still show.
   *
   * @returns the result's groups, and the names of the base whose bit is another now
   */
  #settleLinks(placed: readonly Placed[]): { groups: LinkGroup[]; relinked: Map<TreePath, Node> } {
    const groups: LinkGroup[] = [];
    const relinked = new Map<TreePath, Node>();
    const inodes = this.#anyShared ? this.#sharedNames(placed) : new Set<Shared>();
    if (this.#base !== undefined && (this.#base.links !== null || this.#adopted.size > 0)) {
      const shown = shownNames(this.#union.baseDirectory(ROOT), placed);
      for (const group of this.#baseGroups(this.#base)) {
        const first = group[0] ?? ROOT;
        const adopted = this.#adopted.get(first);
        const kept = shown(group);
        const names = adopted ? [...adopted.names, ...kept] : kept;
        if (names.length > 1 !== group.length > 1)
          for (const path of kept) relinked.set(path, { ...this.#baseFile(first), linked: names.length > 1 });
        if (adopted) adopted.names = names;
        if (adopted) inodes.add(adopted);
        else if (names.length > 1) groups.push(names.sort(comparePaths));
      }
    }
    for (const inode of inodes) {
      const linked = inode.names.length > 1;
      this.#packed.setLinked(inode.node, linked);
      if (linked) groups.push(inode.names.sort(comparePaths));
    }
    groups.sort((a, b) => comparePaths(a[0] ?? ROOT, b[0] ?? ROOT));
    return { groups, relinked };
  }

  /** Gives each file of the stream that a link was made to its names. */
  #sharedNames(placed: readonly Placed[]): Set<Shared> {
    const inodes = new Set<Shared>();
    for (const { path, directory } of placed) {
      for (const [name, slot] of directory.entries) {
        if (typeof slot === "number" || slot.type !== "shared") continue;
        // Of a deep directory the path is long, and each name has its own.
        this.#room.takeHeap(path.length);
        slot.names.push(joinPath(path, name));
        inodes.add(slot);
      }
    }
    return inodes;
  }

  /** Those of the link table, and each file without others that the stream linked to. */
  *#baseGroups(base: Tree): Generator<LinkGroup> {
    const links = this.#store.linkMap(base);
    yield* this.#store.linkGroups(base.links);
    for (const path of this.#adopted.keys()) if (!links.has(path)) yield [path];
  }

  #baseFile(path: TreePath): Exclude<Node, DirectoryNode> {
    const node = this.#base && this.#store.lookup(this.#base, path);
    if (node !== undefined && node.type !== "directory") return node;
    const reason = `its link table names ${quoted(path)}, which is no file`;
    throw new StoreError("FORMAT_INVALID", { record: `tree ${this.#base?.digest ?? ""}`, reason });
  }

  /** Writes children before parents. */
  #writeDirectories(placed: readonly Placed[]): DirectoryNode {
    let root: DirectoryNode | undefined;
    for (let i = placed.length - 1; i >= 0; i--) {
      const { directory, lower } = placed[i]!;
      const { entries, metadata, opaque } = directory;
      const shown = opaque ? EMPTY_LISTING : (lower?.node.listing ?? EMPTY_LISTING);
      const listing = entries.size === 0 ? shown : writeDirectory(this.#store.nodes, this.#rows(shown, entries));
      const own = metadata === undefined ? (lower?.node ?? IMPLIED_DIRECTORY) : this.#packed.get(metadata);
      root = asDirectory(own, listing);
      directory.written = this.#packed.add(root);
      directory.entries = NO_ENTRIES;
    }
    return root!;
  }

  /** What shows of a directory of the base, and the stream's entries over it. */
  *#rows(lower: Listing, entries: ReadonlyMap<Name, Slot>): Generator<DirectoryRow> {
    const names = [...entries.keys()].sort();
    let next = 0;
    for (const row of this.#store.entries(lower)) {
      for (; next < names.length && names[next]! < row[0]; next++) yield* this.#row(names[next]!, entries);
      if (!entries.has(row[0])) yield row;
    }
    for (; next < names.length; next++) yield* this.#row(names[next]!, entries);
  }

  *#row(name: Name, entries: ReadonlyMap<Name, Slot>): Generator<DirectoryRow> {
    const slot = entries.get(name)!;
    if (typeof slot !== "number" && slot.type === "hidden") return;
    const packed = typeof slot === "number" ? slot : slot.type === "shared" ? slot.node : slot.written!;
    yield [name, this.#packed.encoded(packed)];
  }
}

function asDirectory(metadata: Metadata, listing: Listing): DirectoryNode {
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = metadata;
  return { type: "directory", linked: false, mode, uid, gid, mtimeSec, mtimeNsec, xattrs, listing };
}

/** True if the first `end` bytes of `last` are `path` or a directory above it. */
function isWithin(path: TreePath, last: TreePath, end: number): boolean {
  if (end === 0) return true;
  return (path.length === end || path[end] === "/") && path.startsWith(last.slice(0, end));
}

/** The last name of `path`, on memory of its own: a slice would keep the path. */
function requireName(path: TreePath): Name {
  const name = baseName(path);
  if (!isName(name) || path.startsWith("/")) throw invalid(path, "has a name that no file can have");
  return name.length < SHORTEST_SLICE ? name : (Buffer.from(name, "latin1").toString("latin1") as Name);
}

/** V8 copies shorter ones. */
const SHORTEST_SLICE = 13;

/** A Map has no more. */
const MAX_ENTRIES = 2 ** 24 - 1;

// What V8 takes for each, with what `finish` needs: an entry of a Map and its string; a `Touched`, its Map and its path; a `Shared` and
// its names.
const NAME_HEAP_BYTES = 90;
const DIRECTORY_HEAP_BYTES = 250;
const SHARED_HEAP_BYTES = 300;

function invalid(path: TreePath, reason: string): StoreError {
  const shown = path === ROOT ? "/" : displayName(path.slice(0, SHOWN_PATH_BYTES));
  return new StoreError("SOURCE_INVALID", { source: shown, reason });
}

const SHOWN_PATH_BYTES = 1024;

function quoted(path: TreePath): string {
  return `"${displayName(path)}"`;
}
