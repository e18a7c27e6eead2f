import type { TreePath } from "./name.ts";
import type { Content, DeviceNode, Metadata, Node, PipeNode, SymlinkNode } from "./node.ts";

/** Bytes that are already in the base, at `path`: for a metacopy file of a delta directory. */
export interface BaseContent {
  readonly base: TreePath;
}

/** A node as sources deliver it: a directory without its listing, and nothing about hard links. */
export type RawNode =
  | ({ readonly type: "file"; readonly content: Content | BaseContent } & Metadata)
  | ({ readonly type: "directory" } & Metadata)
  | Omit<SymlinkNode, "linked">
  | Omit<DeviceNode, "linked">
  | Omit<PipeNode, "linked">;

/**
 * What a source says, in any order; of two puts of one path the last wins.
 *
 * - `put`: this node is at `path`. Parents that are missing are implied. Over a directory, a directory keeps its
 *   entries and changes its metadata; everything else replaces what was there.
 * - `link`: `path` is one more name of what stands at `target` now.
 * - `whiteout`: what the base has at `path` and below is hidden. Puts of this stream stay, whether before or after.
 * - `opaque`: nothing of what the base has below `path` shows. Puts of this stream stay.
 * - `redirect`: the directory at `path` merges with the base's directory at `from` instead of its own.
 *
 * The last three say how the stream lies over the base, so where they stand in it makes no difference, but that a file put
 * over a directory takes along what was said of that. Whiteouts and opaque marks make no directories. Where redirects show
 * a directory of the base twice, its hard-link groups have both names, its other files are copies.
 */
export type RawChange =
  | { readonly kind: "put"; readonly path: TreePath; readonly node: RawNode }
  | { readonly kind: "link"; readonly path: TreePath; readonly target: TreePath }
  | { readonly kind: "whiteout"; readonly path: TreePath }
  | { readonly kind: "opaque"; readonly path: TreePath }
  | { readonly kind: "redirect"; readonly path: TreePath; readonly from: TreePath };

/** Takes the bytes of one file after the other. Whoever implements it decides where they go. */
export interface ContentWriter {
  /**
   * Appends to the current file.
   *
   * @param bytes borrowed until the call returns, so that a source can reuse one buffer
   * @returns a promise when the writer wants its caller to wait before it goes on
   */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Appends a hole: `length` zero bytes, and the file counts as sparse. */
  hole(length: number): void;
  /** Ends the current file; the next call starts another. */
  end(): Content;
}

/** Gives back what a `ContentWriter` took. */
export interface ContentReader {
  /**
   * The content from its beginning, in order: bytes (borrowed until the next step), or the length of a run of zeros.
   * Each block is verified before it is given out.
   *
   * @throws {StoreError} CHUNK_MISSING, CHUNK_CORRUPT, NODE_MISSING, NODE_CORRUPT
   */
  pieces(content: Content): Iterable<Uint8Array | number>;
}

/**
 * One difference between two trees, in canonical order of paths. A whole tree is its difference from nothing.
 *
 * A removed directory is one change; what was below it is not listed. `before` is undefined for what is new, `after`
 * for what is gone. `link` stands on each name of a hard-link group: the group's first path, which comes first.
 */
export interface Change {
  readonly path: TreePath;
  readonly before: Node | undefined;
  readonly after: Node | undefined;
  readonly link?: LinkGroup | undefined;
}

/** All names of one file: at least two paths, in canonical order. */
export type LinkGroup = readonly TreePath[];
