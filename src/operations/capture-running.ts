import type { ContainerRef } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { freezeContainer, isFrozen } from "../lxc/freeze.ts";
import type { LxcPlace } from "../lxc/lxc-calls.ts";
import { refuseHiddenLinks } from "../lxc/upper.ts";
import type { Tree } from "../trees/tree-store.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { idMapOfExport } from "./id-maps.ts";
import { dialectOf } from "./lxc-host.ts";
import { readDelta } from "./read-delta.ts";
import { settle } from "./settle.ts";
import { standsOn } from "./standing.ts";

/**
 * As `settle`, for whoever takes a copy of what a container holds.
 *
 * @param allowRunning one that runs is frozen for as long as it is read
 * @returns its record; of one that runs, what the record would be if it had stopped in that moment
 * @throws {StoreError} REFUSED if it runs and may not; PROGRAM_FAILED if it cannot be frozen. It runs again then
 */
export async function settleToCopy(
  context: Context,
  name: string,
  ref: ContainerRef,
  allowRunning: boolean,
): Promise<ContainerRef> {
  const { ref: settled, state } = await settle(context, name, ref);
  if (state !== "running" || settled.lxcPath === null) return settled;
  if (!allowRunning) refuseRunning(name, state, settled.lxcPath, ", or add --allow-running");
  return await captureRunning(context, { name, lxcPath: settled.lxcPath }, settled);
}

/** The record stays as it is: as long as the container runs, its delta directory rules. */
async function captureRunning(context: Context, place: LxcPlace, ref: ContainerRef): Promise<ContainerRef> {
  const { name, lxcPath } = place;
  const found = readContainerDirectory(`${lxcPath}/${name}`);
  const stack = standsOn(context.store, found);
  if (found.type === "none" || stack === undefined)
    throw new StoreError("REFUSED", { reason: `${lxcPath}/${name} is not this store's any more` });
  const { upper } = found.rootfs;
  const form = { dialect: dialectOf(found.config), idMap: idMapOfExport(stack[0], ref, found.config) };
  refuseHiddenLinks(upper);
  const tree = await whileFrozen(
    context,
    place,
    async () => (await readDelta(context, upper, treeOfStack(stack), form)).tree,
  );
  return { ...ref, tree: tree.digest, captured: timestamp(), identityPending: false };
}

async function whileFrozen(context: Context, place: LxcPlace, read: () => Promise<Tree>): Promise<Tree> {
  const frozen = await freezeContainer(place);
  let tree: Tree;
  try {
    tree = await read();
    if (!isFrozen(place))
      throw new StoreError("REFUSED", {
        reason: `${place.name} was let go on, or stopped, while it was read`,
        hint: "try again",
      });
  } catch (error) {
    // What made it fail is what counts, but nobody may be left with a container that stands still.
    await frozen.thaw().catch((failure: unknown) => {
      if (!(failure instanceof StoreError)) throw failure;
      warn(context, failure.message);
    });
    throw error;
  }
  await frozen.thaw();
  return tree;
}
