import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { loopFilesystem, skipReason } from "../test/support/loop.ts";
import { hasCommand } from "../test/support/run.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import type { Figure } from "./record/figure.ts";
import type { BenchRecord, Report } from "./record/record.ts";
import { table } from "./record/table.ts";

export type { Figure } from "./record/figure.ts";
export { median, Samples } from "./record/figure.ts";

export const CLI = fileURLToPath(new URL("../dist/cli/main.cjs", import.meta.url));

export interface Measured {
  readonly seconds: number;
  /** Of the process and those it waited for, on all cores. */
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

const filesystems = new Set<string>();

/** A place of its own for a bench: a journaled ext4 where this host can mount one, as servers have it; or another kind. */
export async function benchDirectory(
  megabytes: number,
  kind: "ext4" | "xfs" | "btrfs" = "ext4",
): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = skipReason(kind) === undefined ? await loopFilesystem(kind, megabytes) : await temporaryDirectory();
  const { stdout } = spawnSync("stat", ["-f", "-c", "%T", directory.path], { encoding: "utf8" });
  filesystems.add(skipReason(kind) === undefined ? `${kind}, on a loop device` : stdout.trim());
  return directory;
}

/** Runs a command to its end as a process of its own. Its peak is that of the largest process it waited for, and at least 15 MB: python3 forks it. */
export function measure(program: string, args: readonly string[], allowed: readonly number[] = [0]): Measured {
  const { status, stderr } = spawnSync("python3", ["-c", MEASURE, program, ...args], { encoding: "utf8" });
  const said = /^(\d+) ([0-9.]+) ([0-9.]+) (\d+)$/m.exec(stderr.split("\n").at(-2) ?? "");
  if (status !== 0 || said === null || !allowed.includes(Number(said[1])))
    throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return { seconds: Number(said[2]), cpuSeconds: Number(said[3]), peakRssBytes: Number(said[4]) * 1024 };
}

/** The command as it is built: the loader for TypeScript would cost more than most commands. */
export function delta0(store: string, args: readonly string[], allowed: readonly number[] = [0]): Measured {
  return measure(process.execPath, [CLI, "--quiet", "--store", store, ...args], allowed);
}

/** The library as it is built: threads would take tsx a third of a second to begin. */
export async function built(): Promise<typeof import("../src/index.ts")> {
  return (await import(new URL("../dist/index.js", import.meta.url).href)) as typeof import("../src/index.ts");
}

/** `full`, or `trial` where the question is only whether the bench works: `npm run bench -- --trial`. */
export function sized(full: number, trial: number): number {
  return process.env["DELTA0_BENCH_TRIAL"] === "1" ? trial : full;
}

/** Seconds that `work` takes. */
export async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

const peers = new Map<string, string | null>();

/** Whether a program to compare with is installed; the record then says which version, and if not, that it was missing. */
export function hasPeer(program: string): boolean {
  if (!peers.has(program)) {
    const said = hasCommand(program)
      ? spawnSync(program, [VERSION_OF[program] ?? "--version"], { encoding: "utf8" })
      : null;
    const version = said === null ? null : (/\d+(\.\d+)+\S*/.exec(said.stdout + said.stderr)?.[0] ?? "unknown");
    peers.set(program, version);
    if (version === null) process.stderr.write(`${program} is not installed: nothing to compare with\n`);
  }
  return peers.get(program) !== null;
}

const VERSION_OF: Readonly<Record<string, string>> = { restic: "version" };

/** What bench/run.ts gets of each report. */
export interface ReportMessage {
  readonly report: Report;
  readonly peers: BenchRecord["peers"];
  readonly filesystems: BenchRecord["filesystems"];
}

/**
 * Tells what was measured: a table to standard output, and to bench/run.ts for the record docs/performance/NAME.json, with NAME that of the
 * program's file. A program may call it several times, with a title each; nothing is recorded unless it then ends well.
 */
export async function report(title: string, figures: readonly Figure[], notes: readonly string[] = []): Promise<void> {
  const unmeasured = figures.find(({ samples }) => samples.length === 0 || !samples.every(Number.isFinite));
  if (unmeasured !== undefined) throw new Error(`no figure: ${JSON.stringify(unmeasured)}`);
  process.stdout.write(`\n${title}\n${table(figures)}${notes.map((note) => `  ${note}\n`).join("")}`);
  const message: ReportMessage = {
    report: { title, figures, notes },
    peers: Object.fromEntries(peers),
    filesystems: [...filesystems],
  };
  if (process.send === undefined) return;
  await new Promise<void>((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

// Node cannot tell what a child used; python3 is here for the tests anyway.
const MEASURE = `
import resource, subprocess, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
# A python3 that is a script's last command has that script's children.
before = cpu()
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
took = time.monotonic() - began
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(code, "%.4f" % took, "%.4f" % (cpu() - before), peak, file=sys.stderr)
`;
