import { StoreError } from "../errors.ts";
import { byteStringOf } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { Resolver } from "../overlay/resolver.ts";
import { ancestry, describeAncestor, namesOf } from "./ancestry.ts";
import type { Ancestor, LineageState } from "./ancestry.ts";
import { aspectsOf } from "./aspects.ts";
import type { Aspect } from "./aspects.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";
import { parseFileRef, REASONS } from "./locate.ts";
import { settledRef } from "./settle.ts";

/** A state in which a path changed. */
export interface BlameItem extends LineageState {
  readonly kind: "added" | "changed" | "metadata" | "removed";
  /** Where it was there before. */
  readonly differs: readonly Aspect[];
}

export interface Blame {
  readonly ref: string;
  /** Without symlinks in it. */
  readonly path: string;
  readonly pathBase64?: string;
  /** The newest first. The first is who brought what is there now. */
  readonly items: readonly BlameItem[];
}

/**
 * Which layers brought, changed and removed a path, from the ref down to its first layer. Of a directory it tells of the entries in
 * it as well: they are its content. One lookup for each layer.
 *
 * @throws {StoreError} USAGE for what is no `REF:/path`, NOT_FOUND if there was never anything at the path
 */
export async function blame(context: Context, { file }: { readonly file: string }): Promise<Blame> {
  const { store } = context;
  const { ref, path: text } = parseFileRef(file);
  const found = await settledRef(context, ref);
  const entry = new Resolver(store.lowers.get(found.tree)).resolveBytes(byteStringOf(text), false);
  // What is gone by now was at the path as it is written.
  const path = typeof entry === "string" ? byteStringOf(text.replace(/^\/+|\/+$/g, "")) : entry.path.slice(1);
  const { ofLayer } = await namesOf(context);
  const items: BlameItem[] = [];
  let above: { readonly state: Ancestor; readonly node: Node | undefined } | undefined;
  const compare = (before: Node | undefined): void => {
    if (above === undefined) return;
    const { state, node } = above;
    const changed = changeOf(before, node);
    if (changed === undefined) return;
    items.push({ ...describeAncestor(state, found, ofLayer), ...changed });
  };
  for (const state of ancestry(store, found)) {
    const node = store.trees.lookup(store.trees.tree(state.tree), path);
    compare(node);
    above = { state, node };
  }
  compare(undefined);
  if (items.length === 0 && typeof entry === "string")
    throw new StoreError("NOT_FOUND", { what: `${file}: ${REASONS[entry]}, and never was` });
  return { ref, ...describePath("path", path), items };
}

function changeOf(before: Node | undefined, after: Node | undefined): Pick<BlameItem, "kind" | "differs"> | undefined {
  if (after === undefined) return before === undefined ? undefined : { kind: "removed", differs: [] };
  if (before === undefined) return { kind: "added", differs: [] };
  const differs = aspectsOf({ path: "", before, after }, () => undefined);
  const isOtherListing =
    before.type === "directory" && after.type === "directory" && before.listing.root !== after.listing.root;
  if (differs.length === 0 && !isOtherListing) return undefined;
  const isOther = isOtherListing || differs.some((aspect) => ["type", "content", "target", "device"].includes(aspect));
  return { kind: isOther ? "changed" : "metadata", differs };
}
