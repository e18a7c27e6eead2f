import { StoreError } from "../errors.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import type { OwnDirectory } from "../lxc/container-directory.ts";
import type { LxcPlace } from "../lxc/lxc-calls.ts";
import { runningContainers } from "../lxc/running.ts";
import type { Context } from "./context.ts";
import { sweepNames } from "./ephemeral.ts";
import { warnOfOtherIdMap } from "./id-maps.ts";
import { requireContainer } from "./references.ts";
import { standsOn } from "./standing.ts";
import { troublesOf } from "./trouble.ts";

/** What became of one of many containers; the others went on. */
export interface Outcome {
  readonly name: string;
  /** Null if all went well. */
  readonly failure: StoreError | null;
}

/** A container that LXC can be told of. */
export interface RunnablePlace extends LxcPlace {
  /** LXCPATH/NAME. */
  readonly directory: string;
  readonly isRunning: boolean;
}

export interface Runnable extends RunnablePlace {
  readonly found: OwnDirectory;
}

export interface RunnablesParams {
  readonly names: readonly string[];
}

/** The first step of what has LXC do something with containers. @throws {StoreError} as `requireRunnable` */
export async function findRunnables(context: Context, { names }: RunnablesParams): Promise<RunnablePlace[]> {
  return (await requireRunnable(context, names)).map(placeOf);
}

export function placeOf({ name, lxcPath, directory, isRunning }: Runnable): RunnablePlace {
  return { name, lxcPath, directory, isRunning };
}

/**
 * The named containers, as they are now; of ephemeral ones those that are not over.
 *
 * @throws {StoreError} NOT_FOUND, USAGE for a layer, REFUSED for one without an LXC directory of ours
 */
export async function requireRunnable(context: Context, names: readonly string[]): Promise<Runnable[]> {
  const { store } = context;
  await sweepNames(context, names);
  const running = runningContainers();
  const containers: Runnable[] = [];
  for (const name of new Set(names)) {
    const ref = await requireContainer(store, name);
    const { lxcPath } = ref;
    if (lxcPath === null)
      throw new StoreError("REFUSED", {
        reason: `${name} has no LXC directory`,
        hint: `clone it to a container that has one: delta0 clone ${name} NEW`,
      });
    const directory = `${lxcPath}/${name}`;
    const found = readContainerDirectory(directory);
    if (found.type === "none" || standsOn(store, found) === undefined) {
      const state = found.type === "none" && found.reason === "missing" ? "missing" : "foreign";
      const trouble = troublesOf(store, [[name, { ref, state }]]).get(name);
      throw new StoreError("REFUSED", {
        reason: `${name}: ${trouble?.what ?? state}`,
        ...(trouble && { hint: trouble.remedy }),
      });
    }
    warnOfOtherIdMap(context, name, found.config, ref.idMap);
    const isRunning = running.isRunning({ name, lxcPath, upper: found.rootfs.upper });
    containers.push({ name, lxcPath, directory, found, isRunning });
  }
  return containers;
}

/** What an operation on one of many containers fails with, as its outcome. A bug of ours ends all. */
export function failureIn(error: unknown): StoreError {
  if (error instanceof StoreError) return error as StoreError;
  throw error;
}
