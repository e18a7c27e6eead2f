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
export const BLOCK_BYTES = 128 * 1024;

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
