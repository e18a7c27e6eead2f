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
  const pending: Part[] = [treePart(tree)];
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part.kind === "content" && part.level === 0) {
      reach.chunk(part.digest);
      continue;
    }
    if (!reach.enter(part.digest)) continue;
    const bytes = nodes.get(part.digest);
    reach.node(bytes.length);
    for (const below of partsOf(part, bytes)) pending.push(below);
  }
}

/** A node or chunk, and what its parent says of it: a content of level 0 is a chunk. */
export interface Part {
  readonly kind: "tree" | "directory" | "links" | "content";
  readonly digest: Digest;
  /** Of a content. */
  readonly level: number;
  /** The entry that it is the listing or content of; undefined where the parent is of the same entry. */
  readonly name: Name | undefined;
}

export function treePart(digest: Digest): Part {
  return { kind: "tree", digest, level: 0, name: undefined };
}

export function* partsOf(part: Part, bytes: Uint8Array): Generator<Part> {
  const { digest } = part;
  const below = (kind: Part["kind"], digest: Digest): Part => ({ kind, digest, level: 0, name: undefined });
  switch (part.kind) {
    case "tree": {
      const { root, links } = decodeTree(bytes, digest);
      if (root.listing.root !== null) yield below("directory", root.listing.root);
      if (links !== null) yield below("links", links);
      return;
    }
    case "directory": {
      const page = decodeDirectoryPage(bytes, digest);
      if ("pages" in page) for (const row of page.pages) yield below("directory", row.page);
      else for (const [name, node] of page.rows) yield* partsOfNode(name, node);
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
      for (const ref of refs) if (ref !== null) yield { ...below("content", ref), level: level - 1 };
    }
  }
}

function* partsOfNode(name: Name, node: Node): Generator<Part> {
  if (node.type === "directory" && node.listing.root !== null)
    yield { kind: "directory", digest: node.listing.root, level: 0, name };
  if (node.type !== "file" || node.content.root === null) return;
  const level = pageLevels(Math.ceil(node.content.size / BLOCK_BYTES));
  yield { kind: "content", digest: node.content.root, level, name };
}
