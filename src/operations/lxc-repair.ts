import { existsSync, readlinkSync } from "node:fs";
import type { ContainerRef } from "../containers/records.ts";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { mapOf, partsOfKey } from "../exports/export-key.ts";
import { treeOfStack, wholeStack } from "../exports/export-stack.ts";
import type { ExportStack } from "../exports/export-stack.ts";
import { formatConfig, setValue, writeConfig } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import {
  markPending,
  readContainerDirectory,
  remakeContainerDirectory,
  setLowers,
} from "../lxc/container-directory.ts";
import { withIdMap } from "../lxc/id-map-config.ts";
import { isDirectory, isEmptyUpper, isUncaptured } from "../lxc/upper.ts";
import { rootOf } from "../model/id-map.ts";
import type { Store } from "../store.ts";
import { makeUpper } from "./change-container.ts";
import { refuseRunning } from "./container-state.ts";
import type { Context } from "./context.ts";
import { readForeignConfig } from "./foreign.ts";
import { ensureHooks, newConfig, rootfsFor } from "./lxc-host.ts";
import { requireContainer } from "./references.ts";
import { holdsChanges, settle } from "./settle.ts";
import { standingOfNew, standsOn } from "./standing.ts";
import { troublesOf, wasOurs } from "./trouble.ts";

export interface Repaired {
  readonly name: string;
  readonly directory: string;
  /** What was not as the store's record has it, and is so now. */
  readonly repaired: readonly ("directory" | "config" | "delta0" | "rootfs")[];
}

/** A container whose directory is repaired. */
interface Patient {
  readonly name: string;
  readonly lxcPath: string;
  readonly directory: string;
  readonly ref: ContainerRef;
}

/**
 * Brings a stopped container's LXC directory in line with its record, whatever was done to it: made anew where it is gone, and
 * so is its config, of which nobody has the keys that were the user's own.
 *
 * @throws {StoreError} REFUSED while it runs, where its directory was moved or is another container's by now, where a capture
 *   is due and nobody can tell of what, and for one without an LXC directory
 */
export async function repairContainer(context: Context, { name }: { readonly name: string }): Promise<Repaired> {
  using _operation = context.store.begin();
  const { store } = context;
  const known = await requireContainer(store, name);
  const { lxcPath } = known;
  if (lxcPath === null)
    throw new StoreError("REFUSED", {
      reason: `${name} has no LXC directory`,
      hint: `clone it to a container that has one: delta0 clone ${name} NEW`,
    });
  const directory = `${lxcPath}/${name}`;
  // What it would warn of is repaired here.
  const quiet = { ...context, onWarning: () => undefined };
  const { ref, state } = await settle(quiet, name, known);
  refuseRunning(name, state, lxcPath);
  try {
    ensureHooks(store);
    const patient = { name, lxcPath, directory, ref };
    if (state !== "missing") return { name, directory, repaired: await repairDirectory(quiet, patient) };
    remake(store, patient);
    return { name, directory, repaired: ["directory"] };
  } catch (error) {
    throw asStoreError(error, `repairing ${directory}`);
  }
}

function remake(store: Store, patient: Patient): void {
  const { name, lxcPath, directory, ref } = patient;
  const trouble = troublesOf(store, [[name, { ref, state: "missing" }]]).get(name);
  if (trouble?.isMoved === true)
    throw new StoreError("REFUSED", { reason: `${name}: ${trouble.what}`, hint: trouble.remedy });
  if (!existsSync(lxcPath))
    throw new StoreError("NOT_FOUND", { what: `no directory ${lxcPath}`, hint: "make it first" });
  const stack = standingOfNew(store, ref, { lxcPath });
  store.exports.touch(stack);
  remakeContainerDirectory(directory, {
    config: ownConfig(store, patient, stack),
    exportPath: store.exports.path(stack[0]),
    pending: ref.generation,
    mappedGid: ref.idMap === null ? undefined : rootOf(ref.idMap).gid,
  });
}

