import { pageLevels } from "../chunks/content-writer.ts";
import type { NodeStore } from "../chunks/node-store.ts";
import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { decodeContentPage, decodeDirectoryPage, decodeLinkPage, decodeTree } from "../format/pages.ts";
import type { DirectoryRows, LinkRows, Page } from "../format/pages.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import type { Name } from "../model/name.ts";
import { BLOCK_BYTES, PAGE_REFS } from "../model/node.ts";
import type { Node } from "../model/node.ts";
import type { PartKind } from "./reach.ts";
import { requireSummary, rowRefs, topOf } from "./tree-store.ts";
import type { PageRef } from "./tree-store.ts";

/** A node or chunk, with all that its parent says of it. */
export type Edge = {
  readonly digest: Digest;
  /** The entry that it is the listing or content of; undefined where the parent is of the same entry. */
  readonly name: Name | undefined;
} & (
  | { readonly kind: "tree" }
  | { readonly kind: "directory" | "links"; readonly ref: PageRef }
  /** `bytes` of the file are below it. */
  | { readonly kind: "content"; readonly level: number; readonly bytes: number }
  | { readonly kind: "chunk"; readonly bytes: number }
);

export type ChunkEdge = Extract<Edge, { kind: "chunk" }>;
export type NodeEdge = Exclude<Edge, ChunkEdge>;

/** Who goes through a tree. What it is told once of an edge, it is not told again. */
export interface EdgeVisitor {
  /** @returns false for what is not to be looked into */
  enter?(edge: Edge): boolean;
  chunk(edge: ChunkEdge): Promise<void> | undefined;
  /** Called once all that the node names was visited. @param bytes proven, and what the edge says of them */
  node(edge: NodeEdge, bytes: Uint8Array): Promise<void> | undefined;
}

export interface EdgeWalkOptions {
  /** What is there with all below it. */
  readonly beside?: Beside | undefined;
  /** Called between two edges: a turn for others, and where it can be stopped. */
  readonly rest?: () => Promise<void> | undefined;
}

/**
 * Goes through trees, each edge once, whatever leads to it: the cost of a tree is that of what differs from those before it and
 * beside it, even where it would be endless to look at all its paths.
 */
export class EdgeWalk {
  readonly #nodes: Pick<NodeStore, "get">;
  readonly #visitor: EdgeVisitor;
  readonly #seen = new DigestMap();

  /** Borrows both. */
  constructor(nodes: Pick<NodeStore, "get">, visitor: EdgeVisitor) {
    this.#nodes = nodes;
    this.#visitor = visitor;
  }

  /** @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID for what is not as its parent says, FORMAT_NEWER */
  async tree(digest: Digest, { beside, rest }: EdgeWalkOptions = {}): Promise<void> {
    const path: Visit[] = [];
    const enter = (edge: NodeEdge, beside: Beside | undefined): void => {
      const bytes = this.#nodes.get(edge.digest);
      const edges = edgesBelow(edge, bytes);
      path.push({ edge, bytes, edges, below: edges.values(), beside });
    };
    const top = treeEdge(digest);
    if (this.#isNew(top)) enter(top, beside);
    // Not by recursion: trees may be deeper than the stack.
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const { done, value: edge } = at.below.next();
      let waiting: Promise<void> | undefined;
      if (done === true) {
        path.pop();
        waiting = this.#visitor.node(at.edge, at.bytes);
      } else if (at.beside?.has(edge) !== true && this.#isNew(edge)) {
        if (edge.kind === "chunk") waiting = this.#visitor.chunk(edge);
        else enter(edge, at.beside?.of(edge, at.edges));
      }
      if (waiting !== undefined) await waiting;
      const resting = rest?.();
      if (resting !== undefined) await resting;
    }
  }

  #isNew(edge: Edge): boolean {
    return this.#seen.add(digestOf(Buffer.from(keyOf(edge)))) && this.#visitor.enter?.(edge) !== false;
  }
}

/** A node that is being looked into. */
interface Visit {
  readonly edge: NodeEdge;
  readonly bytes: Uint8Array;
  readonly edges: readonly Edge[];
  readonly below: Iterator<Edge, unknown>;
  readonly beside: Beside | undefined;
}

/**
 * The nodes that stand at one place in trees which are there wholly: what these name need not be followed from others. They are read
 * when they are first asked about.
 */
export class Beside {
  readonly #nodes: Pick<NodeStore, "get">;
  readonly #edges: readonly NodeEdge[];
  #below: Below | undefined;
  readonly #pages = new Map<PartKind, Beside>();

  private constructor(nodes: Pick<NodeStore, "get">, edges: readonly NodeEdge[]) {
    this.#nodes = nodes;
    this.#edges = edges;
  }

  /** Borrows `nodes`, which has these trees with all below them. */
  static trees(nodes: Pick<NodeStore, "get">, trees: readonly Digest[]): Beside {
    return new Beside(nodes, trees.map(treeEdge));
  }

  /** True if one of them names it, and says the same of it. */
  has(edge: Edge): boolean {
    return this.#read().keys.has(keyOf(edge));
  }

