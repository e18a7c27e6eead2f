import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { loopFilesystem, skipReason } from "../test/support/loop.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";

export const CLI = fileURLToPath(new URL("../dist/cli/main.cjs", import.meta.url));

export interface Measured {
  readonly seconds: number;
  /** Of the process and those it waited for, on all cores. */
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

/** A place of its own for a bench: a journaled ext4 where this host can mount one, as servers have it. */
export async function benchDirectory(megabytes: number): Promise<AsyncDisposable & { readonly path: string }> {
  return skipReason("ext4") === undefined ? await loopFilesystem("ext4", megabytes) : await temporaryDirectory();
}

/** Runs a command to its end as a process of its own. Its peak is that of the largest process it waited for. */
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

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Rows of text to standard output; numbers are to be compared within one run only: machines differ and are shared. */
export function report(title: string, rows: readonly (readonly [what: string, figure: string])[]): void {
  const { status, stdout } = spawnSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" });
  const commit = status === 0 ? stdout.trim() : "no commit";
  process.stdout.write(
    `\n${title} (${commit}, Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "?"})\n`,
  );
  const width = Math.max(...rows.map(([what]) => what.length));
  for (const [what, figure] of rows) process.stdout.write(`  ${what.padEnd(width)}  ${figure}\n`);
}

export function seconds({ seconds }: Measured): string {
  return `${seconds.toFixed(2)} s`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

// Node cannot tell what a child used; python3 is here for the tests anyway.
const MEASURE = `
import resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
took = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, "%.3f" % took, "%.3f" % (used.ru_utime + used.ru_stime), used.ru_maxrss, file=sys.stderr)
`;
