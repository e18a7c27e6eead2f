import { getValue } from "../lxc/config-file.ts";
import { lxcStart } from "../lxc/lxc-calls.ts";
import type { Context, OpenStore } from "./context.ts";
import { preStart } from "./hooks.ts";
import { inParallel } from "./in-parallel.ts";
import { failureIn, requireRunnable } from "./running.ts";
import type { Outcome, Runnable } from "./running.ts";
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

/** Starts containers, each until LXC says that it runs. What their hooks would do for each is done before, for all in one go. */
export async function start(open: OpenStore, { names, jobs }: StartParams): Promise<Started[]> {
  const { ready, signal } = await open(async (context) => {
    const checked = new Set<string>();
    const ready: (readonly [Runnable, Outcome["failure"]])[] = [];
    for (const container of await requireRunnable(context, names))
      ready.push([container, container.isRunning ? null : await prepare(context, container, checked)]);
    return { ready, signal: context.signal };
  });
  return await inParallel(ready, jobs, async ([container, failure]) => {
    signal?.throwIfAborted();
    const { name, isRunning } = container;
    if (failure !== null || isRunning) return { name, started: false, failure };
    try {
      await lxcStart(container);
      return { name, started: true, failure: null };
    } catch (error) {
      return { name, started: false, failure: failureIn(error) };
    }
  });
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
