import type { ContainerRef } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import type { Digest } from "../model/digest.ts";
import { changeContainer } from "./change-container.ts";
import type { Settled } from "./container-state.ts";
import type { Context } from "./context.ts";

/** Makes what views changed of a container its tree, and has its LXC directory follow. */
export async function foldUpper(context: Context, name: string, before: Settled): Promise<Settled> {
  const { ref, state } = before;
  if (state === "running") return before;
  const after = await fold(context, name, ref, async (tree) => {
    await changeContainer(context, { name, before, after: { ...ref, tree } });
  });
  return { ref: after, state };
}

/** As `foldUpper`, for a container that is being started, whose upper is made by whoever asks. */
export async function foldForStart(context: Context, name: string, ref: ContainerRef): Promise<ContainerRef> {
  return await fold(context, name, ref, async (tree) => {
    const after = { ...ref, tree, generation: ref.generation + 1 };
    await context.store.change(context.command, [{ name, before: ref, after }]);
  });
}

async function fold(
  { store }: Context,
  name: string,
  ref: ContainerRef,
  record: (tree: Digest) => Promise<void>,
): Promise<ContainerRef> {
  const changed = await store.uppers.fold(name, refVersion(ref), record);
  const after = changed ? store.refs.find(name) : ref;
  return after?.type === "container" ? after : ref;
}
