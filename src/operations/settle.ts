import type { ContainerRef } from "../containers/records.ts";
import { refVersion, timestamp } from "../containers/refs.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { treeOfStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import { clearPending, markPending, readContainerDirectory } from "../lxc/container-directory.ts";
import type { OwnDirectory } from "../lxc/container-directory.ts";
import { runningContainers } from "../lxc/running.ts";
import type { Digest } from "../model/digest.ts";
import type { RunningContainers } from "../lxc/running.ts";
import type { Store } from "../store.ts";
import {
  beginCapture,
  captureIsWhole,
  dropPreparedUpper,
  finishCapture,
  isEmptyUpper,
  isUncaptured,
} from "../lxc/upper.ts";
import { diffTrees } from "../trees/diff.ts";
import { isBeingChanged } from "./change-container.ts";
import { sweepEphemeral } from "./ephemeral.ts";
import { foldUpper } from "./fold.ts";
import { readDelta } from "./read-delta.ts";
import type { ContainerState, Settled } from "./container-state.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { idMapOfExport, warnOfOtherIdMap } from "./id-maps.ts";
import { dialectOf, directoryOf } from "./lxc-host.ts";
import { parsePastName } from "./past.ts";
import { resolveRef } from "./references.ts";
import type { Resolved } from "./references.ts";
import { standsOn } from "./standing.ts";
import { warnOfTrouble } from "./trouble.ts";

export interface SettleOptions {
  /** One look at the host serves many containers. */
  readonly running?: RunningContainers | undefined;
  /** The user wants the container captured, and not something else of it. */
  readonly isAsked?: boolean;
  /** What it holds is of no use any more: nothing is captured. */
  readonly isDiscarded?: boolean;
}

/**
 * Makes the store's record of a container true: what a stopped one left in its delta directory and nobody has captured
 * yet is captured, and what views changed is folded. An ephemeral one that is over is removed. Every command that reads a container begins here. docs/design.md, "One truth at a time".
 *
 * @throws {StoreError} NOT_FOUND if it was ephemeral and over
 */
export async function settle(
  context: Context,
  name: string,
  ref: ContainerRef,
  options: SettleOptions = {},
): Promise<Settled> {
  using _operation = context.store.begin();
  if (ref.ephemeral && (await sweepEphemeral(context, [[name, ref]], options.running)).has(name))
    throw new StoreError("NOT_FOUND", { what: `"${name}" was ephemeral, and is gone now that it has stopped` });
  return await foldUpper(context, name, await settleDirectory(context, name, ref, options));
}

/** One look for many containers: true for those that `settle` would only call stored. Of others it has to look at more. */
export async function storedAsTheyAre({ uppers }: Store): Promise<(name: string, ref: ContainerRef) => boolean> {
  const changed = await uppers.changed();
  return (name, { lxcPath, ephemeral }) => lxcPath === null && !ephemeral && !changed.has(name);
}

/** As `settle`; what views changed and cannot be read is left out, with a warning. */
export async function settleReadable(context: Context, name: string, ref: ContainerRef): Promise<Settled> {
  try {
    return await settle(context, name, ref);
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    warn(context, `${name}: what was changed of it last is lost: ${error.message}`);
    return await settleDirectory(context, name, ref);
  }
}

/** As `settle`, but for what views changed. */
export async function settleDirectory(
  context: Context,
  name: string,
  ref: ContainerRef,
  options: SettleOptions = {},
): Promise<Settled> {
  using _operation = context.store.begin();
  const { store } = context;
  const directory = directoryOf(name, ref);
  if (directory === undefined || ref.lxcPath === null) return { ref, state: "stored" };
  const found = readContainerDirectory(directory);
  if (found.type === "none") return { ref, state: found.reason === "missing" ? "missing" : "foreign" };
  // Beside `delta0` also stands what lxc-copy -s makes: by its lower it is told whether it is ours.
  const stack = standsOn(store, found);
  if (stack === undefined) return { ref, state: "foreign" };
  const place = { name, lxcPath: ref.lxcPath, upper: found.rootfs.upper };
  const as = (state: ContainerState): Settled => {
    warnOfOtherIdMap(context, name, found.config, ref.idMap);
    return { ref, state };
  };
  if ((options.running ?? runningContainers()).isRunning(place)) return as("running");
  if (options.isDiscarded === true) return as("stopped");
  // Changes of a start that went on without its pending upper are changes all the same: the delta directory rules.
  if (found.pendingGeneration !== undefined && !found.uncaptured) {
    if (found.pendingGeneration <= ref.generation || isBeingChanged(store, name)) return as("stopped");
    // Announced for what the upper in the store holds: that is folded next.
    if (store.uppers.mayChange(name, refVersion(ref))) return as("stopped");
    // A change that was announced and never made: the delta directory is as it was.
    dropPreparedUpper(found.rootfs.upper);
    clearPending(directory);
  }
  if (!found.hasUpper) {
    warn(
      context,
      `${name}: ${found.rootfs.upper} is missing; what follows is as of the last capture: ${REPAIR} ${name}`,
    );
    return as("stopped");
  }
  // An upper that was moved is one that lxc-snapshot -r put there: nothing says what was captured of it.
  if (!found.uncaptured && found.rootfs.upper === `${directory}/delta0`) {
    const isLost = isEmptyUpper(found.rootfs.upper) && holdsChanges(context, treeOfStack(stack), ref.tree);
    if (isLost)
      warn(context, `${name}: ${found.rootfs.upper} is empty, though the store has changes of it: ${REPAIR} ${name}`);
    // What somebody put there by hand is captured if he says so.
    if (isLost || options.isAsked !== true) return as("stopped");
  }
  const command = options.isAsked === true ? context.command : undefined;
  return await captureUpper(context, { name, ref, directory, found, stack, command });
}

