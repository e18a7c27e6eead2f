import type { Digest } from "../model/digest.ts";
import { StoreError } from "../errors.ts";
import { ancestry, namesOf } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { isDamage, resolveRef } from "./references.ts";

/** A layer with its names, or a container, and what stands on it. */
export interface LineageNode {
  readonly type: "container" | "layer";
  /** Of a layer all, none if its name went elsewhere. */
  readonly names: readonly string[];
  readonly digest: Digest;
  readonly created: string;
  readonly files: number;
  readonly sizeBytes: number;
  /** By age, containers last. */
  readonly children: readonly LineageNode[];
}

/**
 * What stands on what: all layers that names lead to, as trees from those without parents, with containers on their bases. As the
 * records have it: what containers did since they were captured does not count.
 *
 * @param ref that alone, with what it stands on and what stands on it
 */
export async function lineageTree(context: Context, { ref }: { readonly ref?: string } = {}): Promise<LineageNode[]> {
  const { store } = context;
  const { refs, ofLayer } = await namesOf(context);
  const wanted = ref === undefined ? undefined : await chosen(context, ref);
  const children = new Map<Digest | null, Node[]>();
  const nodes = new Map<Digest, Node>();
  const add = (parent: Digest | null, node: Omit<Node, "files" | "sizeBytes">): Node => {
    const { entries: files, bytes: sizeBytes } = store.trees.tree(node.digest).root.listing;
    const whole = { ...node, files, sizeBytes };
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [whole]);
    else siblings.push(whole);
    return whole;
  };
  const addLayers = (first: Digest | null): void => {
    for (let layer = first; layer !== null && !nodes.has(layer);) {
      const { tree: digest, parent, created } = store.refs.layer(layer);
      nodes.set(layer, add(parent, { type: "layer", key: layer, names: ofLayer.get(layer) ?? [], digest, created }));
      layer = parent;
    }
  };
  for (const [name, found] of refs)
    try {
      addLayers(found.type === "layer" ? found.layer : found.base);
      if (found.type === "container")
        add(found.base, { type: "container", key: name, names: [name], digest: found.tree, created: found.created });
    } catch (error) {
      if (!isDamage(error)) throw error;
      context.onWarning?.(`${name} is left out: ${error.message}`);
    }
  return grown(children, wanted);
}

interface Node extends Omit<LineageNode, "children"> {
  /** A layer's digest, a container's name. */
  readonly key: string;
}

interface Chosen {
  readonly key: string;
  readonly below: ReadonlySet<string>;
}

async function chosen({ store }: Context, ref: string): Promise<Chosen> {
  const found = await resolveRef(store, ref);
  if (found.kind === "tree")
    throw new StoreError("USAGE", { reason: `"${ref}" has no place among layers and containers` });
  const layers = Array.from(ancestry(store, found)).flatMap(({ layer }) => layer ?? []);
  return { key: found.kind === "layer" ? found.ref.layer : found.name, below: new Set(layers) };
}

/** From the leaves to the roots: chains of layers may be deeper than calls can be. */
function grown(children: ReadonlyMap<Digest | null, readonly Node[]>, wanted: Chosen | undefined): LineageNode[] {
  const order: { readonly node: Node; readonly isAbove: boolean }[] = [];
  const pending = (children.get(null) ?? []).map((node) => ({ node, isAbove: false }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const isAbove = next.isAbove || next.node.key === wanted?.key;
    if (wanted !== undefined && !isAbove && !wanted.below.has(next.node.key)) continue;
    order.push({ ...next, isAbove });
    if (next.node.type === "layer")
      for (const child of children.get(next.node.key as Digest) ?? []) pending.push({ node: child, isAbove });
  }
  const whole = new Map<Node, LineageNode>();
  const of = (nodes: readonly Node[] | undefined): LineageNode[] =>
    (nodes ?? []).flatMap((node) => whole.get(node) ?? []).sort(byAge);
  for (const { node } of order.reverse()) {
    const { key, ...rest } = node;
    whole.set(node, { ...rest, children: node.type === "layer" ? of(children.get(key as Digest)) : [] });
  }
  return of(children.get(null));
}

function byAge(a: LineageNode, b: LineageNode): number {
  if (a.type !== b.type) return a.type === "layer" ? -1 : 1;
  return a.created < b.created ? -1 : a.created > b.created ? 1 : (a.names[0] ?? "") < (b.names[0] ?? "") ? -1 : 1;
}