  /** What stands where this edge leads. @param siblings it, and what its node names beside it */
  of(edge: Edge, siblings: readonly Edge[]): Beside {
    const { named } = this.#read();
    const isLike = (other: Edge): other is NodeEdge => other.kind === edge.kind && other.kind !== "chunk";
    if (edge.name !== undefined) return new Beside(this.#nodes, (named.get(edge.name) ?? []).filter(isLike));
    const known = this.#pages.get(edge.kind);
    if (known !== undefined) return known;
    // Which page it is another state of, nobody knows: one of those that are not the same.
    const same = new Set(siblings.map(keyOf));
    const pages = (named.get(undefined) ?? []).filter(isLike).filter((page) => !same.has(keyOf(page)));
    const beside = new Beside(this.#nodes, pages);
    this.#pages.set(edge.kind, beside);
    return beside;
  }

  #read(): Below {
    if (this.#below !== undefined) return this.#below;
    const keys = new Set<string>();
    const named = new Map<Name | undefined, Edge[]>();
    for (const edge of this.#edges)
      for (const below of edgesBelow(edge, this.#nodes.get(edge.digest))) {
        keys.add(keyOf(below));
        const others = named.get(below.name);
        if (others === undefined) named.set(below.name, [below]);
        else others.push(below);
      }
    this.#below = { keys, named };
    return this.#below;
  }
}

interface Below {
  readonly keys: ReadonlySet<string>;
  readonly named: ReadonlyMap<Name | undefined, readonly Edge[]>;
}

function treeEdge(digest: Digest): NodeEdge {
  return { kind: "tree", digest, name: undefined };
}

/** Equal for edges that lead to the same and say the same of it. */
function keyOf(edge: Edge): string {
  const { kind, digest } = edge;
  switch (kind) {
    case "tree":
      return digest;
    case "directory":
    case "links": {
      const { level, after, lastKey, entries, bytes } = edge.ref;
      return [kind, digest, level, after, lastKey, entries, bytes].join("\0");
    }
    case "content":
      return `${digest}/${edge.level}/${edge.bytes}`;
    case "chunk":
      return `${digest}:${edge.bytes}`;
  }
}

/**
 * What a node names.
 *
 * @throws {StoreError} FORMAT_INVALID if it is not what the edge says, FORMAT_NEWER
 */
function edgesBelow(edge: NodeEdge, bytes: Uint8Array): Edge[] {
  const { digest } = edge;
  switch (edge.kind) {
    case "tree": {
      const { root, links } = decodeTree(bytes, digest);
      const ref = topOf(root.listing);
      const edges: Edge[] = ref === undefined ? [] : [{ kind: "directory", digest: ref.page, name: undefined, ref }];
      if (links !== null)
        edges.push({ kind: "links", digest: links, name: undefined, ref: { page: links, after: "" } });
      return edges;
    }
    case "directory":
      return edgesOfPage(edge.kind, edge.ref, decodeDirectoryPage(bytes, digest), ({ rows }) =>
        Array.from(rows, ([name, node]) => edgesOfEntry(name, node)).flat(),
      );
    case "links":
      return edgesOfPage(edge.kind, edge.ref, decodeLinkPage(bytes, digest), () => []);
    case "content":
      return edgesOfContent(edge, bytes);
  }
}

function edgesOfPage<P extends Page<DirectoryRows> | Page<LinkRows>>(
  kind: "directory" | "links",
  ref: PageRef,
  page: P,
  ofLeaf: (leaf: Extract<P, { rows: unknown }>) => Edge[],
): Edge[] {
  requireSummary(page, ref);
  if (!("pages" in page)) return ofLeaf(page as Extract<P, { rows: unknown }>);
  return Array.from(rowRefs(page, ref), (ref) => ({ kind, digest: ref.page, name: undefined, ref }));
}

function edgesOfEntry(name: Name, node: Node): Edge[] {
  if (node.type === "directory") {
    const ref = topOf(node.listing);
    return ref === undefined ? [] : [{ kind: "directory", digest: ref.page, name, ref }];
  }
  if (node.type !== "file" || node.content.root === null) return [];
  const { size, root } = node.content;
  return [edgeOfBytes(root, name, pageLevels(Math.ceil(size / BLOCK_BYTES)), size)];
}

function edgesOfContent({ digest, level, bytes }: Extract<Edge, { kind: "content" }>, page: Uint8Array): Edge[] {
  const { refs, level: found } = decodeContentPage(page, digest);
  const each = PAGE_REFS ** (level - 1) * BLOCK_BYTES;
  if (found !== level || refs.length !== Math.ceil(bytes / each))
    throw new StoreError("FORMAT_INVALID", {
      record: `content page ${digest}`,
      reason: "does not fit the size of its file",
    });
  return refs.flatMap((ref, i) =>
    ref === null ? [] : [edgeOfBytes(ref, undefined, level - 1, Math.min(each, bytes - i * each))],
  );
}

function edgeOfBytes(digest: Digest, name: Name | undefined, level: number, bytes: number): Edge {
  return level === 0 ? { kind: "chunk", digest, name, bytes } : { kind: "content", digest, name, level, bytes };
}
