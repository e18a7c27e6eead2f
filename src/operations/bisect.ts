import { StoreError } from "../errors.ts";
import { ancestry, describeAncestor, namesOf } from "./ancestry.ts";
import type { LineageState } from "./ancestry.ts";
import type { Context, Step } from "./context.ts";
import { findFirstBad } from "./first-bad.ts";
import type { Verdict } from "./first-bad.ts";
import { settledRef } from "./settle.ts";
import { tryState } from "./try-state.ts";
import type { TrySteps } from "./try-state.ts";

export interface BisectParams {
  /** A state that BAD stands on, in which the program succeeds. Neither this nor the other end is tested. */
  readonly good: string;
  readonly bad: string;
  /** What tells good from bad, by its exit code. Standard error is where its output goes. */
  readonly program: readonly string[];
  /**
   * Runs it on this host, in a directory that has the state's files, which is its working directory and $DELTA0_ROOT. Else in a
   * container made for it, as `run` does.
   */
  readonly isExported?: boolean;
  readonly lxcPath?: string;
  readonly onStep?: (step: BisectStep) => void;
  readonly onWarning?: (warning: string) => void;
}

export interface BisectStep extends LineageState {
  readonly exitCode: number;
  readonly verdict: Verdict;
}

export interface Bisected {
  readonly good: string;
  readonly bad: string;
  /** In the order in which they were tested. */
  readonly steps: readonly BisectStep[];
  /** The newest state that is good. */
  readonly lastGood: LineageState;
  /** Null if it is one of several that could not be told apart. */
  readonly firstBad: LineageState | null;
  /** Those that the first bad one is among, the oldest first; one, if it was found. */
  readonly candidates: readonly LineageState[];
}

export interface BisectSteps extends TrySteps {
  readonly statesBetween: Step<typeof statesBetween>;
}

/**
 * Finds which layer broke something, among those that BAD has more than GOOD, by halves. The program says it: 0 is good, 125 that
 * this state cannot be tested, any other below 128 bad, and from 128 on, as after a signal, that all ends. One that cannot be
 * executed (126, 127) says "bad", too, but only if that is otherwise in GOOD: else it is no test.
 *
 * @throws {StoreError} USAGE if BAD does not stand on GOOD; PROGRAM_FAILED if the program is no test, or wants an end; as `run`
 */
export async function bisect(steps: BisectSteps, params: BisectParams, signal?: AbortSignal): Promise<Bisected> {
  const { good, bad } = params;
  const states = await steps.statesBetween({ good, bad });
  const tested: BisectStep[] = [];
  let isTest = false;
  const test = async (at: number): Promise<Verdict> => {
    const state = stateAt(states, at);
    const exitCode = await tryState(steps, state.digest, params, signal);
    if (isUnexecutable(exitCode) && !isTest) {
      await requireExecutable(steps, stateAt(states, 0), params, signal);
      isTest = true;
    }
    const step = { ...state, exitCode, verdict: verdictOf(exitCode, params.program) };
    tested.push(step);
    params.onStep?.(step);
    return step.verdict;
  };
  const found = await findFirstBad(states.length, test);
  const candidates = states.slice(found.good + 1, found.bad + 1);
  const firstBad = candidates.length === 1 ? stateAt(candidates, 0) : null;
  return { good, bad, steps: tested, lastGood: stateAt(states, found.good), firstBad, candidates };
}

function stateAt(states: readonly LineageState[], at: number): LineageState {
  const state = states[at];
  if (state === undefined) throw new Error(`there is no state ${at} of ${states.length}`);
  return state;
}

/** From GOOD to BAD. What has the very files of the state before cannot have broken anything, and is left out. */
export async function statesBetween(
  context: Context,
  { good, bad }: Pick<BisectParams, "good" | "bad">,
): Promise<LineageState[]> {
  const { tree: goodTree } = await settledRef(context, good);
  const found = await settledRef(context, bad);
  const { ofLayer } = await namesOf(context);
  const states: LineageState[] = [];
  for (const state of ancestry(context.store, found)) {
    if (states.at(-1)?.digest === state.tree) states.pop();
    states.push(describeAncestor(state, found, ofLayer));
    if (state.tree === goodTree) break;
  }
  if (states.at(-1)?.digest !== goodTree)
    throw new StoreError("USAGE", {
      reason: `${bad} does not stand on ${good}`,
      hint: `delta0 log ${bad} lists what it stands on`,
    });
  if (states.length === 1)
    throw new StoreError("USAGE", { reason: `${good} and ${bad} have the same files: nothing broke in between` });
  return states.reverse();
}

function verdictOf(exitCode: number, program: readonly string[]): Verdict {
  if (exitCode >= EXIT_ABORT) throw failed(program, `ended with ${exitCode}, which is an end of all`);
  return exitCode === 0 ? "good" : exitCode === EXIT_SKIP ? "skipped" : "bad";
}

async function requireExecutable(
  steps: TrySteps,
  good: LineageState,
  params: BisectParams,
  signal: AbortSignal | undefined,
): Promise<void> {
  const exitCode = await tryState(steps, good.digest, params, signal);
  if (isUnexecutable(exitCode))
    throw failed(params.program, `cannot be executed in ${params.good} either (${exitCode}), so it tests nothing`);
}

function failed([program = ""]: readonly string[], reason: string): StoreError {
  return new StoreError("PROGRAM_FAILED", { program, reason });
}

/** As git bisect run has them. */
const EXIT_SKIP = 125;
const EXIT_ABORT = 128;

function isUnexecutable(exitCode: number): boolean {
  return exitCode === 126 || exitCode === 127;
}
