import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { errnoOf, StoreError } from "../errors.ts";
import { getValue, readConfig } from "./config-file.ts";

/** A container as LXC's tools are told of it. */
export interface LxcPlace {
  readonly name: string;
  /** Absolute. */
  readonly lxcPath: string;
}

/**
 * Starts a container, and waits until LXC says that it runs.
 *
 * @throws {StoreError} PROGRAM_FAILED with LXC's reason, or if it takes too long and may yet come; UNSUPPORTED without LXC
 */
export async function lxcStart(place: LxcPlace): Promise<void> {
  const { status, reason } = await callLxc("lxc-start", place, [], { seconds: START_SECONDS });
  if (status === null) throw callFailure("lxc-start", place, status, `does not run after ${START_SECONDS} s`);
  if (status !== 0) throw callFailure("lxc-start", place, status, reason);
}

/**
 * Stops a container, and waits for its post-stop hook. One that does not run is as it should be.
 *
 * @param seconds how long its init has for an orderly end before all in it is killed; 0 kills at once
 * @throws {StoreError} PROGRAM_FAILED, UNSUPPORTED
 */
export async function lxcStop(place: LxcPlace, seconds: number): Promise<void> {
  const args = seconds === 0 ? ["-k"] : ["-t", String(seconds)];
  const { status, reason } = await callLxc("lxc-stop", place, args);
  if (status !== 0 && status !== NOT_RUNNING) throw callFailure("lxc-stop", place, status, reason);
}

export interface AttachOptions {
  /** The program, looked up in the container's PATH, and its arguments. */
  readonly program: readonly string[];
  /** Over those that a program in a container has: PATH, HOME, TERM. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * What it writes, and it has nothing to read then. Default: this process's own streams, with a terminal in the container
   * where they are one.
   */
  readonly onOutput?: (stream: "stdout" | "stderr", bytes: Uint8Array) => void;
  /** All that it writes goes to this process's standard error, and it has nothing to read either. */
  readonly isAside?: boolean;
  /** Gives the program up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program in a container.
 *
 * @returns its exit code, as a shell has it: 126 and 127 for one that cannot be executed or found, 128 + n for one that signal
 *   n ended
 * @throws {StoreError} PROGRAM_FAILED if it was not even tried, as where the container does not run; UNSUPPORTED; the signal's reason
 */
export async function lxcAttach(place: LxcPlace, options: AttachOptions): Promise<number> {
  const { program, environment, onOutput, isAside = false, signal } = options;
  const variables = Object.entries({ ...ENVIRONMENT, TERM: process.env["TERM"] ?? "dumb", ...environment });
  const args = ["--clear-env", ...variables.flatMap(([key, value]) => ["-v", `${key}=${value}`]), "--", ...program];
  const { status, reason } = await callLxc("lxc-attach", place, args, {
    stdio: onOutput ? ["ignore", "pipe", "pipe"] : isAside ? ["ignore", 2, 2] : "inherit",
    onOutput,
    signal,
  });
  signal?.throwIfAborted();
  if (status === null) throw callFailure("lxc-attach", place, status, reason);
  // What it says is said before the program is there, and nothing after.
  if (reason === undefined) return status;
  if (!reason.includes(`Failed to exec "`)) throw callFailure("lxc-attach", place, status, reason);
  return status === EXIT_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

const ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;
/** Hooks of the user's own, and ours if it has to wait for the store. */
const START_SECONDS = 120;
/** Of lxc-stop. */
const NOT_RUNNING = 2;

interface CallOptions {
  /** Default: none. */
  readonly stdio?: StdioOptions;
  readonly onOutput?: AttachOptions["onOutput"] | undefined;
  /** The program is ended after these. */
  readonly seconds?: number;
  /** As this does. */
  readonly signal?: AbortSignal | undefined;
}

interface CallResult {
  /** Null if a signal ended it. */
  readonly status: number | null;
  /** What it gave as the reason of a failure. */
  readonly reason: string | undefined;
}

/** LXC tells its reasons to a log alone, and to that only if it is asked to. */
async function callLxc(
  program: string,
  { lxcPath, name }: LxcPlace,
  args: readonly string[],
  { stdio = "ignore", onOutput, seconds, signal }: CallOptions = {},
): Promise<CallResult> {
  const directory = mkdtempSync(`${tmpdir()}/delta0-`);
  const log = `${directory}/log`;
  const ownLog = program === "lxc-start" ? logFileOf(`${lxcPath}/${name}/config`) : undefined;
  const logging = ownLog === undefined ? ["-l", "ERROR", "-o", log] : [];
  try {
    // In "/", for where a program in the container begins is where this is called, if there is such a directory.
    const child = spawn(program, ["-P", lxcPath, "-n", name, "-q", ...logging, ...args], {
      cwd: "/",
      stdio,
      ...(signal && { signal }),
      ...(seconds !== undefined && { timeout: seconds * 1000 }),
    });
    for (const stream of ["stdout", "stderr"] as const)
      child[stream]?.on("data", (bytes: Buffer) => onOutput?.(stream, bytes));
    const status = await ended(child);
    return { status, reason: ownLog === undefined ? reasonIn(log) : `see ${ownLog}` };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new StoreError("UNSUPPORTED", { what: `no ${program} here`, hint: "install LXC" }, { cause: error });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", (error) => {
      if (error.name === "AbortError") resolve(null);
      else reject(error);
    });
  });
}

/** Where a container is to log to by its own config, which a log of ours would turn off. */
function logFileOf(config: string): string | undefined {
  try {
    return getValue(readConfig(config), "lxc.log.file") || undefined;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The first line is the cause; those that follow are what came of it. */
export function reasonIn(log: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(log, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const [first] = text.split("\n");
  // "lxc-start web 2026… ERROR    start - ../src/lxc/start.c:start:2197 - No such file or directory - Failed to exec "/sbin/init""
  return first === undefined || first === "" ? undefined : first.replace(/^.*? ERROR +.*? - .*?:\w+:[0-9]+ - /, "");
}

export function callFailure(
  program: string,
  { name }: LxcPlace,
  status: number | null,
  reason: string | undefined,
): StoreError {
  const ending = status === null ? "was ended by a signal" : `ended with ${status}`;
  return new StoreError("PROGRAM_FAILED", { program, reason: `${name}: ${reason ?? ending}` });
}