/** Makes an upper anew. */
const REPAIR = "delta0 lxc repair";

/** True if anything but the roots differs: an upper that shows that is not empty. */
export function holdsChanges({ store: { trees } }: Context, lower: Digest, tree: Digest): boolean {
  if (lower === tree) return false;
  for (const { path } of diffTrees(trees, trees.tree(lower), trees.tree(tree))) if (path !== "") return true;
  return false;
}

/** As `resolveRef`, with containers settled. A running one stands for its last capture, with a warning. */
export async function settledRef(context: Context, text: string): Promise<Resolved> {
  await settlePast(context, text);
  const resolved = await resolveRef(context.store, text);
  if (resolved.kind !== "container") return resolved;
  const { name } = resolved;
  const settled = await settle(context, name, resolved.ref);
  warnOfTrouble(context, [[name, settled]]);
  const { ref, state } = settled;
  if (state === "running") warn(context, `${name} is running: as of the last capture, ${ref.captured ?? "never"}`);
  return { kind: "container", name, ref, tree: ref.tree };
}

/** Steps back are counted from what a container is now. */
export async function settlePast(context: Context, text: string): Promise<void> {
  const name = parsePastName(text)?.name;
  const ref = name === undefined ? undefined : context.store.refs.find(name);
  if (name !== undefined && ref?.type === "container") await settle(context, name, ref);
}

interface Capture {
  readonly name: string;
  readonly ref: ContainerRef;
  readonly directory: string;
  readonly found: OwnDirectory;
  readonly stack: ExportStack;
  /** What asked for it; undefined if nobody did. */
  readonly command: string | undefined;
}

async function captureUpper(
  context: Context,
  { name, ref, directory, found, stack, command }: Capture,
): Promise<Settled> {
  const { upper } = found.rootfs;
  const lower = treeOfStack(stack);
  const idMap = idMapOfExport(stack[0], ref, found.config);
  warnOfOtherIdMap(context, name, found.config, idMap);
  const { store } = context;
  let begun = false;
  const isWhole = (): boolean => (begun ? captureIsWhole(upper) : !isUncaptured(upper));
  try {
    begun = beginCapture(upper);
    const { tree, losses } = await readDelta(context, upper, lower, { dialect: dialectOf(found.config), idMap });
    if (!isWhole()) return { ref, state: "running" };
    if (!begun && tree.digest === ref.tree) return { ref, state: "stopped" };
    const captured = { ...ref, tree: tree.digest, generation: ref.generation + 1, captured: timestamp() };
    if (store.uppers.mayChange(name, refVersion(ref)))
      warn(context, `${name}: it was started without what had been changed of it before, which is lost`);
    const change = { name, before: ref, after: captured, ...(command === undefined && { byItself: true as const }) };
    await store.change(command === undefined ? { command: `capture ${name}` } : context, [change], [], "overruled");
    // It ran as the machine that it was made from.
    if (captured.identityPending) markPending(directory, captured.generation);
    else clearPending(directory);
    finishCapture(upper);
    return { ref: captured, state: "stopped", losses };
  } catch (error) {
    if (isStoreError(error, "UNSUPPORTED")) throw error;
    // It was started meanwhile: what was read is a mix, and so is what went wrong with it.
    if (!isWhole()) return { ref, state: "running" };
    throw error;
  }
}
