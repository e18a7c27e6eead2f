import { claimContainer } from "../lxc/claim.ts";
import { lxcStop } from "../lxc/lxc-calls.ts";
import type { Context, Step } from "./context.ts";
import { inParallel } from "./in-parallel.ts";
import { requireContainer } from "./references.ts";
import { failureIn } from "./running.ts";
import type { findRunnables, Outcome, RunnablePlace } from "./running.ts";
import { settle } from "./settle.ts";

export interface StopParams {
  readonly names: readonly string[];
  /** How many at a time. */
  readonly jobs: number;
  /** How long each has for an orderly end before it is killed; 0 kills at once. */
  readonly seconds: number;
}

export interface Stopped extends Outcome {
  /** False if it did not run, or could not be stopped. */
  readonly stopped: boolean;
  /** When what it changed was last read into the store. */
  readonly captured: string | null;
}

export interface StopSteps {
  readonly findRunnables: Step<typeof findRunnables>;
  readonly captureEnded: Step<typeof captureEnded>;
}

/** Stops containers, and captures what they changed, all of them together. */
export async function stop(steps: StopSteps, params: StopParams, signal?: AbortSignal): Promise<Stopped[]> {
  const containers = await steps.findRunnables({ names: params.names });
  const claims: Disposable[] = [];
  try {
    return await steps.captureEnded({ ended: await stopAll(containers, params, claims, signal) });
  } finally {
    for (const claim of claims) claim[Symbol.dispose]();
  }
}

type Ended = Omit<Stopped, "captured">;

/** The last step of `stop`. */
export async function captureEnded(
  context: Context,
  { ended }: { readonly ended: readonly Ended[] },
): Promise<Stopped[]> {
  const results: Stopped[] = [];
  for (const each of ended) results.push(await captured(context, each));
  return results;
}

/** @param claims is given a claim on each: what their hooks would capture one by one is captured afterwards */
async function stopAll(
  containers: readonly RunnablePlace[],
  { jobs, seconds }: StopParams,
  claims: Disposable[],
  signal: AbortSignal | undefined,
): Promise<Ended[]> {
  return await inParallel(containers, jobs, async (container) => {
    const { name, directory, isRunning } = container;
    signal?.throwIfAborted();
    if (!isRunning) return { name, stopped: false, failure: null };
    const claim = claimContainer(directory);
    if (claim !== undefined) claims.push(claim);
    try {
      await lxcStop(container, seconds);
      return { name, stopped: true, failure: null };
    } catch (error) {
      return { name, stopped: false, failure: failureIn(error) };
    }
  });
}

async function captured(context: Context, ended: Ended): Promise<Stopped> {
  const { name, failure } = ended;
  try {
    // It may have gone with its last run.
    if (context.store.refs.find(name) === undefined) return { ...ended, captured: null };
    const { ref } = await settle(context, name, await requireContainer(context.store, name));
    return { ...ended, captured: ref.captured };
  } catch (error) {
    context.signal?.throwIfAborted();
    return { ...ended, captured: null, failure: failure ?? failureIn(error) };
  }
}
