import type { Digest } from "../model/digest.ts";
import { digestToBytes } from "../model/digest.ts";
import type { LinkGroup } from "../model/change.ts";
import { comparePaths, isEntryPath } from "../model/name.ts";
import type { Name } from "../model/name.ts";
import { PAGE_REFS, sumOf, totalsOf } from "../model/node.ts";
import type { DirectoryNode, Node, Totals } from "../model/node.ts";
import { decodeDirectory, decodeNode, encodeNode, encodeRef, packNode, TupleReader } from "./node.ts";
import { pack, unpack } from "./packing.ts";
import { FORMAT_VERSION, requireVersion } from "./record.ts";

/** One row of an index page: a page one level down, the key of its last row, and the totals below it. */
export interface IndexRow extends Totals {
  readonly lastKey: string;
  readonly page: Digest;
}

/** What a page says of all that is on it and below it. A directory's keys are names, a link table's first paths. */
export interface PageSummary extends Totals {
  readonly level: number;
  /** Of an index: the last key of its first page. */
  readonly firstKey: string;
  readonly lastKey: string;
}

/** A leaf's rows, or an index's rows of pages. */
export type Page<Leaf> = PageSummary & ({ readonly rows: Leaf } | { readonly pages: readonly IndexRow[] });

/** Rows of a directory in byte order. */
export type DirectoryRows = ReadonlyMap<Name, Node>;
/** Hard-link groups in canonical order of their first paths. */
export type LinkRows = readonly LinkGroup[];

/**
 * One page of a file's Merkle list: up to `PAGE_REFS` refs, of chunks at level 1, of pages one level down above that; null
 * is a run of zeros as long as the ref would cover. A page of nulls alone is never written: it is itself a null.
 */
export interface ContentPage {
  readonly level: number;
  readonly refs: readonly (Digest | null)[];
}

/** A tree record: the root directory and the link table's top page. */
export interface TreeRecord {
  readonly root: DirectoryNode;
  readonly links: Digest | null;
}

/** @param rows a node may be the bytes that `packNode` makes of it */
export function encodeDirectoryLeaf(rows: Iterable<readonly [Name, Node | Uint8Array]>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, node] of rows) parts.push(ROW, pack(name), node instanceof Uint8Array ? node : packNode(node));
  const head = [FORMAT_VERSION, "directory", 0].map(pack);
  return Buffer.concat([arrayHead(4), ...head, arrayHead(parts.length / 3), ...parts]);
}

/** How MessagePack begins an array of fewer than 2^16 elements. */
function arrayHead(length: number): Buffer {
  return length < 16 ? Buffer.of(0x90 | length) : Buffer.of(0xdc, length >>> 8, length & 0xff);
}

const ROW = arrayHead(2);

export function encodeLinkLeaf(groups: readonly LinkGroup[]): Buffer {
  return pack([FORMAT_VERSION, "links", 0, groups]);
}

export function encodeIndex(kind: "directory" | "links", level: number, pages: readonly IndexRow[]): Buffer {
  const rows = pages.map((row) => [row.lastKey, digestToBytes(row.page), row.entries, row.bytes]);
  return pack([FORMAT_VERSION, kind, level, rows]);
}

export function encodeContentPage({ level, refs }: ContentPage): Buffer {
  return pack([FORMAT_VERSION, "content", level, refs.map(encodeRef)]);
}

export function encodeTree(tree: TreeRecord): Buffer {
  return pack([FORMAT_VERSION, "tree", encodeNode(tree.root), encodeRef(tree.links)]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeDirectoryPage(bytes: Uint8Array, digest: Digest): Page<DirectoryRows> {
  return decodePage(bytes, "directory", digest, (list, record) => {
    const rows = list.map((item) => {
      const row = new TupleReader(item, record);
      const pair = [row.name(), decodeNode(row.next(), record)] as const;
      row.end();
      return pair;
    });
    return { rows: new Map(rows), keys: rows.map(([name]) => name), ...sumOf(rows.map(([, node]) => totalsOf(node))) };
  });
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeLinkPage(bytes: Uint8Array, digest: Digest): Page<LinkRows> {
  return decodePage(bytes, "links", digest, (list, record) => {
    const rows = list.map((item) => {
      const row = new TupleReader(item, record);
      const group = (item as unknown[]).map(() => row.byteString());
      if (group.length < 2) throw row.invalid("has a link group of one");
      if (!group.every(isEntryPath)) throw row.invalid("has a path that is none");
      requireOrder(group, row);
      return group;
    });
    return { rows, keys: rows.map(([first = ""]) => first), entries: rows.length, bytes: 0 };
  });
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeContentPage(bytes: Uint8Array, digest: Digest): ContentPage {
  const t = open(bytes, "content", `content page ${digest}`);
  const level = t.integer(1, MAX_LEVEL);
  const list = t.list();
  t.end();
  if (list.length === 0 || list.length > PAGE_REFS) throw t.invalid("has no or too many refs");
  const row = new TupleReader(list, t.record);
  const refs = list.map(() => row.ref());
  if (refs.every((ref) => ref === null)) throw t.invalid("is all zeros");
  return { level, refs };
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeTree(bytes: Uint8Array, digest: Digest): TreeRecord {
  const t = open(bytes, "tree", `tree ${digest}`);
  const root = decodeDirectory(t.next(), t.record);
  const links = t.ref();
  t.end();
  return { root, links };
}

interface LeafParts<Leaf> extends Totals {
  readonly rows: Leaf;
  readonly keys: readonly string[];
}

function decodePage<Leaf>(
  bytes: Uint8Array,
  kind: "directory" | "links",
  digest: Digest,
  decodeLeaf: (rows: readonly unknown[], record: string) => LeafParts<Leaf>,
): Page<Leaf> {
  const t = open(bytes, kind, `${kind} page ${digest}`);
  const level = t.integer(0, MAX_LEVEL);
  const list = t.list();
  t.end();
  if (level === 0) {
    const { rows, keys, entries, bytes: total } = decodeLeaf(list, t.record);
    return { level, rows, entries, bytes: total, ...requireOrder(keys, t) };
  }
  const pages = list.map((item) => {
    const row = new TupleReader(item, t.record);
    const decoded = { lastKey: row.byteString(), page: row.digest(), entries: row.integer(1), bytes: row.integer(0) };
    row.end();
    return decoded;
  });
  const keys = pages.map((row) => row.lastKey);
  return { level, pages, ...sumOf(pages), ...requireOrder(keys, t) };
}

function requireOrder(keys: readonly string[], t: TupleReader): { firstKey: string; lastKey: string } {
  const [firstKey] = keys;
  if (firstKey === undefined) throw t.invalid("is empty");
  for (let i = 1; i < keys.length; i++) {
    if (comparePaths(keys[i - 1] ?? "", keys[i] ?? "") >= 0) throw t.invalid("has rows out of order");
  }
  return { firstKey, lastKey: keys.at(-1) ?? firstKey };
}

/** More than any table of our making has; hostile ones must not make recursion deep. */
const MAX_LEVEL = 16;

function open(bytes: Uint8Array, kind: string, record: string): TupleReader {
  const t = new TupleReader(unpack(bytes, record), record);
  requireVersion(t.next(), record);
  if (t.next() !== kind) throw t.invalid(`is no ${kind}`);
  return t;
}
