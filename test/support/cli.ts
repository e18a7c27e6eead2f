import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "./temporary.ts";

export interface CliResult {
  /** As a shell has it: 128 + n where signal n ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: Uint8Array | string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** The command as it is built if that is up to date, else from its source: what a shell or spawn takes. */
export const DELTA0: readonly string[] = isBuilt()
  ? [process.execPath, builtMain()]
  : [process.execPath, "--import", import.meta.resolve("tsx"), fileURLToPath(new URL("src/cli/main.ts", root()))];

/** `DELTA0` for a line of shell. */
export const DELTA0_WORDS: string = DELTA0.map((word) => `'${word}'`).join(" ");

/** A store of its own, and the command that works in it. */
export interface CliStore extends AsyncDisposable {
  /** For the test's files, beside the store. */
  readonly path: string;
  readonly store: string;
  /** Runs `delta0 ARGS` to its end. */
  readonly delta0: (args: readonly string[], options?: CliOptions) => Promise<CliResult>;
  /** A line of shell, with `$DELTA0` for the command. */
  readonly shell: (line: string, options?: CliOptions) => Promise<CliResult>;
}

export async function cliStore(): Promise<CliStore> {
  const directory = await temporaryDirectory();
  const { path } = directory;
  const store = `${path}/store`;
  const withStore = ({ env, ...options }: CliOptions = {}): CliOptions => ({
    cwd: path,
    ...options,
    env: { DELTA0_STORE: store, DELTA0: DELTA0_WORDS, ...env },
  });
  return {
    path,
    store,
    delta0: (args, options) => runCli(DELTA0[0] ?? "", [...DELTA0.slice(1), ...args], withStore(options)),
    shell: (line, options) => runCli("bash", ["-c", line.replaceAll("$DELTA0", DELTA0_WORDS)], withStore(options)),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** The one document that a command with --json gives. */
export function documentOf(result: CliResult): Record<string, unknown> {
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

/** The failure that a command with --json gives. */
export function failureOf(result: CliResult): Record<string, unknown> {
  return JSON.parse(result.stderr.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

async function runCli(program: string, args: readonly string[], options: CliOptions): Promise<CliResult> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: undefined, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
  // It may end without having read all.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exit, signal) => resolve(exit ?? SIGNALS[signal ?? ""] ?? -1));
  });
  return { code, stdout: Buffer.concat(stdout).toString("utf8"), stderr: Buffer.concat(stderr).toString("utf8") };
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 130, SIGKILL: 137, SIGPIPE: 141, SIGTERM: 143 };

function root(): URL {
  return new URL("../../", import.meta.url);
}

function builtMain(): string {
  return fileURLToPath(new URL("dist/cli/main.cjs", root()));
}

function isBuilt(): boolean {
  if (!existsSync(builtMain())) return false;
  const source = fileURLToPath(new URL("src", root()));
  const changed = readdirSync(source, { recursive: true, encoding: "utf8" }).map(
    (name) => statSync(`${source}/${name}`).mtimeMs,
  );
  return statSync(builtMain()).mtimeMs > Math.max(...changed);
}

/** etc/hosts, etc/link to it, and one more: five entries that any user may make. */
export async function smallTree(path: string): Promise<void> {
  await mkdir(`${path}/etc`, { recursive: true });
  await mkdir(`${path}/srv`);
  await writeFile(`${path}/etc/hosts`, "127.0.0.1 localhost\n");
  await symlink("hosts", `${path}/etc/link`);
  await writeFile(`${path}/srv/page`, "page ".repeat(1000));
}

/** For `python3 -c`: a tar with twelve devices, which any user may make, on standard output. */
export const DEVICE_TAR_PY = `
import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    for n in range(12):
        entry = tarfile.TarInfo("null%d" % n)
        entry.type, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 1, 3
        tar.addfile(entry)
`;