async function repairDirectory(context: Context, patient: Patient): Promise<Repaired["repaired"]> {
  const { store } = context;
  const { name, directory } = patient;
  const repaired: Repaired["repaired"][number][] = [];
  if (repairConfig(store, patient)) repaired.push("config");
  // What it changed before somebody took its config away.
  const { ref } = await settle(context, name, patient.ref);
  const stack = standsOn(store, readContainerDirectory(directory));
  if (stack === undefined) throw new Error(`${directory}/config was not repaired`);
  if (await repairUpper(context, { ...patient, ref }, stack)) repaired.push("delta0");
  if (linkTarget(`${directory}/rootfs`) !== store.exports.path(stack[0])) {
    setLowers(directory, store.exports.pathsOf(stack));
    repaired.push("rootfs");
  }
  return repaired;
}

/** @throws {StoreError} REFUSED for another container's */
function repairConfig(store: Store, patient: Patient): boolean {
  const { name, lxcPath, directory, ref } = patient;
  const file = `${directory}/config`;
  const before = readForeignConfig(file);
  const isOurs = standsOn(store, readContainerDirectory(directory)) !== undefined;
  if (before !== undefined && !isOurs && !wasOurs(store, directory, before)) {
    const trouble = troublesOf(store, [[name, { ref, state: "foreign" }]]).get(name);
    throw new StoreError("REFUSED", {
      reason: `${name}: ${trouble?.what ?? ""}`,
      ...(trouble && { hint: trouble.remedy }),
    });
  }
  let config = before;
  if (!isOurs) {
    const stack = standingOfDelta(store, patient);
    config = before
      ? setValue(before, "lxc.rootfs.path", rootfsFor(store, lxcPath, name, stack))
      : ownConfig(store, patient, stack);
  }
  if (config === undefined) return false;
  const repaired = withIdMap(config, ref.idMap);
  if (before !== undefined && formatConfig(repaired).equals(formatConfig(before))) return false;
  writeConfig(file, repaired);
  return true;
}

/**
 * What a container without its config stands on. As long as there is its `delta0`, that is what its `rootfs` shows; what the
 * delta lies over may be another tree than the record's lower.
 */
function standingOfDelta(store: Store, { name, lxcPath, directory, ref }: Patient): ExportStack {
  const key = store.exports.keyOf(linkTarget(`${directory}/rootfs`) ?? "");
  const upper = `${directory}/delta0`;
  if (key !== undefined && partsOfKey(key).map === mapOf(ref.idMap)) {
    const { tree } = partsOfKey(key);
    return store.exports.present().find(tree, mapOf(ref.idMap)) ?? wholeStack(tree, ref.idMap);
  }
  if (isUncaptured(upper))
    throw new StoreError("REFUSED", {
      reason: `${name}: ${upper} is not captured, and what it lies over is said neither in its config nor by ${directory}/rootfs`,
      hint: "put one of them back, or move the delta away to have it as it was last captured",
    });
  const stack = standingOfNew(store, ref, { lxcPath });
  if (isDirectory(upper)) markPending(directory, ref.generation);
  return stack;
}

function ownConfig(store: Store, { name, lxcPath, ref }: Patient, stack: ExportStack): ConfigFile {
  return withIdMap(newConfig(store, name, rootfsFor(store, lxcPath, name, stack), {}), ref.idMap);
}

async function repairUpper(context: Context, { directory, ref }: Patient, stack: ExportStack): Promise<boolean> {
  const found = readContainerDirectory(directory);
  if (found.type === "none" || found.pendingGeneration !== undefined) return false;
  const lower = treeOfStack(stack);
  const isLost = !found.hasUpper || (isEmptyUpper(found.rootfs.upper) && holdsChanges(context, lower, ref.tree));
  if (!isLost) return false;
  if (ref.identityPending) markPending(directory, ref.generation);
  else await makeUpper(context, directory, { lower, tree: ref.tree, idMap: ref.idMap });
  return true;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
