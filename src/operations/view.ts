import { TreeView } from "../overlay/tree-view.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

/**
 * A filesystem to read a ref's state in, as it is now: a container that changes later does not change it. Good while the
 * store is open.
 *
 * @throws {StoreError} NOT_FOUND
 */
export async function openView(context: Context, { ref }: { readonly ref: string }): Promise<TreeView> {
  const { tree } = await settledRef(context, ref);
  const { lowers, blocks } = context.store;
  return TreeView.of(lowers.get(tree), blocks);
}
