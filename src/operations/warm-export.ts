import { treeOfStack } from "../exports/export-stack.ts";
import type { Digest } from "../model/digest.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import type { Context } from "./context.ts";
import { warnOfLosses } from "./id-maps.ts";
import { lxcPathFor } from "./lxc-host.ts";
import { settledRef } from "./settle.ts";
import { requireUnchanged, standingOf } from "./standing.ts";

export interface WarmedExport {
  /** The tree that it shows. */
  readonly digest: Digest;
  /** Of the topmost, if several exports show that together. */
  readonly path: string;
  /** Of all of them, the topmost first. */
  readonly lowers: readonly string[];
  /** False if all were there already. */
  readonly made: boolean;
}

/**
 * Makes the shared exports that containers of `ref` stand on: the first start of one has not to wait for them then.
 *
 * @throws {StoreError} REFUSED if one was changed from outside
 */
export async function warmExport(context: Context, { ref }: { readonly ref: string }): Promise<WarmedExport> {
  using _operation = context.store.begin();
  const { store, signal, onProgress } = context;
  const resolved = await settledRef(context, ref);
  const container = resolved.kind === "container" ? resolved.ref : undefined;
  const base = resolved.kind === "layer" ? resolved.ref.layer : null;
  const of = container ?? { base, lower: resolved.tree, tree: resolved.tree, idMap: null };
  const lxcPath = container?.lxcPath ?? lxcPathFor(store, {}) ?? "/";
  const name = resolved.kind === "container" ? resolved.name : "";
  const found = container === undefined ? undefined : readContainerDirectory(`${lxcPath}/${name}`);
  const stack = standingOf(store, of, lxcPath, found);
  requireUnchanged(store, stack, ref);
  const made = await store.exports.ensure(stack, {
    idMap: of.idMap,
    signal,
    onProgress: (progress) => onProgress?.({ phase: "exporting", ...progress }),
  });
  store.exports.touch(stack);
  for (const { losses } of made) warnOfLosses(context, "the export", losses);
  const lowers = store.exports.pathsOf(stack);
  return { digest: treeOfStack(stack), path: store.exports.path(stack[0]), lowers, made: made.length > 0 };
}
