import type { Nodes } from "../chunks/node-store.ts";
import { digestBytesOf } from "../format/blake3.ts";
import { encodeDirectoryLeaf, encodeIndex, encodeLinkLeaf } from "../format/pages.ts";
import type { IndexRow } from "../format/pages.ts";
import type { LinkGroup } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import type { Name } from "../model/name.ts";
import { EMPTY_LISTING, sumOf, totalsOf } from "../model/node.ts";
import type { Listing, Node } from "../model/node.ts";

/** Rows that stand on one page, however their keys hash. */
const SMALL_ROWS = 256;
/** No page is longer. Keys whose hashes never end a page are made on purpose: they must not give a page of 10^6 rows. */
const MAX_ROWS = 4096;

/**
 * Writes a directory as pages.
 *
 * Up to 256 rows stand on one page. More are cut after each row whose key's BLAKE3 ends in 8 zero bits, the index
 * rows of these pages again at 16 zero bits, and so on. So where pages end depends on the keys alone: a change of
 * one entry rewrites one leaf and the index above it, and the same entries always make the same pages.
 *
 * @param rows in byte order, names unique
 */
export function writeDirectory(nodes: Nodes, rows: readonly (readonly [Name, Node])[]): Listing {
  if (rows.length === 0) return EMPTY_LISTING;
  const leaf = (part: readonly (readonly [Name, Node])[]): IndexRow => ({
    lastKey: part.at(-1)?.[0] ?? "",
    page: nodes.put(encodeDirectoryLeaf(part)),
    ...sumOf(part.map(([, node]) => totalsOf(node))),
  });
  const top = writeLevels(nodes, "directory", cut(rows, 0, ([name]) => name).map(leaf));
  return { root: top.page, entries: top.entries, bytes: top.bytes };
}

/**
 * Writes the table of hard-link groups as pages, keyed by first path.
 *
 * @param groups in canonical order of their first paths
 */
export function writeLinks(nodes: Nodes, groups: readonly LinkGroup[]): Digest | null {
  if (groups.length === 0) return null;
  const leaf = (part: readonly LinkGroup[]): IndexRow => ({
    lastKey: part.at(-1)?.[0] ?? "",
    page: nodes.put(encodeLinkLeaf(part)),
    entries: part.length,
    bytes: 0,
  });
  return writeLevels(nodes, "links", cut(groups, 0, (group) => group[0] ?? "").map(leaf)).page;
}

function writeLevels(nodes: Nodes, kind: "directory" | "links", pages: readonly IndexRow[]): IndexRow {
  let level = 0;
  while (pages.length > 1) {
    level++;
    pages = cut(pages, level, (row) => row.lastKey).map((part) => ({
      lastKey: part.at(-1)?.lastKey ?? "",
      page: nodes.put(encodeIndex(kind, level, part)),
      ...sumOf(part),
    }));
  }
  const [top] = pages;
  if (top === undefined) throw new Error("no rows to write");
  return top;
}

function cut<Row>(rows: readonly Row[], level: number, keyOf: (row: Row) => string): Row[][] {
  if (rows.length <= SMALL_ROWS) return [[...rows]];
  const parts: Row[][] = [];
  let part: Row[] = [];
  for (const row of rows) {
    part.push(row);
    if (part.length === MAX_ROWS || endsPage(keyOf(row), level)) {
      parts.push(part);
      part = [];
    }
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

function endsPage(key: string, level: number): boolean {
  const digest = digestBytesOf(Buffer.from(key, "latin1"));
  for (let i = digest.length - 1 - level; i < digest.length; i++) if (digest[i] !== 0) return false;
  return true;
}
