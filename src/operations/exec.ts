import { StoreError } from "../errors.ts";
import { lxcAttach } from "../lxc/lxc-calls.ts";
import type { AttachOptions } from "../lxc/lxc-calls.ts";
import type { Step } from "./context.ts";
import { inParallel } from "./in-parallel.ts";
import { failureIn } from "./running.ts";
import type { findRunnables, Outcome } from "./running.ts";

export interface ExecParams {
  readonly names: readonly string[];
  /** How many at a time. */
  readonly jobs: number;
  /** Looked up in each container's PATH, with its arguments. */
  readonly program: readonly string[];
  /** Over PATH, HOME and TERM, which is all that it has. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What it writes; nothing of this process's input gets to it then. Default: this process's own streams and terminal. */
  readonly onOutput?: (name: string, ...output: Parameters<NonNullable<AttachOptions["onOutput"]>>) => void;
}

export interface Executed extends Outcome {
  /** The program's, as a shell has it: 128 + n where signal n ended it. Null if it could not be tried. */
  readonly exitCode: number | null;
}

export interface ExecSteps {
  readonly findRunnables: Step<typeof findRunnables>;
}

/** Runs a program in running containers. */
export async function exec(steps: ExecSteps, params: ExecParams, signal?: AbortSignal): Promise<Executed[]> {
  const { names, jobs, program, environment = {}, onOutput } = params;
  const containers = await steps.findRunnables({ names });
  return await inParallel(containers, jobs, async (container) => {
    signal?.throwIfAborted();
    const { name, isRunning } = container;
    try {
      if (!isRunning) throw new StoreError("REFUSED", { reason: `${name} does not run`, hint: `delta0 start ${name}` });
      const exitCode = await lxcAttach(container, {
        program,
        environment,
        signal,
        ...(onOutput && { onOutput: (...output) => onOutput(name, ...output) }),
      });
      return { name, exitCode, failure: null };
    } catch (error) {
      signal?.throwIfAborted();
      return { name, exitCode: null, failure: failureIn(error) };
    }
  });
}
