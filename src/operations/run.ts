import { randomInt } from "node:crypto";
import { statSync } from "node:fs";
import { errnoOf, isStoreError, StoreError } from "../errors.ts";
import { bindMountSetting } from "../lxc/bind-mount.ts";
import type { BindMount } from "../lxc/bind-mount.ts";
import { claimContainer } from "../lxc/claim.ts";
import type { Setting } from "../lxc/config-file.ts";
import { limitSettings } from "../lxc/limits.ts";
import type { Limits } from "../lxc/limits.ts";
import { lxcAttach, lxcStart, lxcStop } from "../lxc/lxc-calls.ts";
import { killWhenOrphaned } from "../lxc/orphan-guard.ts";
import type { Digest } from "../model/digest.ts";
import { clone } from "./clone.ts";
import type { Context, Step } from "./context.ts";
import { describeDifferences } from "./describe.ts";
import type { ChangeDescription } from "./describe.ts";
import { get } from "./get.ts";
import type { Got } from "./get.ts";
import { giveInit } from "./give-init.ts";
import { directoryOf } from "./lxc-host.ts";
import type { LxcParams } from "./lxc-host.ts";
import { requireContainer, requireFree } from "./references.ts";
import { placeOf, requireRunnable } from "./running.ts";
import type { RunnablePlace } from "./running.ts";
import { settle } from "./settle.ts";
import { makeReady } from "./start.ts";
import { takeAway } from "./take-away.ts";

export interface RunParams extends Omit<LxcParams, "noLxc">, Limits {
  readonly ref: string;
  /** Looked up in the container's PATH, with its arguments. */
  readonly program: readonly string[];
  /** Over PATH, HOME and TERM, which is all that it has. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly binds?: readonly BindMount[];
  readonly labels?: Readonly<Record<string, string>>;
  /** After these the whole container is killed. */
  readonly timeoutSeconds?: number;
  /** What is copied out afterwards: a path in the container, to a directory of the host that is there. */
  readonly copies?: readonly { readonly path: string; readonly target: string }[];
  /** Whether to find out what the program changed. */
  readonly diff?: boolean;
  /** The container stays, stopped, by this name. */
  readonly keep?: string;
  /** The program has no input, and all that it writes goes to standard error: it is not what is asked for. */
  readonly isAside?: boolean;
}

export interface Ran {
  readonly name: string;
  readonly kept: boolean;
  /** The program's, as a shell has it: 126 cannot be executed, 127 not found, 128 + n where signal n ended it; 124: killed in time. */
  readonly exitCode: number;
  readonly timedOut: boolean;
  /** Null unless it was asked for. */
  readonly changes: readonly ChangeDescription[] | null;
  readonly copied: readonly Got[];
  /** Why the container is still there: the next command that makes one such removes it. */
  readonly leftBehind: StoreError | null;
}

export interface RunSteps {
  readonly beginRun: Step<typeof beginRun>;
  readonly endRun: Step<typeof endRun>;
}

/**
 * Runs a program in a container made for it, with this process's streams and terminal. The container is gone afterwards, also
 * if this process is killed.
 *
 * @throws {StoreError} what is wrong with REF or parameters, or fails on the host; the signal's reason
 */
export async function run(steps: RunSteps, params: RunParams, signal?: AbortSignal): Promise<Ran> {
  const begun = await steps.beginRun(params);
  const { container } = begun;
  const { name } = container;
  let ending: Ending;
  // What runs and what stops is seen to here, not by hooks and other commands.
  using _claim = claimContainer(container.directory);
  try {
    if (_claim === undefined) throw new Error(`${name} was made, and somebody else has claimed it`);
    ending = await runIn(container, params, signal);
  } catch (error) {
    await steps.endRun({ begun, params, exitCode: null });
    throw error;
  }
  const result = { name, kept: params.keep !== undefined, ...ending, leftBehind: null };
  try {
    return { ...result, ...(await steps.endRun({ begun, params, exitCode: ending.exitCode })) };
  } catch (error) {
    if (!isStoreError(error, "STORE_LOCKED") || needsResult(params)) throw error;
    return { ...result, changes: null, copied: [], leftBehind: error };
  }
}

export interface BegunRun {
  readonly container: RunnablePlace;
  /** As which it began. */
  readonly tree: Digest;
}

