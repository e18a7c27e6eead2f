import type { NodeStore } from "../chunks/node-store.ts";
import { decodeDirectoryPage, decodeLinkPage, decodeTree, encodeTree } from "../format/pages.ts";
import type { DirectoryRows, LinkRows, Page } from "../format/pages.ts";
import type { LinkGroup } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { parentPath, ROOT, splitPath } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import { EMPTY_LISTING, IMPLIED_DIRECTORY } from "../model/node.ts";
import type { DirectoryNode, Listing, Node } from "../model/node.ts";

/** A whole filesystem state. `digest` names it: same visible state, same digest. */
export interface Tree {
  readonly digest: Digest;
  readonly root: DirectoryNode;
  /** Top page of the table of hard-link groups; null if there is none. */
  readonly links: Digest | null;
}

/** A leaf page as its parent names it. */
export interface LeafRef {
  readonly page: Digest;
  /** undefined if the leaf is the only page. */
  readonly lastKey: string | undefined;
}

// Decoded pages hold up to 256 nodes each, about 100 KB: this bounds the cache near 100 MB at the very worst.
const CACHED_PAGES = 1024;

/**
 * Reads trees. Pages are cached decoded by digest; as they never change, no entry ever goes stale.
 *
 * All reads are synchronous: a path of eight names must not wait eight times. They throw NODE_MISSING, NODE_CORRUPT,
 * FORMAT_INVALID and FORMAT_NEWER.
 */
export class TreeStore {
  readonly nodes: NodeStore;
  readonly #directories = new PageCache<Page<DirectoryRows>>(CACHED_PAGES);
  readonly #linkMaps = new PageCache<ReadonlyMap<TreePath, LinkGroup>>(4);

  /** Borrows `nodes`. */
  constructor(nodes: NodeStore) {
    this.nodes = nodes;
  }

  tree(digest: Digest): Tree {
    return { digest, ...decodeTree(this.nodes.get(digest), digest) };
  }

  /** Writes the record of a tree whose pages are written. */
  putTree(root: DirectoryNode, links: Digest | null): Tree {
    return { digest: this.nodes.put(encodeTree({ root, links })), root, links };
  }

  /** The tree that holds nothing: what a store's first container without a base stands on. */
  emptyTree(): Tree {
    return this.putTree({ type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing: EMPTY_LISTING }, null);
  }

  directoryPage(digest: Digest): Page<DirectoryRows> {
    return this.#directories.get(digest, () => decodeDirectoryPage(this.nodes.get(digest), digest));
  }

  /** One name of a directory: O(depth of its pages). */
  find(listing: Listing, name: Name): Node | undefined {
    let digest = listing.root;
    while (digest !== null) {
      const page = this.directoryPage(digest);
      if (!("pages" in page)) return page.rows.get(name);
      digest = page.pages[firstAtLeast(page.pages, name)]?.page ?? null;
    }
    return undefined;
  }

  /** @returns undefined if there is no such path. Symbolic links are not followed */
  lookup(tree: Tree, path: TreePath): Node | undefined {
    let node: Node = tree.root;
    for (const name of splitPath(path)) {
      if (node.type !== "directory") return undefined;
      const next = this.find(node.listing, name);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  /** The entries of a directory in byte order; one leaf in memory at a time. */
  *entries(listing: Listing): Generator<readonly [Name, Node]> {
    for (const leaf of this.leaves(listing.root)) yield* this.leafRows(leaf.page);
  }

  /** The leaf pages of a directory in order. */
  *leaves(root: Digest | null): Generator<LeafRef> {
    if (root === null) return;
    const page = this.directoryPage(root);
    if (!("pages" in page)) {
      yield { page: root, lastKey: undefined };
      return;
    }
    for (const row of page.pages) {
      if (page.level === 1) yield row;
      else yield* this.leaves(row.page);
    }
  }

  leafRows(digest: Digest): DirectoryRows {
    const page = this.directoryPage(digest);
    if ("pages" in page) throw new Error(`page ${digest} is no leaf`);
    return page.rows;
  }

  /** All hard-link groups in canonical order of their first paths. */
  *linkGroups(links: Digest | null): Generator<LinkGroup> {
    if (links === null) return;
    const page: Page<LinkRows> = decodeLinkPage(this.nodes.get(links), links);
    if ("pages" in page) for (const row of page.pages) yield* this.linkGroups(row.page);
    else yield* page.rows;
  }

  /** The group of each path that has one. */
  linkMap(tree: Tree): ReadonlyMap<TreePath, LinkGroup> {
    const { links } = tree;
    if (links === null) return NO_LINKS;
    return this.#linkMaps.get(links, () => {
      const map = new Map<TreePath, LinkGroup>();
      for (const group of this.linkGroups(links)) for (const path of group) map.set(path, group);
      return map;
    });
  }
}

const NO_LINKS: ReadonlyMap<TreePath, LinkGroup> = new Map();

/** Each directory above `path`, from its parent to the root. */
export function* ancestors(path: TreePath): Generator<TreePath> {
  while (path !== ROOT) {
    path = parentPath(path);
    yield path;
  }
}

/** Index of the first page whose last key is at least `key`. */
function firstAtLeast(pages: readonly { readonly lastKey: string }[], key: string): number {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pages[middle]?.lastKey ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Keeps the `size` values last used. */
class PageCache<V> {
  readonly #size: number;
  readonly #values = new Map<Digest, V>();

  constructor(size: number) {
    this.#size = size;
  }

  get(digest: Digest, load: () => V): V {
    let value = this.#values.get(digest);
    if (value === undefined) {
      value = load();
      const [oldest] = this.#values.size >= this.#size ? this.#values.keys() : [];
      if (oldest !== undefined) this.#values.delete(oldest);
    } else {
      this.#values.delete(digest);
    }
    this.#values.set(digest, value);
    return value;
  }
}
