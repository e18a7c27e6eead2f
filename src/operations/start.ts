import { getValue } from "../lxc/config-file.ts";
import { lxcStart } from "../lxc/lxc-calls.ts";
import type { Context, Step } from "./context.ts";
import { preStart } from "./hooks.ts";
import { inParallel } from "./in-parallel.ts";
import { failureIn, placeOf, requireRunnable } from "./running.ts";
import type { Outcome, Runnable, RunnablePlace, RunnablesParams } from "./running.ts";
import { requireUnchanged, standsOn } from "./standing.ts";

export interface StartParams {
  readonly names: readonly string[];
  /** How many at a time. */
  readonly jobs: number;
}

export interface Started extends Outcome {
  /** False if it ran already, or did not come to run. */
  readonly started: boolean;
}

export interface StartSteps {
  readonly prepareStart: Step<typeof prepareStart>;
}

/** A container that can be started, unless it runs or `failure` is why not. */
export interface Prepared extends RunnablePlace {
  readonly failure: Outcome["failure"];
}

/** Starts containers, each until LXC says that it runs. What their hooks would do for each is done before, for all in one go. */
export async function start(steps: StartSteps, { names, jobs }: StartParams, signal?: AbortSignal): Promise<Started[]> {
  const ready = await steps.prepareStart({ names });
  return await inParallel(ready, jobs, async (container) => {
    signal?.throwIfAborted();
    const { name, isRunning, failure } = container;
    if (failure !== null || isRunning) return { name, started: false, failure };
    try {
      await lxcStart(container);
      return { name, started: true, failure: null };
    } catch (error) {
      return { name, started: false, failure: failureIn(error) };
    }
  });
}

/** Gets containers ready to start. @throws {StoreError} as `requireRunnable` */
export async function prepareStart(context: Context, { names }: RunnablesParams): Promise<Prepared[]> {
  const checked = new Set<string>();
  const prepared: Prepared[] = [];
  for (const container of await requireRunnable(context, names)) {
    const failure = container.isRunning ? null : await prepare(context, container, checked);
    prepared.push({ ...placeOf(container), failure });
  }
  return prepared;
}

/**
 * Makes what its pre-start hook would make: the hook has not to wait for the store then, and it is told what fails.
 *
 * @param checked the stacks that were looked at already, and are added to
 */
async function prepare(context: Context, container: Runnable, checked: Set<string>): Promise<Outcome["failure"]> {
  try {
    const stack = standsOn(context.store, container.found);
    if (stack !== undefined && !checked.has(stack.join())) {
      requireUnchanged(context.store, stack, container.name);
      checked.add(stack.join());
    }
    await makeReady(context, container);
    return null;
  } catch (error) {
    context.signal?.throwIfAborted();
    return failureIn(error);
  }
}

/** @throws {StoreError} as `preStart` */
export async function makeReady(
  context: Context,
  { directory, found }: Pick<Runnable, "directory" | "found">,
): Promise<void> {
  const rootfsPath = getValue(found.config, "lxc.rootfs.path") ?? "";
  await preStart(context, { configFile: `${directory}/config`, rootfsPath });
}