/** The first step of `run`: makes the container, ready to be started. */
export async function beginRun(context: Context, params: RunParams): Promise<BegunRun> {
  const { ref, keep, labels = {}, lxcPath, config } = params;
  const settings = [...(params.settings ?? []), ...settingsFor(params).map(({ key, value }) => `${key}=${value}`)];
  const name = keep ?? freeName(context);
  if (keep !== undefined) requireFree(context.store, keep);
  const cloned = await clone(context, {
    ref,
    names: [name],
    labels,
    settings,
    // What it is for is over before anybody could take it for another; and it starts at once.
    identity: "config",
    ...(lxcPath !== undefined && { lxcPath }),
    ...(config !== undefined && { config }),
    ...(keep === undefined && { ephemeral: true, expires: new Date(Date.now() + LEFTOVER_MS).toISOString() }),
  });
  try {
    const [container] = await requireRunnable(context, [name]);
    if (container === undefined) throw new Error(`${name} was made, and is not there`);
    giveInit(context, container, cloned.digest);
    await makeReady(context, container);
    return { container: placeOf(container), tree: cloned.digest };
  } catch (error) {
    await remove(context, name, params);
    throw error;
  }
}

/** What was made for a run that was killed before its start is removed then. */
const LEFTOVER_MS = 24 * 3600 * 1000;

function freeName({ store }: Context): string {
  for (;;) {
    const name = `run-${randomInt(36 ** 6)
      .toString(36)
      .padStart(6, "0")}`;
    if (store.refs.find(name) === undefined) return name;
  }
}

function settingsFor({ binds = [], memoryBytes, cpus }: RunParams): Setting[] {
  return [...limitSettings({ memoryBytes, cpus }), ...binds.map((bind) => bindMountSetting(bind, typeOf(bind.source)))];
}

function typeOf(source: string): "dir" | "file" {
  try {
    return statSync(source).isDirectory() ? "dir" : "file";
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
    throw new StoreError("NOT_FOUND", { what: `no file or directory ${source} to bind` }, { cause: error });
  }
}

type Ending = Pick<Ran, "exitCode" | "timedOut">;

/** From start to stop. @throws {StoreError} PROGRAM_FAILED; the signal's reason. Then it is stopped, too */
async function runIn(container: RunnablePlace, params: RunParams, signal: AbortSignal | undefined): Promise<Ending> {
  const { program, environment = {}, timeoutSeconds, isAside = false } = params;
  using _guard = killWhenOrphaned(container);
  const time = { isOver: false };
  let killing: Promise<void> | undefined;
  const kill = (): void => {
    killing ??= lxcStop(container, 0);
    // It is awaited below, after what it ends.
    killing.catch(() => undefined);
  };
  let timer: NodeJS.Timeout | undefined;
  try {
    signal?.throwIfAborted();
    await lxcStart(container);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", kill, { once: true });
    if (timeoutSeconds !== undefined)
      timer = setTimeout(() => {
        time.isOver = true;
        kill();
      }, timeoutSeconds * 1000);
    const exitCode = await lxcAttach(container, { program, environment, isAside });
    return time.isOver ? TIMED_OUT : { exitCode, timedOut: false };
  } catch (error) {
    // It was about to begin.
    if (!time.isOver) throw error;
    return TIMED_OUT;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", kill);
    await (killing ?? lxcStop(container, 0));
    signal?.throwIfAborted();
  }
}

/** As of timeout(1). */
const TIMED_OUT: Ending = { exitCode: 124, timedOut: true };

function needsResult({ copies = [], diff = false }: RunParams): boolean {
  return diff || copies.length > 0;
}

export interface EndRunParams {
  readonly begun: BegunRun;
  readonly params: RunParams;
  /** Null if it came to no end. */
  readonly exitCode: number | null;
}

/** The last step of `run`: takes what is wanted out of the stopped container, and removes it. */
export async function endRun(
  context: Context,
  { begun, params, exitCode }: EndRunParams,
): Promise<Pick<Ran, "changes" | "copied">> {
  const { container, tree } = begun;
  const { name } = container;
  const { copies = [], diff = false, keep } = params;
  const { store } = context;
  try {
    if (exitCode === null || (!needsResult(params) && keep === undefined)) return { changes: null, copied: [] };
    const { ref } = await settle(context, name, await requireContainer(store, name));
    const changes = diff ? describeDifferences(store.trees, store.trees.tree(tree), store.trees.tree(ref.tree)) : null;
    const copied: Got[] = [];
    for (const { path, target } of copies) {
      try {
        copied.push(await get(context, { paths: [`${name}:${path}`], target }));
      } catch (error) {
        // What a failed program did not make is no news; its exit code is.
        if (exitCode === 0 || !isStoreError(error, "NOT_FOUND")) throw error;
        context.onWarning?.(error.message);
      }
    }
    return { changes, copied };
  } finally {
    await remove(context, name, params);
  }
}

/** Unless it is to be kept. Also after the signal. */
async function remove(context: Context, name: string, { keep }: RunParams): Promise<void> {
  if (keep !== undefined) return;
  const ref = context.store.refs.find(name);
  if (ref?.type !== "container") return;
  const { signal: _aborted, ...unstoppable } = context;
  const directory = directoryOf(name, ref);
  await takeAway(unstoppable, new Map([[name, ref]]), directory === undefined ? [] : [directory], { byItself: true });
}
