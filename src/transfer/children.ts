import { pageLevels } from "../chunks/content-writer.ts";
import { decodeContentPage, decodeDirectoryPage, decodeLinkPage, decodeTree } from "../format/pages.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content, Node } from "../model/node.ts";
import { PACKET } from "./packets.ts";

/** What a tree is made of: nodes of four kinds, and chunks. */
export type ObjectKind = Exclude<(typeof PACKET)[keyof typeof PACKET], typeof PACKET.note | typeof PACKET.end>;
export type NodeKind = Exclude<ObjectKind, typeof PACKET.chunk>;

export interface ObjectRef {
  readonly kind: ObjectKind;
  readonly digest: Digest;
}

/** What a node names, in its order. @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER if it is no node of that kind */
export function childrenOf(kind: NodeKind, bytes: Uint8Array, digest: Digest): ObjectRef[] {
  switch (kind) {
    case PACKET.tree: {
      const { root, links } = decodeTree(bytes, digest);
      return [...refs(PACKET.directory, root.listing.root), ...refs(PACKET.links, links)];
    }
    case PACKET.directory: {
      const page = decodeDirectoryPage(bytes, digest);
      if ("pages" in page) return page.pages.flatMap((row) => refs(kind, row.page));
      return Array.from(page.rows.values(), childrenOfEntry).flat();
    }
    case PACKET.links: {
      const page = decodeLinkPage(bytes, digest);
      return "pages" in page ? page.pages.flatMap((row) => refs(kind, row.page)) : [];
    }
    case PACKET.content: {
      const { level, refs: below } = decodeContentPage(bytes, digest);
      return below.flatMap((ref) => refs(level === 1 ? PACKET.chunk : kind, ref));
    }
  }
}

function childrenOfEntry(node: Node): ObjectRef[] {
  if (node.type === "directory") return refs(PACKET.directory, node.listing.root);
  return node.type === "file" ? refs(contentKind(node.content), node.content.root) : [];
}

function contentKind({ size }: Content): ObjectKind {
  return pageLevels(Math.ceil(size / BLOCK_BYTES)) === 0 ? PACKET.chunk : PACKET.content;
}

function refs(kind: ObjectKind, digest: Digest | null): ObjectRef[] {
  return digest === null ? [] : [{ kind, digest }];
}
