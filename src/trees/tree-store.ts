import { Claims } from "../chunks/claims.ts";
import type { Nodes } from "../chunks/node-store.ts";
import { StoreError } from "../errors.ts";
import { decodeDirectoryPage, decodeLinkPage, decodeTree, encodeTree } from "../format/pages.ts";
import type { DirectoryRows, IndexRow, LinkRows, Page, PageSummary } from "../format/pages.ts";
import type { LinkGroup } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { comparePaths, splitPath } from "../model/name.ts";
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

/** A page of a directory or link table, and what the page or node that names it says of it. */
export interface PageRef extends Partial<PageSummary> {
  readonly page: Digest;
  /** All its keys are greater. */
  readonly after: string;
}

/** Rows of all pages that are kept decoded, at about 400 bytes each. */
const CACHED_ROWS = 200_000;
const CACHED_LINK_MAPS = 4;

/**
 * Reads trees. Pages are cached decoded by digest; as they never change, no entry ever goes stale.
 *
 * All reads are synchronous: a path of eight names must not wait eight times. They throw NODE_MISSING, NODE_CORRUPT,
 * FORMAT_INVALID and FORMAT_NEWER.
 */
export class TreeStore {
  readonly nodes: Nodes;
  readonly #claims: Claims;
  readonly #directories = new RecentlyUsed<Page<DirectoryRows>>(CACHED_ROWS, (page) =>
    "pages" in page ? page.pages.length : page.rows.size,
  );
  readonly #linkMaps = new RecentlyUsed<ReadonlyMap<TreePath, LinkGroup>>(CACHED_LINK_MAPS, () => 1);

  /** Borrows both. */
  constructor(nodes: Nodes, claims: Claims = new Claims()) {
    this.nodes = nodes;
    this.#claims = claims;
  }

  /** The tree, which is claimed: whoever asks is about to read it, or to name it. */
  tree(digest: Digest): Tree {
    this.#claims.claimTree(digest);
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

  /** One name of a directory: O(depth of its pages). */
  find(listing: Listing, name: Name): Node | undefined {
    let ref = topOf(listing);
    while (ref !== undefined) {
      const page = this.#directoryPage(ref);
      if (!("pages" in page)) return page.rows.get(name);
      ref = rowRef(page, firstAtLeast(page.pages, name), ref);
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
    for (const leaf of this.leaves(listing)) yield* this.leafRows(leaf);
  }

  /** As `entries`, for a walk through all of a tree: of a million entries the cache would keep the last, and nothing that others need. */
  *entriesOnce(listing: Listing): Generator<readonly [Name, Node]> {
    const top = topOf(listing);
    if (top !== undefined) yield* this.#entriesBelow(top);
  }

  *#entriesBelow(ref: PageRef): Generator<readonly [Name, Node]> {
    const page = this.#readPage(ref);
    if ("pages" in page) for (const row of rowRefs(page, ref)) yield* this.#entriesBelow(row);
    else yield* page.rows;
  }

  /** The leaf pages of a directory in order. They are not read but for one that is the only page. */
  *leaves(listing: Listing): Generator<PageRef> {
    const top = topOf(listing);
    if (top !== undefined) yield* this.#leavesBelow(top);
  }

  *#leavesBelow(ref: PageRef): Generator<PageRef> {
    if (ref.level === 0) {
      yield ref;
      return;
    }
    const page = this.#directoryPage(ref);
    if (!("pages" in page)) yield ref;
    else for (const row of rowRefs(page, ref)) yield* this.#leavesBelow(row);
  }

  leafRows(leaf: PageRef): DirectoryRows {
    const page = this.#directoryPage(leaf);
    if ("pages" in page) throw new Error(`page ${leaf.page} is no leaf`);
    return page.rows;
  }

  /** As `leafRows`, for whoever keeps what is on the page: the page itself is not kept. */
  readLeaf(leaf: PageRef): DirectoryRows {
    const page = this.#readPage(leaf);
    // A directory's only page is not known to be a leaf before it is read.
    return "pages" in page ? this.leafRows(leaf) : page.rows;
  }

  #readPage(ref: PageRef): Page<DirectoryRows> {
    return requireSummary(decodeDirectoryPage(this.nodes.get(ref.page), ref.page), ref);
  }

  #directoryPage(ref: PageRef): Page<DirectoryRows> {
    const page = this.#directories.get(ref.page, () => decodeDirectoryPage(this.nodes.get(ref.page), ref.page));
    return requireSummary(page, ref);
  }

  /** All hard-link groups in canonical order of their first paths. */
  *linkGroups(links: Digest | null): Generator<LinkGroup> {
    if (links !== null) yield* this.#groupsBelow({ page: links, after: "" });
  }

  *#groupsBelow(ref: PageRef): Generator<LinkGroup> {
    const page: Page<LinkRows> = requireSummary(decodeLinkPage(this.nodes.get(ref.page), ref.page), ref);
    if ("pages" in page) for (const row of rowRefs(page, ref)) yield* this.#groupsBelow(row);
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

export function topOf({ root, entries, bytes }: Listing): PageRef | undefined {
  return root === null ? undefined : { page: root, after: "", entries, bytes };
}

export function* rowRefs(page: Index, ref: PageRef): Generator<PageRef> {
  for (let i = 0, row = rowRef(page, i, ref); row !== undefined; row = rowRef(page, ++i, ref)) yield row;
}

function rowRef(page: Index, i: number, ref: PageRef): PageRef | undefined {
  const row = page.pages[i];
  return row && { ...row, level: page.level - 1, after: page.pages[i - 1]?.lastKey ?? ref.after };
}

type Index = PageSummary & { readonly pages: readonly IndexRow[] };

/**
 * A store's files may have been edited so that all digests fit. So no page is believed to be what its parent says of it:
 * then levels fall, keys rise and totals add up, and reading ends.
 */
export function requireSummary<P extends PageSummary>(page: P, ref: PageRef): P {
  if (
    page.level === (ref.level ?? page.level) &&
    page.lastKey === (ref.lastKey ?? page.lastKey) &&
    page.entries === (ref.entries ?? page.entries) &&
    page.bytes === (ref.bytes ?? page.bytes) &&
    (ref.after === "" || comparePaths(page.firstKey, ref.after) > 0)
  )
    return page;
  throw new StoreError("FORMAT_INVALID", { record: `page ${ref.page}`, reason: "is not what its parent says" });
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

/**
 * Keeps what was used lately, up to about `room`. In two generations rather than in order of use: moving an entry of a Map
 * to its end at each use would cost four times the lookup once the Map is large.
 */
class RecentlyUsed<V> {
  readonly #room: number;
  readonly #weightOf: (value: V) => number;
  #young = new Map<Digest, V>();
  #old = new Map<Digest, V>();
  #youngWeight = 0;

  constructor(room: number, weightOf: (value: V) => number) {
    this.#room = room;
    this.#weightOf = weightOf;
  }

  get(digest: Digest, load: () => V): V {
    const young = this.#young.get(digest);
    if (young !== undefined) return young;
    const value = this.#old.get(digest) ?? load();
    this.#youngWeight += this.#weightOf(value);
    if (this.#youngWeight > this.#room / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngWeight = this.#weightOf(value);
    }
    this.#young.set(digest, value);
    return value;
  }
}
