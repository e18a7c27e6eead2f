import type { Digest } from "./digest.ts";

/** One extended attribute. `name` is a byte string with its prefix (`security.capability`); `value` may be empty. */
export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

/** What every node has. Times are a signed second and 0 ≤ `mtimeNsec` < 10^9, as in a Linux timespec. */
export interface Metadata {
  /** Permission bits with set-id and sticky, `[0 … 0o7777]`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  /** In byte order of their names, names unique. */
  readonly xattrs: readonly Xattr[];
}

/** Bytes per block of the one grid that all content is cut on. */
export const BLOCK_BYTES: number = 128 * 1024;

/** Refs in one Merkle page of content. */
export const PAGE_REFS = 256;

/**
 * A regular file's bytes. Cut at multiples of `BLOCK_BYTES` into blocks; `root` is
 *   - null if all blocks are zero (or there is none),
 *   - the chunk's digest if there is one block,
 *   - else the top Merkle page's digest, whose level follows from `size`.
 * So equal bytes have equal `size` and `root`. `sparse` says that the source had a hole.
 */
export interface Content {
  readonly size: number;
  readonly sparse: boolean;
  readonly root: Digest | null;
}

/** What lies below a directory, itself not counted: number of entries, bytes of regular files. */
export interface Totals {
  readonly entries: number;
  readonly bytes: number;
}

/** A directory's entries: digest of the top page (null if empty) and totals of the subtree. */
export interface Listing extends Totals {
  readonly root: Digest | null;
}

export interface FileNode extends Metadata {
  readonly type: "file";
  readonly linked: boolean;
  readonly content: Content;
}
export interface DirectoryNode extends Metadata {
  readonly type: "directory";
  readonly linked: false;
  readonly listing: Listing;
}
export interface SymlinkNode extends Metadata {
  readonly type: "symlink";
  readonly linked: boolean;
  /** A byte string, as stored by symlink(2). */
  readonly target: string;
}
export interface DeviceNode extends Metadata {
  readonly type: "character" | "block";
  readonly linked: boolean;
  readonly major: number;
  readonly minor: number;
}
export interface PipeNode extends Metadata {
  readonly type: "fifo" | "socket";
  readonly linked: boolean;
}

/**
 * One node of a tree as its directory entry holds it. `linked`: the name is one of a hard-link group, which the tree's
 * link table lists; all names of a group carry equal nodes.
 */
export type Node = FileNode | DirectoryNode | SymlinkNode | DeviceNode | PipeNode;
export type NodeType = Node["type"];

export const EMPTY_CONTENT: Content = { size: 0, sparse: false, root: null };
export const EMPTY_LISTING: Listing = { root: null, entries: 0, bytes: 0 };

/** The root that a tree has when its source names none, and each parent directory that a source leaves out. */
export const IMPLIED_DIRECTORY: Metadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: [] };

/** The longest target that symlink(2) takes: PATH_MAX without its NUL. */
const MAX_TARGET_BYTES = 4095;

/** What an entry adds to its directory: itself and what is below it. */
export function totalsOf(node: Node): Totals {
  if (node.type === "directory") return { entries: 1 + node.listing.entries, bytes: node.listing.bytes };
  return { entries: 1, bytes: node.type === "file" ? node.content.size : 0 };
}

/** Sums are clamped to 2^53 - 1: sizes that somebody made up must not make them inexact. */
export function sumOf(parts: Iterable<Totals>): Totals {
  let entries = 0;
  let bytes = 0;
  for (const part of parts) {
    entries = Math.min(entries + part.entries, Number.MAX_SAFE_INTEGER);
    bytes = Math.min(bytes + part.bytes, Number.MAX_SAFE_INTEGER);
  }
  return { entries, bytes };
}

/** Why no tree can hold this node, for a message: "has a mode out of range"; undefined if one can. */
export function flawOf(node: Node): string | undefined {
  if (!isUint(node.mode, 0o7777)) return "has a mode out of range";
  if (!isUint(node.uid, MAX_UINT32) || !isUint(node.gid, MAX_UINT32)) return "has an owner out of range";
  if (!Number.isSafeInteger(node.mtimeSec) || !isUint(node.mtimeNsec, 999_999_999)) return "has a time out of range";
  return xattrFlaw(node.xattrs) ?? ownFlaw(node);
}

function ownFlaw(node: Node): string | undefined {
  switch (node.type) {
    case "file":
      if (!isUint(node.content.size, Number.MAX_SAFE_INTEGER)) return "has a size out of range";
      return node.content.size === 0 && node.content.root !== null ? "is empty, but has content" : undefined;
    case "directory":
      return listingFlaw(node);
    case "symlink":
      return node.target.length === 0 || node.target.length > MAX_TARGET_BYTES || !isByteString(node.target)
        ? "has a target that no symbolic link can have"
        : undefined;
    case "character":
    case "block":
      return isUint(node.major, MAX_UINT32) && isUint(node.minor, MAX_UINT32)
        ? undefined
        : "has a device number out of range";
    case "fifo":
    case "socket":
      return undefined;
  }
}

function listingFlaw({ linked, listing: { root, entries, bytes } }: DirectoryNode): string | undefined {
  // Nodes are decoded from bytes, whatever the type says.
  if (linked as boolean) return "is a directory with hard links";
  if (!isUint(entries, Number.MAX_SAFE_INTEGER) || !isUint(bytes, Number.MAX_SAFE_INTEGER))
    return "has totals out of range";
  return (root === null) === (entries === 0) && (entries > 0 || bytes === 0) ? undefined : "has totals that cannot be";
}

function xattrFlaw(xattrs: readonly Xattr[]): string | undefined {
  let previous = "";
  for (const { name } of xattrs) {
    if (name <= previous) return "has extended attributes without a name or out of order";
    if (!isByteString(name)) return "has an extended attribute whose name is none";
    previous = name;
  }
  return undefined;
}

function isByteString(text: string): boolean {
  return !/[^\x01-\xff]/.test(text);
}

function isUint(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max;
}

const MAX_UINT32 = 2 ** 32 - 1;
