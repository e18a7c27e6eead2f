import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { basename } from "node:path";
import { errnoOf } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import type { Step } from "./context.ts";
import type { exportTree } from "./export.ts";
import { run } from "./run.ts";
import type { RunSteps } from "./run.ts";

export interface TryParams {
  readonly program: readonly string[];
  /** On this host, with the files in a directory; else in a container. */
  readonly isExported?: boolean;
  readonly lxcPath?: string;
  readonly onWarning?: (warning: string) => void;
}

export interface TrySteps extends RunSteps {
  readonly exportTree: Step<typeof exportTree>;
}

/**
 * Runs a program in a tree, without input and with standard error for all its output, and keeps nothing of what it changes.
 *
 * @returns its exit code, as a shell has it
 * @throws {StoreError} as `run` and `exportTree`; the signal's reason
 */
export async function tryState(
  steps: TrySteps,
  digest: Digest,
  params: TryParams,
  signal?: AbortSignal,
): Promise<number> {
  const { program, isExported = false, lxcPath } = params;
  const ref = `blake3:${digest}`;
  if (!isExported)
    return (await run(steps, { ref, program, isAside: true, ...(lxcPath !== undefined && { lxcPath }) }, signal))
      .exitCode;
  const directory = mkdtempSync(`${tmpdir()}/delta0-bisect-`);
  const target = `${directory}/root`;
  try {
    const { losses } = await steps.exportTree({ ref, target, asUser: true });
    for (const { kind, count } of losses) params.onWarning?.(`${ref} is not whole for the test: ${count} × ${kind}`);
    const exitCode = await runHere(program, target, signal);
    signal?.throwIfAborted();
    return exitCode;
  } finally {
    using parent = DirectoryHandle.open(tmpdir());
    parent.removeTree(basename(directory));
  }
}

function runHere([program = "", ...args]: readonly string[], root: string, signal?: AbortSignal): Promise<number> {
  const environment = { ...process.env, DELTA0_ROOT: root };
  // No pipes: what it leaves running in the background would hold them open.
  const child = spawn(program, args, {
    cwd: root,
    env: environment,
    stdio: ["ignore", 2, 2],
    ...(signal && { signal }),
  });
  return new Promise((resolve, reject) => {
    child.on("exit", (code, name) => resolve(code ?? 128 + (name === null ? 0 : constants.signals[name])));
    child.on("error", (error) => {
      const errno = errnoOf(error);
      if (errno === "ENOENT" || errno === "ENOTDIR") resolve(127);
      else if (errno === "EACCES" || errno === "ENOEXEC") resolve(126);
      // An aborted one ends by the signal, too, and is waited for.
      else if (error.name !== "AbortError" || child.pid === undefined) reject(error);
    });
  });
}
