import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Node } from "../model/node.ts";
import { byteStringOf } from "../model/name.ts";
import { TreeSearch } from "../trees/tree-search.ts";
import { namesOf } from "./ancestry.ts";
import type { Context } from "./context.ts";
import { describeNode, describePath } from "./describe.ts";
import type { NodeDescription } from "./describe.ts";
import { locate } from "./locate.ts";
import { isDamage } from "./references.ts";
import { settle } from "./settle.ts";

export interface WhoHasParams {
  /**
   * `/path`: what has something there; `REF:/path`: what has the same bytes or directory anywhere; or the first digits of a digest, at
   * least 8: of a content, a chunk, a directory, a tree.
   */
  readonly what: string;
}

export interface Holder {
  readonly name: string;
  readonly type: "container" | "layer";
  readonly digest: Digest;
  /** Where it has it, the first place that was met; null for all of it. */
  readonly path: string | null;
  readonly pathBase64?: string;
  /** What is there. */
  readonly node: NodeDescription;
}

/**
 * Which names hold something now; containers are captured first. A path costs a lookup for each name; a content is searched for in
 * nodes that were not searched before: once through all that names reach, at most.
 *
 * @throws {StoreError} USAGE for what is empty, NOT_FOUND for a `REF:/path` or a digest that there is not
 */
export async function whohas(context: Context, { what }: WhoHasParams): Promise<Holder[]> {
  const { store } = context;
  const find = await finder(context, what);
  const holders: Holder[] = [];
  for (const [name, ref] of (await namesOf(context)).refs) {
    context.signal?.throwIfAborted();
    try {
      const digest = ref.type === "layer" ? store.refs.treeOf(ref) : (await settle(context, name, ref)).ref.tree;
      const path = find(digest);
      if (path === undefined) continue;
      const node = store.trees.lookup(store.trees.tree(digest), path);
      if (node === undefined) continue;
      const where = path === "" ? { path: null } : describePath("path", `/${path}`);
      holders.push({ name, type: ref.type, digest, ...where, node: describeNode(node) });
    } catch (error) {
      if (!isDamage(error)) throw error;
      context.onWarning?.(`${name} is left out: ${error.message}`);
    }
  }
  return holders;
}

async function finder(context: Context, what: string): Promise<(tree: Digest) => string | undefined> {
  const { store } = context;
  if (what.startsWith("/")) {
    const path = byteStringOf(what.replace(/^\/+|\/+$/g, ""));
    return (tree) => (store.trees.lookup(store.trees.tree(tree), path) === undefined ? undefined : path);
  }
  const target = what.includes(":/") ? await digestAt(context, what) : await digestOf(context, what);
  const search = new TreeSearch(store.nodes, target);
  return (tree) => search.find(tree);
}

async function digestAt(context: Context, what: string): Promise<Digest> {
  const { names, entry } = await locate(context, what, true);
  const node: Node | undefined = context.store.trees.lookup(names.tree, entry.path.slice(1));
  const digest = node?.type === "file" ? node.content.root : node?.type === "directory" ? node.listing.root : null;
  if (digest !== null) return digest;
  throw new StoreError("USAGE", {
    reason: `${what} holds no bytes that could be looked for`,
    hint: "name a path: whohas /path",
  });
}

async function digestOf({ store }: Context, what: string): Promise<Digest> {
  const prefix = what.replace(/^blake3:/, "");
  if (!/^[0-9a-f]{8,64}$/.test(prefix))
    throw new StoreError("USAGE", {
      reason: `"${what}" is no path, no REF:/path and no digest`,
      hint: "write /etc/hosts, web:/etc/hosts, or at least 8 digits of a digest",
    });
  const digests = [...new Set((await store.partsByPrefix(prefix)).map(({ digest }) => digest))];
  const [first, other] = digests;
  if (first === undefined) throw new StoreError("NOT_FOUND", { what: `nothing in the store begins with ${prefix}` });
  if (other === undefined) return first;
  throw new StoreError("USAGE", { reason: `several things begin with ${prefix}: ${digests.join(", ")}` });
}
