import { asStoreError, StoreError } from "../errors.ts";
import type { ContainerRef, Layer, RefChange } from "../containers/records.ts";
import { clearPending, markPending, readContainerDirectory, setLowers } from "../lxc/container-directory.ts";
import { runningContainers } from "../lxc/running.ts";
import type { SharedUpper } from "../overlay/shared-upper.ts";
import { prepareUpper, removeUpper, replaceUpper, usePreparedUpper } from "../lxc/upper.ts";
import { writeDelta } from "../sinks/delta.ts";
import type { Dialect } from "../format/overlay-xattrs.ts";
import type { Store } from "../store.ts";
import { diffTrees } from "../trees/diff.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { warnOfLosses } from "./id-maps.ts";
import { dialectOf, directoryOf } from "./lxc-host.ts";
import { standingOfChanged, standsOn } from "./standing.ts";
import { refuseRunning } from "./container-state.ts";
import type { Settled } from "./container-state.ts";

export interface ContainerChange {
  readonly name: string;
  /** As it was just settled, and not running. */
  readonly before: Settled;
  readonly after: Omit<ContainerRef, "generation">;
  /** Names that change along with it. */
  readonly others?: readonly RefChange[];
  readonly layers?: readonly Layer[];
  /** Whose fold it is. */
  readonly upper?: SharedUpper;
  /**
   * The upper that it will have is made before the record is changed: what cannot be made changes nothing. One that is not made
   * yet for the present state is not made for the new one either.
   */
  readonly isReadyFirst?: boolean;
  /** Writes the record, and what changes along with it. Default: `Store.change`. */
  readonly record?: (changes: readonly RefChange[]) => Promise<void>;
}

/**
 * Changes what a stopped container holds: in the store, and where its LXC directory is concerned at its next start.
 *
 * First `pending` is put beside its config: from then on each start goes through our hook, which waits for this store,
 * and finds the old generation or the new one. docs/design.md, "One truth at a time".
 *
 * @throws {StoreError} REFUSED if it was started meanwhile
 */
export async function changeContainer(context: Context, change: ContainerChange): Promise<void> {
  const { store } = context;
  const { name, before, isReadyFirst = false } = change;
  const { ref, state } = before;
  const after: ContainerRef = { ...change.after, generation: ref.generation + 1 };
  const directory = state === "stopped" ? directoryOf(name, ref) : undefined;
  if (directory === undefined || ref.lxcPath === null) return await recordChange(context, change, after);
  const others = announced.get(store) ?? new Set();
  announced.set(store, others.add(name));
  try {
    announceChange(name, ref, directory, ref.lxcPath);
    const stack = standingFor(context.store, directory, change, after);
    const upper = { ...after, lower: stack === undefined ? after.lower : treeOfStack(stack) };
    const isReady = isReadyFirst && (await prepareUpperFor(context, directory, upper));
    await recordChange(context, change, after);
    if (stack !== undefined) await renewDirectory(context, directory, { ...upper, stack }, isReady);
  } finally {
    others.delete(name);
  }
}

/** True from the mark that announces a change until that is made, or has failed. */
export function isBeingChanged(store: Store, name: string): boolean {
  return announced.get(store)?.has(name) ?? false;
}

const announced = new WeakMap<Store, Set<string>>();

async function recordChange(context: Context, change: ContainerChange, after: ContainerRef): Promise<void> {
  const { name, before, others = [], layers = [], upper } = change;
  const changes = [{ name, before: before.ref, after }, ...others];
  if (change.record !== undefined) await change.record(changes);
  else await context.store.change(context, changes, layers, upper);
}

/**
 * Has each start from now on go through our hook, which waits for this store.
 *
 * @throws {StoreError} REFUSED if it is running
 */
export function announceChange(name: string, ref: ContainerRef, directory: string, lxcPath: string): void {
  const before = readContainerDirectory(directory);
  if (before.type === "none") return;
  // An upper that is yet to be made is made as the record then has it.
  const isPending = before.pendingGeneration !== undefined && before.pendingGeneration <= ref.generation;
  if (!isPending) markPending(directory, ref.generation + 1);
  // A start that went before the mark shows by now; one that comes after it waits in its hook.
  if (!runningContainers().isRunning({ name, lxcPath, upper: before.rootfs.upper })) return;
  if (!isPending) clearPending(directory);
  refuseRunning(name, "running", lxcPath);
}

/** @returns undefined if the directory is none to be changed */
function standingFor(
  store: Store,
  directory: string,
  { before, layers = [] }: ContainerChange,
  after: ContainerRef,
): ExportStack | undefined {
  const found = readContainerDirectory(directory);
  if (found.type === "none") return undefined;
  return standingOfChanged(store, found, { before: before.ref, after, layers });
}

/** @returns false if the container has no upper yet: the next start makes it */
async function prepareUpperFor(context: Context, directory: string, of: UpperOf): Promise<boolean> {
  const found = readContainerDirectory(directory);
  if (found.type === "none" || !found.hasUpper) return false;
  try {
    await prepareUpper(found.rootfs.upper, async (path) => {
      await writeUpper(context, path, of, dialectOf(found.config));
    });
  } catch (error) {
    throw asStoreError(error, `making the new delta of ${directory}`);
  }
  return true;
}

/**
 * Brings an LXC directory that is pending in line with the record. A delta that is to be large, and is not prepared, waits for
 * the start.
 */
async function renewDirectory(
  context: Context,
  directory: string,
  of: UpperOf & Pick<ContainerRef, "identityPending"> & { readonly stack: ExportStack },
  isReady: boolean,
): Promise<void> {
  const { exports } = context.store;
  try {
    const found = readContainerDirectory(directory);
    if (found.type === "none") return;
    // At no moment an old upper is over a new lower.
    if (isReady) usePreparedUpper(found.rootfs.upper);
    else removeUpper(found.rootfs.upper);
    exports.touch([...(standsOn(context.store, found) ?? []), ...of.stack]);
    setLowers(directory, exports.pathsOf(of.stack));
    // What gives it an identity at its start makes the upper again.
    if (of.identityPending) return;
    if (isReady) clearPending(directory);
    else if (of.lower === of.tree) await makeUpper(context, directory, of);
  } catch (error) {
    // It is changed all the same: the next start finds `pending`, and makes the upper as the record has it.
    const known = asStoreError(error, `renewing ${directory}`);
    if (!(known instanceof StoreError)) throw error;
    warn(context, known.message);
  }
}

/** What an upper is of: it shows `tree` over `lower`, the tree that it stands on, with the ids of `idMap`. */
export type UpperOf = Pick<ContainerRef, "lower" | "tree" | "idMap">;

/** Makes the upper, and says that it is as it should be. */
export async function makeUpper(context: Context, directory: string, of: UpperOf): Promise<void> {
  const found = readContainerDirectory(directory);
  if (found.type === "none") return;
  await replaceUpper(found.rootfs.upper, async (path) => {
    await writeUpper(context, path, of, dialectOf(found.config));
  });
  clearPending(directory);
}

/** Writes a new delta directory. Even an empty one has the metadata of the tree's root. */
export async function writeUpper(context: Context, path: string, of: UpperOf, dialect: Dialect): Promise<void> {
  const { lower, tree, idMap } = of;
  const { trees, content } = context.store;
  const changes = diffTrees(trees, trees.tree(lower), trees.tree(tree), { parents: true });
  const { root } = trees.tree(tree);
  const withRoot = lower === tree ? [{ path: "", before: root, after: root }] : changes;
  const { losses } = await writeDelta(path, withRoot, content, { dialect, idMap });
  warnOfLosses(context, path, losses);
}
