import { isStoreError, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { Turns } from "../sinks/turns.ts";
import { TreeCheck } from "../transfer/tree-check.ts";
import type { Context } from "./context.ts";
import type { Resolved } from "./references.ts";

/**
 * To be called before what was found by its digest alone gets a name: if no name has it already, a collection that was ended half-way may
 * have left a part of it. What is claimed here stays until the operation ends.
 *
 * @throws {StoreError} NOT_FOUND if something of it is missing
 */
export async function requireWhole(context: Context, text: string, found: Resolved): Promise<void> {
  if (found.kind !== "tree" || found.past !== undefined || (await isNamed(context, found.tree))) return;
  const turns = new Turns({ signal: context.signal });
  try {
    await new TreeCheck(context.store).require(found.tree, [], () => (turns.due ? turns.rest() : undefined));
  } catch (error) {
    if (!isStoreError(error, "NODE_MISSING") && !isStoreError(error, "CHUNK_MISSING")) throw error;
    const what = `${text} has been collected: not all of it is in the store any more`;
    throw new StoreError("NOT_FOUND", { what }, { cause: error });
  }
}

async function isNamed({ store: { refs } }: Context, tree: Digest): Promise<boolean> {
  const named = await refs.list(() => undefined);
  return named.some(([, ref]) => (ref.type === "container" ? ref.tree : refs.findLayer(ref.layer)?.tree) === tree);
}
