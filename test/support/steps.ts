import type { Context } from "../../src/operations/context.ts";
import { loadOperation, stepsOf } from "../../src/service/operations.ts";
import type { Steps } from "../../src/service/operations.ts";

/** The operations as steps, in a store that is open. */
export function stepsIn(context: Context): Steps {
  return stepsOf(async (name, params) => await (await loadOperation(name))(context, params));
}
