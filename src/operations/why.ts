import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import { TreeSearch } from "../trees/tree-search.ts";
import type { Context } from "./context.ts";
import { resolveRef } from "./references.ts";
import { roots } from "./roots.ts";
import type { Root } from "./roots.ts";

export interface WhyParams {
  /** A name, or the first digits of what a tree, layer, node or chunk is named by. */
  readonly ref: string;
}

/** A chain of what keeps something, from what a user can remove to the thing itself. */
export interface Reason {
  /** "container web", "layer base", "export …", "history of web: rm web, 2026-…". */
  readonly root: string;
  /** "base layer …", "tree …", each as what comes before it has it. */
  readonly links: readonly string[];
  /** Where the last tree has it; null if it is that itself. */
  readonly path: string | null;
}

export interface Kept {
  readonly kind: "tree" | "layer" | "node" | "chunk";
  readonly digest: Digest;
  /** Empty for what the next collection with no grace takes. */
  readonly reasons: readonly Reason[];
}

/**
 * Why something is in the store: for each name, change in the history, export or upper that reaches it, the way that leads there.
 *
 * @throws {StoreError} NOT_FOUND
 */
export async function why(context: Context, { ref }: WhyParams): Promise<Kept> {
  const { store } = context;
  const { kind, digest } = await targetOf(context, ref);
  const search = new TreeSearch(store.nodes, digest);
  const reasons: Reason[] = [];
  for await (const root of roots(context, { since: "" })) {
    for (const { links, tree, layer } of treesOf(context, root)) {
      const path = layer === digest ? "" : search.find(tree);
      if (path === undefined) continue;
      reasons.push({ root: describeRoot(root), links, path: path === "" ? null : displayName(path) });
      break;
    }
  }
  return { kind, digest, reasons };
}

async function targetOf({ store }: Context, text: string): Promise<Pick<Kept, "kind" | "digest">> {
  const isName = store.refs.find(text) !== undefined;
  const prefix = text.replace(/^blake3:/, "");
  if (isName || !/^[0-9a-f]{8,64}$/.test(prefix)) {
    const { tree } = await resolveRef(store, text);
    return { kind: "tree", digest: tree };
  }
  const found = await store.partsByPrefix(prefix);
  const [first, other] = found;
  if (first === undefined) throw new StoreError("NOT_FOUND", { what: `nothing in the store begins with ${prefix}` });
  if (other === undefined || other.digest === first.digest) return first;
  throw new StoreError("USAGE", {
    reason: `several things begin with ${prefix}: ${found.map(({ digest }) => digest).join(", ")}`,
  });
}

interface ReachedTree {
  readonly tree: Digest;
  readonly layer: Digest | null;
  readonly links: readonly string[];
}

/** The trees that a root reaches, each with how. The nearest first. */
function* treesOf({ store }: Context, root: Root): Generator<ReachedTree> {
  if (!("ref" in root)) {
    yield { tree: root.tree, layer: null, links: [`tree ${root.tree}`] };
    return;
  }
  const { ref } = root;
  if (ref.type === "container") {
    yield { tree: ref.tree, layer: null, links: [`its tree ${ref.tree}`] };
    yield { tree: ref.lower, layer: null, links: [`its lower ${ref.lower}`] };
  }
  const links: string[] = [];
  let digest = ref.type === "layer" ? ref.layer : ref.base;
  while (digest !== null) {
    const { tree, parent } = store.refs.layer(digest);
    const what = links.length > 0 ? "parent layer" : ref.type === "layer" ? "layer" : "base layer";
    links.push(`${what} ${digest}`);
    yield { tree, layer: digest, links: [...links, `tree ${tree}`] };
    digest = parent;
  }
}

function describeRoot(root: Root): string {
  switch (root.type) {
    case "name":
      return `${root.ref.type} ${root.name}`;
    case "history":
      return `history of ${root.name}: ${root.command}, ${root.time}`;
    case "export":
      return `export ${root.key}`;
    case "upper":
      return `what views changed of ${root.name}`;
  }
}
