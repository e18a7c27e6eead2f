import type { Nodes } from "../chunks/node-store.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { digestBytesOf } from "../format/blake3.ts";
import { encodeDirectoryLeaf, encodeIndex, encodeLinkLeaf } from "../format/pages.ts";
import type { IndexRow } from "../format/pages.ts";
import { MAX_ELEMENTS, unpack } from "../format/packing.ts";
import type { LinkGroup } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import type { Name } from "../model/name.ts";
import { EMPTY_LISTING, sumOf, totalsOf } from "../model/node.ts";
import type { Listing, Node } from "../model/node.ts";
import type { EncodedNode } from "./packed-nodes.ts";

/** Rows that stand on one page, however their keys hash. */
const SMALL_ROWS = 256;
/** No page is longer. Keys whose hashes never end a page are made on purpose: they must not give a page of 10^6 rows. */
const MAX_ROWS = 4096;
/** What a packet of a stream takes. Only extended attributes, and hard links by the million, make pages as large. */
const MAX_PAGE_BYTES = 64 << 20;

export type DirectoryRow = readonly [Name, Node | EncodedNode];

/**
 * Writes a directory as pages.
 *
 * Up to 256 rows stand on one page. More are cut after each row whose key's BLAKE3 ends in 8 zero bits, the index
 * rows of these pages again at 16 zero bits, and so on. So where pages end depends on the keys alone: a change of
 * one entry rewrites one leaf and the index above it, and the same entries always make the same pages.
 *
 * @param rows in byte order, names unique; of a leaf's rows all are in memory
 * @throws {StoreError} UNSUPPORTED for rows that no page holds
 */
export function writeDirectory(nodes: Nodes, rows: Iterable<DirectoryRow>): Listing {
  const leaf = (part: readonly DirectoryRow[]): IndexRow => {
    const lastKey = part.at(-1)?.[0] ?? "";
    const bytes = part.reduce((sum, [, node]) => sum + ("totals" in node ? node.bytes.length : 0), 0);
    if (bytes > MAX_PAGE_BYTES) throw tooLarge(lastKey);
    const page = encodeDirectoryLeaf(part.map(([name, node]) => [name, "totals" in node ? node.bytes : node]));
    return {
      lastKey,
      page: nodes.put(requireReadable(page, lastKey)),
      ...sumOf(part.map(([, node]) => ("totals" in node ? node.totals : totalsOf(node)))),
    };
  };
  const leaves = Array.from(
    cut(rows, 0, ([name]) => name),
    leaf,
  );
  if (leaves.length === 0) return EMPTY_LISTING;
  const top = writeLevels(nodes, "directory", leaves);
  return { root: top.page, entries: top.entries, bytes: top.bytes };
}

/**
 * Writes the table of hard-link groups as pages, keyed by first path.
 *
 * @param groups in canonical order of their first paths
 * @throws {StoreError} UNSUPPORTED for groups that no page holds
 */
export function writeLinks(nodes: Nodes, groups: readonly LinkGroup[]): Digest | null {
  if (groups.length === 0) return null;
  const leaf = (part: readonly LinkGroup[]): IndexRow => {
    const lastKey = part.at(-1)?.[0] ?? "";
    const bytes = part.reduce((sum, group) => group.reduce((s, path) => s + path.length, sum), 0);
    if (bytes > MAX_PAGE_BYTES) throw tooLarge(lastKey);
    return { lastKey, page: nodes.put(requireReadable(encodeLinkLeaf(part), lastKey)), entries: part.length, bytes: 0 };
  };
  return writeLevels(
    nodes,
    "links",
    Array.from(
      cut(groups, 0, (group) => group[0] ?? ""),
      leaf,
    ),
  ).page;
}

/** A page that could not be read must not be written. */
function requireReadable(page: Buffer, lastKey: string): Buffer {
  if (page.length > MAX_ELEMENTS)
    try {
      unpack(page, "a page");
    } catch (error) {
      if (!isStoreError(error, "FORMAT_INVALID")) throw error;
      throw tooLarge(lastKey);
    }
  return page;
}

function tooLarge(lastKey: string): StoreError {
  const shown = displayName(lastKey.slice(0, SHOWN_KEY_BYTES));
  return new StoreError("UNSUPPORTED", {
    what: `a page of a tree above ${MAX_PAGE_BYTES / 2 ** 20} MiB or ${MAX_ELEMENTS} elements, that which ends with "${shown}"`,
    hint: "leave out what has so many hard links, or so large extended attributes",
  });
}

const SHOWN_KEY_BYTES = 1024;

function writeLevels(nodes: Nodes, kind: "directory" | "links", pages: readonly IndexRow[]): IndexRow {
  let level = 0;
  while (pages.length > 1) {
    level++;
    pages = Array.from(
      cut(pages, level, (row) => row.lastKey),
      (part) => ({
        lastKey: part.at(-1)?.lastKey ?? "",
        page: nodes.put(encodeIndex(kind, level, part)),
        ...sumOf(part),
      }),
    );
  }
  const [top] = pages;
  if (top === undefined) throw new Error("no rows to write");
  return top;
}

function* cut<Row>(rows: Iterable<Row>, level: number, keyOf: (row: Row) => string): Generator<Row[]> {
  let part: Row[] = [];
  /** Where pages end is asked only once there is more than one page. */
  let small: Row[] | undefined = [];
  for (const row of rows) {
    if (small !== undefined) {
      small.push(row);
      if (small.length <= SMALL_ROWS) continue;
    }
    for (const each of small ?? [row]) {
      part.push(each);
      if (part.length < MAX_ROWS && !endsPage(keyOf(each), level)) continue;
      yield part;
      part = [];
    }
    small = undefined;
  }
  part = small ?? part;
  if (part.length > 0) yield part;
}

function endsPage(key: string, level: number): boolean {
  const digest = digestBytesOf(Buffer.from(key, "latin1"));
  for (let i = digest.length - 1 - level; i < digest.length; i++) if (digest[i] !== 0) return false;
  return true;
}
