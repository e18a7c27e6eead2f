import { claimContainer } from "../lxc/claim.ts";
import { lxcStop } from "../lxc/lxc-calls.ts";
import type { Context, OpenStore } from "./context.ts";
import { inParallel } from "./in-parallel.ts";
import { requireContainer } from "./references.ts";
import { failureIn, requireRunnable } from "./running.ts";
import type { Outcome, Runnable } from "./running.ts";
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

/** Stops containers, and captures what they changed, all of them together. */
export async function stop(open: OpenStore, params: StopParams): Promise<Stopped[]> {
  const { containers, signal } = await open(async (context) => ({
    containers: await requireRunnable(context, params.names),
    signal: context.signal,
  }));
  const claims: Disposable[] = [];
  try {
    const ended = await stopAll(containers, params, claims, signal);
    return await open(async (context) => {
      const results: Stopped[] = [];
      for (const each of ended) results.push(await captured(context, each));
      return results;
    });
  } finally {
    for (const claim of claims) claim[Symbol.dispose]();
  }
}

/** @param claims is given a claim on each: what their hooks would capture one by one is captured afterwards */
async function stopAll(
  containers: readonly Runnable[],
  { jobs, seconds }: StopParams,
  claims: Disposable[],
  signal: AbortSignal | undefined,
): Promise<Omit<Stopped, "captured">[]> {
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

async function captured(context: Context, ended: Omit<Stopped, "captured">): Promise<Stopped> {
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
