import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { errnoOf, StoreError } from "../errors.ts";
import { parseDigest } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { joinPath, ROOT } from "../model/name.ts";
import { formatIdMap, parseIdMap } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import type { TreePath } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { writeFileDurably } from "../sys/durable.ts";
import { PathWalker } from "../sys/path-walker.ts";
import type { Stat } from "../sys/stat.ts";

/**
 * What an export was when it was made: inode, size and ctime of each entry, in byte order of names, parents first.
 *
 * Nothing changes a file's bytes, metadata or names and leaves its ctime, which no call can set; so a walk (3 µs an
 * entry) finds each change without reading a byte. The root is left out: being renamed into place changes its ctime. So
 * is what a user who is not root has in directories that he may not read: nothing in there changes before their mode.
 */
export type Manifest = ReadonlyMap<TreePath, string>;

/** An export as it is on disk. */
export interface ExportScan {
  readonly manifest: Manifest;
  /** Of all its blocks, each inode's once. */
  readonly diskBytes: number;
}

/** What a manifest says of the whole export. */
export interface ManifestHeader {
  /** The tree that it lies over; null for a whole one. */
  readonly over: Digest | null;
  readonly idMap: IdMap | null;
  readonly entries: number;
  readonly diskBytes: number;
}

export function readExport(directory: string): ExportScan {
  const manifest = new Map<TreePath, string>();
  const linked = new Set<bigint>();
  let blocks = 0;
  using root = unlessUnreadable(() => DirectoryHandle.open(directory));
  if (root === undefined) return { manifest, diskBytes: 0 };
  using walker = PathWalker.open(root);
  const count = (stat: Stat): void => {
    if (stat.nlink > 1 && stat.type !== "directory") {
      if (linked.has(stat.ino)) return;
      linked.add(stat.ino);
    }
    blocks += stat.blocks;
  };
  count(root.statSelf());
  const pending: TreePath[] = [ROOT];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const names = unlessUnreadable(() => {
      walker.goTo(path);
      return walker.current.list();
    });
    const below: TreePath[] = [];
    for (const name of names ?? []) {
      const child = joinPath(path, name);
      const stat = walker.current.stat(name);
      manifest.set(child, identityOf(stat));
      count(stat);
      if (stat.type === "directory") below.push(child);
    }
    pending.push(...below.reverse());
  }
  return { manifest, diskBytes: blocks * BLOCK_BYTES };
}

/** Another one after each change. */
export function identityOf({ ino, size, ctimeSec, ctimeNsec }: Stat): string {
  return `${ino} ${size} ${ctimeSec}.${ctimeNsec}`;
}

const BLOCK_BYTES = 512;

function unlessUnreadable<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}

/**
 * As `<identity>\t<path>\0` for each entry; no path holds a NUL. Before them, as JSON and a NUL, what is said of the whole: the tree
 * that it lies over, the id map as `formatIdMap` has it, both null for none, entries and bytes on disk.
 */
export function writeManifest(
  file: string,
  { manifest, diskBytes }: ExportScan,
  { over, idMap }: Pick<ManifestHeader, "over" | "idMap">,
): void {
  const header = [over, idMap && formatIdMap(idMap), manifest.size, diskBytes];
  const rows = Array.from(manifest, ([path, identity]) => `${identity}\t${path}\0`);
  writeFileDurably(file, Buffer.from([JSON.stringify(header), "\0", ...rows].join(""), "latin1"), 0o600);
}

/** @throws {StoreError} FORMAT_INVALID, USAGE if it is damaged */
export function readManifest(file: string): { readonly manifest: Manifest; readonly header: ManifestHeader } {
  const manifest = new Map<TreePath, string>();
  const [first = "", ...rows] = readFileSync(file, "latin1").split("\0");
  const header = parseHeader(file, first);
  for (const row of rows.slice(0, -1)) {
    const tab = row.indexOf("\t");
    if (tab < 0) throw new StoreError("FORMAT_INVALID", { record: file, reason: "has a row without a tab" });
    manifest.set(row.slice(tab + 1), row.slice(0, tab));
  }
  if (manifest.size !== header.entries)
    throw new StoreError("FORMAT_INVALID", { record: file, reason: `has ${manifest.size} rows of ${header.entries}` });
  return { manifest, header };
}

/** Its beginning alone is read. @throws {StoreError} FORMAT_INVALID, USAGE if that is damaged */
export function readManifestHeader(file: string): ManifestHeader {
  const fd = openSync(file, "r");
  try {
    const bytes = Buffer.alloc(HEADER_MAX_BYTES);
    const length = readSync(fd, bytes, 0, bytes.length, 0);
    return parseHeader(file, bytes.toString("latin1", 0, length).split("\0", 1)[0] ?? "");
  } finally {
    closeSync(fd);
  }
}

/** An id map has at most 340 ranges for users, and as many for groups. */
const HEADER_MAX_BYTES = 64 * 1024;

function parseHeader(file: string, text: string): ManifestHeader {
  const invalid = (): StoreError => new StoreError("FORMAT_INVALID", { record: file, reason: "has no header" });
  let tuple: unknown;
  try {
    tuple = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid();
    throw error;
  }
  if (!Array.isArray(tuple)) throw invalid();
  const [over, map, entries, diskBytes] = tuple as unknown[];
  const digest = over === null ? null : typeof over === "string" ? parseDigest(over) : undefined;
  const ranges =
    map === null || (Array.isArray(map) && map.every((range) => typeof range === "string")) ? map : undefined;
  if (
    digest === undefined ||
    ranges === undefined ||
    !Number.isSafeInteger(entries) ||
    !Number.isSafeInteger(diskBytes)
  )
    throw invalid();
  const idMap = ranges === null ? null : parseIdMap(ranges);
  return { over: digest, idMap, entries: entries as number, diskBytes: diskBytes as number };
}

/** Paths that are not, or no longer, as the manifest has them. */
export function changedPaths(then: Manifest, now: Manifest): TreePath[] {
  const changed: TreePath[] = [];
  for (const [path, identity] of then) if (now.get(path) !== identity) changed.push(path);
  for (const path of now.keys()) if (!then.has(path)) changed.push(path);
  return changed;
}
