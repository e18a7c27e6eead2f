import { StoreError } from "../errors.ts";
import type { LinkGroup, RawChange, RawNode } from "../model/change.ts";
import { baseName, comparePaths, displayName, joinPath, parentPath, ROOT, splitPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import { EMPTY_LISTING, IMPLIED_DIRECTORY } from "../model/node.ts";
import type { DirectoryNode, Listing, Metadata, Node } from "../model/node.ts";
import { writeDirectory, writeLinks } from "./page-writer.ts";
import type { Tree, TreeStore } from "./tree-store.ts";

/** One file of the stream, under as many names as point to it. */
interface Inode {
  readonly kind: "inode";
  /** Its `linked` is not decided yet. */
  node: Exclude<Node, DirectoryNode>;
  names: TreePath[];
}

/** A directory that the stream touched: its entries lie over those of the base's directory it merges with. */
interface Touched {
  readonly kind: "directory";
  metadata: Metadata;
  base: { readonly path: TreePath; readonly listing: Listing } | undefined;
  entries: Map<Name, Slot>;
}

/** `hidden`: a whiteout over an entry of the base. */
type Slot = Inode | Touched | "hidden";

/**
 * Turns a stream of raw changes, over a base tree or over nothing, into a tree.
 *
 * It is the union mount in memory: what the stream put lies over the base, which is read only where the stream went.
 * So it costs what changed, not what is there; memory about 400 bytes per entry put. Hard links are names of one
 * object here, which makes every order of puts and links come out as it would on a file system.
 */
export class TreeBuilder {
  readonly #store: TreeStore;
  readonly #base: Tree | undefined;
  readonly #root: Touched;
  /** Groups of the base that the stream linked to, by first path. */
  readonly #adopted = new Map<TreePath, Inode>();
  // Streams put siblings in a row: the directory of the last path saves most walks from the root.
  #last: { path: TreePath; directory: Touched };

  constructor(store: TreeStore, base?: Tree) {
    this.#store = store;
    this.#base = base;
    this.#root = {
      kind: "directory",
      metadata: base?.root ?? IMPLIED_DIRECTORY,
      base: base && { path: ROOT, listing: base.root.listing },
      entries: new Map(),
    };
    this.#last = { path: ROOT, directory: this.#root };
  }

  /** @throws {StoreError} SOURCE_INVALID if the change cannot be: below a file, a link to nothing or to a directory */
  apply(change: RawChange): void {
    switch (change.kind) {
      case "put":
        this.#put(change.path, change.node);
        return;
      case "link":
        this.#link(change.path, change.target);
        return;
      case "whiteout":
        this.#hide(change.path);
        return;
      case "opaque":
        this.#directory(change.path).base = undefined;
        return;
      case "redirect": {
        const from = this.#baseNode(change.from);
        if (from?.type !== "directory")
          throw invalid(change.path, `redirects to ${quoted(change.from)}, which is no directory of the base`);
        this.#directory(change.path).base = { path: change.from, listing: from.listing };
        return;
      }
    }
  }

  /** Writes what is new of the tree. The builder is used up. */
  finish(): Tree {
    const groups = this.#settleLinks();
    const { listing } = this.#writeDirectories();
    const links = writeLinks(this.#store.nodes, groups);
    return this.#store.putTree(asDirectory(this.#root.metadata, listing), links);
  }

  #put(path: TreePath, node: RawNode): void {
    if (node.type === "directory") {
      const directory = path === ROOT ? this.#root : this.#putDirectory(path);
      directory.metadata = node;
      return;
    }
    if (path === ROOT) throw invalid(path, "the root is no directory");
    const settled =
      node.type === "file" && "base" in node.content ? this.#withBaseContent(path, node, node.content.base) : node;
    this.#set(path, { kind: "inode", node: { ...settled, linked: false } as Inode["node"], names: [] });
  }

  #putDirectory(path: TreePath): Touched {
    const parent = this.#directory(parentPath(path));
    const name = baseName(path);
    const slot = parent.entries.get(name);
    if (slot !== undefined && slot !== "hidden" && slot.kind === "directory") return slot;
    const below = slot === undefined ? this.#inBase(parent, name) : undefined;
    const directory = touched(parent, name, below?.type === "directory" ? below : undefined);
    this.#set(path, directory);
    return directory;
  }

  #withBaseContent(path: TreePath, node: RawNode & { type: "file" }, base: TreePath): RawNode {
    const source = this.#baseNode(base);
    if (source?.type !== "file")
      throw invalid(path, `its data should be that of ${quoted(base)}, which is no file of the base`);
    return { ...node, content: source.content };
  }

  #link(path: TreePath, target: TreePath): void {
    if (path === target) return;
    this.#set(path, this.#inodeAt(target, path));
  }

  /** The file at `target` as an object that can have another name; taken over from the base if it lies there. */
  #inodeAt(target: TreePath, path: TreePath): Inode {
    const refuse = (): StoreError => invalid(path, `is a hard link to ${quoted(target)}, which is no file here`);
    if (target === ROOT) throw refuse();
    const parent = this.#directory(parentPath(target));
    const name = baseName(target);
    const slot = parent.entries.get(name);
    if (slot === "hidden" || slot?.kind === "directory") throw refuse();
    if (slot !== undefined) return slot;
    const node = this.#inBase(parent, name);
    if (node === undefined || node.type === "directory") throw refuse();
    const group = node.linked ? this.#baseLinks().get(joinPath(parent.base?.path ?? ROOT, name)) : undefined;
    const key = group?.[0];
    if (key === undefined) {
      const inode: Inode = { kind: "inode", node: { ...node, linked: false }, names: [] };
      parent.entries.set(name, inode);
      return inode;
    }
    let adopted = this.#adopted.get(key);
    if (adopted === undefined) this.#adopted.set(key, (adopted = { kind: "inode", node, names: [] }));
    return adopted;
  }

  #hide(path: TreePath): void {
    if (path === ROOT) throw invalid(path, "the root is whited out");
    const parent = this.#directory(parentPath(path));
    const name = baseName(path);
    const slot = parent.entries.get(name);
    if (slot === undefined) {
      if (this.#inBase(parent, name) !== undefined) this.#set(path, "hidden");
    } else if (slot !== "hidden" && slot.kind === "directory") {
      slot.base = undefined;
    }
  }

  #set(path: TreePath, slot: Slot): void {
    this.#directory(parentPath(path)).entries.set(baseName(path), slot);
    if (this.#last.path === path || this.#last.path.startsWith(`${path}/`))
      this.#last = { path: ROOT, directory: this.#root };
  }

  /** The directory at `path`, touched; made if there is none. */
  #directory(path: TreePath): Touched {
    if (this.#last.path === path) return this.#last.directory;
    const inside = this.#last.path !== ROOT && path.startsWith(`${this.#last.path}/`);
    let directory = inside ? this.#last.directory : this.#root;
    for (const name of splitPath(inside ? path.slice(this.#last.path.length + 1) : path)) {
      const slot = directory.entries.get(name);
      if (slot !== undefined && slot !== "hidden") {
        if (slot.kind === "inode") throw invalid(path, `${quoted(name)} above it is no directory`);
        directory = slot;
        continue;
      }
      const below = slot === undefined ? this.#inBase(directory, name) : undefined;
      const next = touched(directory, name, below?.type === "directory" ? below : undefined);
      directory.entries.set(name, next);
      directory = next;
    }
    this.#last = { path, directory };
    return directory;
  }

  #inBase(directory: Touched, name: Name): Node | undefined {
    return directory.base && this.#store.find(directory.base.listing, name);
  }

  #baseNode(path: TreePath): Node | undefined {
    return this.#base && this.#store.lookup(this.#base, path);
  }

  #baseLinks(): ReadonlyMap<TreePath, LinkGroup> {
    return this.#base ? this.#store.linkMap(this.#base) : new Map<TreePath, LinkGroup>();
  }

  /** Decides which names are linked: those of the stream, and those of the base that the stream left in place. */
  #settleLinks(): LinkGroup[] {
    const merged = new Map<TreePath, { path: TreePath; directory: Touched }[]>();
    const inodes = new Set<Inode>(this.#adopted.values());
    for (const { path, directory } of this.#touchedDirectories()) {
      if (directory.base) getOrAdd(merged, directory.base.path).push({ path, directory });
      for (const [name, slot] of directory.entries) {
        if (slot === "hidden" || slot.kind === "directory") continue;
        slot.names.push(joinPath(path, name));
        inodes.add(slot);
      }
    }
    const groups: LinkGroup[] = [];
    const single: TreePath[] = [];
    for (const group of this.#base ? this.#store.linkGroups(this.#base.links) : []) {
      const kept = group.flatMap((path) => stillShown(path, merged)).sort(comparePaths);
      const adopted = this.#adopted.get(group[0] ?? ROOT);
      adopted?.names.push(...kept);
      const names = adopted?.names ?? kept;
      if (names.length === 1) single.push(...kept);
      else if (adopted === undefined && names.length > 1) groups.push(kept);
    }
    for (const inode of inodes) {
      const linked = inode.names.length > 1;
      inode.node = { ...inode.node, linked };
      if (linked) groups.push(inode.names.sort(comparePaths));
    }
    // Only now: it touches directories, and what is still shown was found out without these.
    for (const path of single) this.#unlinked(path);
    return groups.sort((a, b) => comparePaths(a[0] ?? ROOT, b[0] ?? ROOT));
  }

  /** The last name of a group of the base stays where it is, as a file of one name. */
  #unlinked(path: TreePath): void {
    const parent = this.#directory(parentPath(path));
    const node = this.#inBase(parent, baseName(path));
    if (node === undefined || node.type === "directory") throw new Error(`link table names ${path}, which is no file`);
    this.#set(path, { kind: "inode", node: { ...node, linked: false }, names: [path] });
  }

  *#touchedDirectories(): Generator<{ path: TreePath; directory: Touched }> {
    const stack = [{ path: ROOT, directory: this.#root }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      yield top;
      for (const [name, slot] of top.directory.entries) {
        if (slot !== "hidden" && slot.kind === "directory")
          stack.push({ path: joinPath(top.path, name), directory: slot });
      }
    }
  }

  /** Writes children before parents, without recursion: trees may be deeper than the call stack. */
  #writeDirectories(): DirectoryNode {
    const written = new Map<Touched, DirectoryNode>();
    const order = Array.from(this.#touchedDirectories(), ({ directory }) => directory).reverse();
    for (const directory of order) {
      const untouched = directory.entries.size === 0 && directory.base !== undefined;
      const listing = untouched
        ? (directory.base?.listing ?? EMPTY_LISTING)
        : writeDirectory(this.#store.nodes, this.#mergedRows(directory, written));
      written.set(directory, asDirectory(directory.metadata, listing));
      directory.entries = new Map();
    }
    const root = written.get(this.#root);
    if (root === undefined) throw new Error("the root was not written");
    return root;
  }

  #mergedRows(directory: Touched, written: Map<Touched, DirectoryNode>): (readonly [Name, Node])[] {
    const rows: (readonly [Name, Node])[] = [];
    for (const row of directory.base ? this.#store.entries(directory.base.listing) : []) {
      if (!directory.entries.has(row[0])) rows.push(row);
    }
    for (const [name, slot] of directory.entries) {
      if (slot === "hidden") continue;
      const node = slot.kind === "inode" ? slot.node : written.get(slot);
      if (node === undefined) throw new Error(`directory ${name} was not written`);
      if (slot.kind === "directory") written.delete(slot);
      rows.push([name, node]);
    }
    return rows.sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function touched(parent: Touched, name: Name, base: DirectoryNode | undefined): Touched {
  return {
    kind: "directory",
    metadata: base ?? IMPLIED_DIRECTORY,
    base: base && { path: joinPath(parent.base?.path ?? ROOT, name), listing: base.listing },
    entries: new Map(),
  };
}

/** Where the result still shows the base's `path`: nowhere if the stream covered it, elsewhere if it was redirected. */
function stillShown(
  path: TreePath,
  merged: ReadonlyMap<TreePath, { path: TreePath; directory: Touched }[]>,
): TreePath[] {
  const names = splitPath(path);
  const shown: TreePath[] = [];
  let above = ROOT;
  for (const [i, name] of names.entries()) {
    for (const { path: at, directory } of merged.get(above) ?? []) {
      if (!directory.entries.has(name)) shown.push(joinPath(at, names.slice(i).join("/")));
    }
    above = joinPath(above, name);
  }
  return shown;
}

function asDirectory(metadata: Metadata, listing: Listing): DirectoryNode {
  const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = metadata;
  return { type: "directory", linked: false, mode, uid, gid, mtimeSec, mtimeNsec, xattrs, listing };
}

function getOrAdd<K, V>(map: Map<K, V[]>, key: K): V[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}

function invalid(path: TreePath, reason: string): StoreError {
  return new StoreError("SOURCE_INVALID", { source: path === ROOT ? "/" : displayName(path), reason });
}

function quoted(path: TreePath): string {
  return `"${displayName(path)}"`;
}
