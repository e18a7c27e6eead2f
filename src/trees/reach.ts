import { pageLevels } from "../chunks/content-writer.ts";
import type { NodeStore } from "../chunks/node-store.ts";
import { decodeContentPage, decodeDirectoryPage, decodeLinkPage, decodeTree } from "../format/pages.ts";
import type { Digest } from "../model/digest.ts";
import type { Name } from "../model/name.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Node } from "../model/node.ts";

/** Who counts what a tree reaches. What is reached in several ways is asked about each time. */
export interface Reach {
  /** @returns false for a node that is not to be looked into: then `node` is not called either */
  enter(digest: Digest): boolean;
  /** @param bytes what it takes */
  node(bytes: number): void;
  chunk(digest: Digest): void;
}

/**
 * Goes through all nodes and chunks of a tree, in no order. Each node is read and proven; chunks are only named.
 *
 * @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID, FORMAT_NEWER
 */
export function reachTree(nodes: Pick<NodeStore, "get">, tree: Digest, reach: Reach): void {
  reachPart(nodes, treePart(tree), reach);
}

/** As `reachTree`, for a part of one. */
export function reachPart(nodes: Pick<NodeStore, "get">, first: Part, reach: Reach): void {
  const pending = [first];
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part.kind === "chunk") {
      reach.chunk(part.digest);
      continue;
    }
    if (!reach.enter(part.digest)) continue;
    const bytes = nodes.get(part.digest);
    reach.node(bytes.length);
    for (const below of partsOf(part, bytes)) pending.push(below);
  }
}

/** What is named by a digest and read in its own way. Digests of chunks say nothing about nodes: a file's bytes may be those of one. */
export type PartKind = "tree" | "directory" | "links" | "content" | "chunk";

/** A node or chunk, as its parent names it. */
export interface Part {
  readonly kind: PartKind;
  readonly digest: Digest;
  /** The entry that it is the listing or content of; undefined where the parent is of the same entry. */
  readonly name: Name | undefined;
}

export function treePart(digest: Digest): Part {
  return { kind: "tree", digest, name: undefined };
}

/**
 * What a node names, itself read and proven.
 *
 * @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER
 */
export function* partsOf(
  { kind, digest }: Pick<Part, "kind" | "digest">,
  bytes: Uint8Array,
): Generator<Part, undefined> {
  const below = (kind: PartKind, digest: Digest): Part => ({ kind, digest, name: undefined });
  switch (kind) {
    case "tree": {
      const { root, links } = decodeTree(bytes, digest);
      if (root.listing.root !== null) yield below("directory", root.listing.root);
      if (links !== null) yield below("links", links);
      return;
    }
    case "directory": {
      const page = decodeDirectoryPage(bytes, digest);
      if ("pages" in page) for (const row of page.pages) yield below("directory", row.page);
      else
        for (const [name, node] of page.rows) {
          const part = partOfEntry(name, node);
          if (part !== undefined) yield part;
        }
      return;
    }
    case "links": {
      const page = decodeLinkPage(bytes, digest);
      if ("pages" in page) for (const row of page.pages) yield below("links", row.page);
      return;
    }
    case "content": {
      // Of a page that is not what its file's size says, what it has itself is what can be read.
      const { level, refs } = decodeContentPage(bytes, digest);
      for (const ref of refs) if (ref !== null) yield below(level === 1 ? "chunk" : "content", ref);
      return;
    }
    case "chunk":
      return;
  }
}

/** @returns undefined for what has neither entries nor bytes of its own */
export function partOfEntry(name: Name, node: Node): Part | undefined {
  if (node.type === "directory")
    return node.listing.root === null ? undefined : { kind: "directory", digest: node.listing.root, name };
  if (node.type !== "file" || node.content.root === null) return undefined;
  const level = pageLevels(Math.ceil(node.content.size / BLOCK_BYTES));
  return { kind: level === 0 ? "chunk" : "content", digest: node.content.root, name };
}
