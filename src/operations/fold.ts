import type { ContainerRef } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import type { RecordTree } from "../overlay/shared-upper.ts";
import { changeContainer } from "./change-container.ts";
import type { Settled } from "./container-state.ts";
import type { Context } from "./context.ts";

/** Makes what views changed of a container its tree, and has its LXC directory follow. */
export async function foldUpper(context: Context, name: string, before: Settled): Promise<Settled> {
  const { ref, state } = before;
  if (state === "running") return before;
  const after = await fold(context, name, ref, (ref) => async (tree, upper) => {
    await changeContainer(asWriting(context, name), { name, before: { ref, state }, after: { ...ref, tree }, upper });
  });
  return { ...before, ref: after };
}

/** As `foldUpper`, for a container that is being started, whose upper is made by whoever asks. */
export async function foldForStart(context: Context, name: string, ref: ContainerRef): Promise<ContainerRef> {
  return await fold(context, name, ref, (ref) => async (tree, upper) => {
    const after = { ...ref, tree, generation: ref.generation + 1 };
    await context.store.change(asWriting(context, name), [{ name, before: ref, after }], [], upper);
  });
}

/** Whoever reads the container next has not changed it. */
function asWriting(context: Context, name: string): Context {
  const { request: _ofAnother, ...rest } = context;
  return { ...rest, command: `write ${name}` };
}

/** @param recordOf what makes a frozen tree that of a record */
async function fold(
  { store }: Context,
  name: string,
  given: ContainerRef,
  recordOf: (ref: ContainerRef) => RecordTree,
): Promise<ContainerRef> {
  for (let ref = given; ;) {
    const isFolded = await store.uppers.fold(name, refVersion(ref), recordOf(ref));
    const now = store.refs.find(name);
    if (now?.type !== "container") return ref;
    // Somebody else may have folded it meanwhile, and there may be changes since.
    if (isFolded || refVersion(now) === refVersion(ref)) return now;
    ref = now;
  }
}
