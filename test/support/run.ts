import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";

interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Exit codes that are no failure. Default: 0 alone. */
  readonly allowed?: readonly number[];
  /** Ends the program. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a program to its end, without a shell and without standard input.
 *
 * @returns its standard output
 * @throws {Error} with the end of its standard error if it exits with a code that is not allowed, or by a signal
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, PATH: SEARCH_PATH, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(options.signal && { signal: options.signal }),
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (...how) => resolve(how));
  });
  if (code === null || !(options.allowed ?? [0]).includes(code)) {
    const said = Buffer.concat(errors).toString("utf8").slice(-4000);
    throw new Error(`${[command, ...args].join(" ")}: ended with ${String(code ?? signal)}\n${said}`);
  }
  return Buffer.concat(output).toString("utf8");
}

export function hasCommand(name: string): boolean {
  return SEARCH_PATH.split(":").some((directory) => isExecutable(join(directory, name)));
}

/** Root of the machine: the one of a user namespace may neither make devices nor mount, nor be other users. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0 && /^ *0 +0 +4294967295$/m.test(readFileSync("/proc/self/uid_map", "latin1"));
}

// mkfs, losetup and chattr of some hosts stand where a user's PATH does not look.
const SEARCH_PATH = `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
