import type { NodeStore } from "../chunks/node-store.ts";
import { DigestMap } from "../model/digest-map.ts";
import { baseName, displayName, ROOT } from "../model/name.ts";
import { totalsOf } from "../model/node.ts";
import type { Node } from "../model/node.ts";
import { partOfEntry, reachPart, treePart } from "../trees/reach.ts";
import type { Part, Reach } from "../trees/reach.ts";
import type { Tree } from "../trees/tree-store.ts";
import { walkBelow } from "../trees/walk.ts";
import { ancestry, namesOf } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { ReachTally } from "./reach-tally.ts";
import type { Resolved } from "./references.ts";
import { settledRef } from "./settle.ts";

export interface DuByParams {
  readonly ref: string;
  /** The layers that it came from, the entries of its root, or the types of its nodes. */
  readonly by: "layer" | "dir" | "type";
}

/** A part of a ref. `storedBytes` are accounted bytes that the parts before it do not have: together they are all of it. */
export interface DuPart {
  readonly part: string;
  readonly entries: number;
  readonly apparentBytes: number;
  readonly storedBytes: number;
}

/**
 * What the parts of one ref take. By layer the oldest is the first, and its entries and apparent bytes are those of the whole layer; by
 * directory and type what several have counts for the first.
 *
 * @throws {StoreError} NOT_FOUND
 */
export async function duBy(context: Context, { ref, by }: DuByParams): Promise<DuPart[]> {
  const { store } = context;
  const found = await settledRef(context, ref);
  if (by === "layer") return await byLayer(context, found);
  const tree = store.trees.tree(found.tree);
  return by === "dir" ? byDirectory(context, tree) : byType(context, tree);
}

async function byLayer(context: Context, found: Resolved): Promise<DuPart[]> {
  const { store } = context;
  const { ofLayer } = await namesOf(context);
  const meter = new Meter(context);
  return [...ancestry(store, found)].reverse().map(({ layer, tree }) => {
    const { entries, bytes: apparentBytes } = store.trees.tree(tree).root.listing;
    const names = layer === null ? ["its own changes"] : (ofLayer.get(layer) ?? [`layer ${layer.slice(0, 16)}`]);
    return { part: names.join(", "), entries, apparentBytes, storedBytes: meter.measure(treePart(tree)) };
  });
}

function byDirectory(context: Context, { digest, root }: Tree): DuPart[] {
  const meter = new Meter(context);
  const parts = Array.from(context.store.trees.entries(root.listing), ([name, node]): DuPart => {
    const { entries, bytes } = totalsOf(node);
    const storedBytes = meter.measure(partOfEntry(name, node));
    return { part: `/${displayName(name)}`, entries, apparentBytes: bytes, storedBytes };
  });
  // Its record, its root's pages and the table of its links.
  const storedBytes = meter.measure(treePart(digest));
  return [...parts, { part: "/", entries: 1, apparentBytes: 0, storedBytes }];
}

function byType(context: Context, { digest, root }: Tree): DuPart[] {
  const meter = new Meter(context);
  const parts = new Map<Node["type"], DuPart>();
  const add = (part: Node["type"], entries: number, bytes: number, stored: number): void => {
    const before = parts.get(part) ?? { entries: 0, apparentBytes: 0, storedBytes: 0 };
    parts.set(part, {
      part,
      entries: before.entries + entries,
      apparentBytes: before.apparentBytes + bytes,
      storedBytes: before.storedBytes + stored,
    });
  };
  for (const [path, node] of walkBelow(context.store.trees, ROOT, root)) {
    if (node.type !== "file") add(node.type, 1, 0, 0);
    else add("file", 1, node.content.size, meter.measure(partOfEntry(baseName(path), node)));
  }
  // All nodes lie in pages of directories.
  add("directory", 1, 0, meter.measure(treePart(digest)));
  return [...parts.values()].sort((a, b) => b.storedBytes - a.storedBytes);
}

/** Counts each node and chunk once, wherever it is met. */
class Meter {
  readonly #nodes: NodeStore;
  readonly #tally: ReachTally;
  readonly #reach: Reach;

  constructor(context: Context) {
    const [nodes, chunks] = [new DigestMap(), new DigestMap()];
    const tally = new ReachTally(context);
    this.#nodes = context.store.nodes;
    this.#tally = tally;
    this.#reach = {
      enter: (digest) => nodes.add(digest),
      node: (bytes) => tally.node(bytes),
      chunk: (digest) => {
        if (chunks.add(digest)) tally.chunk(digest);
      },
    };
  }

  /** @returns the bytes of what was not met before */
  measure(part: Part | undefined): number {
    this.#tally.reset();
    if (part !== undefined) reachPart(this.#nodes, part, this.#reach);
    return this.#tally.bytes;
  }
}
