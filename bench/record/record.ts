import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import type { Figure } from "./figure.ts";
import { plot } from "./plot.ts";

/** What one question's figures are, and one plot. */
export interface Report {
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMB: number;
  readonly kernel: string;
}

/** A run of a bench, as docs/performance/NAME.json keeps it. */
export interface BenchRecord {
  readonly bench: string;
  /** When it ended. */
  readonly date: string;
  /** "-dirty" if the checkout differed from it, but for the records. */
  readonly commit: string;
  readonly node: string;
  readonly machine: Machine;
  /** Where the stores were. */
  readonly filesystems: readonly string[];
  /** Means of 1, 5 and 15 minutes. */
  readonly load: { readonly start: readonly number[]; readonly end: readonly number[] };
  /** Versions of the programs that it was compared with; null: not installed. */
  readonly peers: Readonly<Record<string, string | null>>;
  readonly reports: readonly Report[];
}

const FOLDER = "docs/performance";
const root = fileURLToPath(new URL("../..", import.meta.url));

export function machine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryMB: Math.round(totalmem() / 1e6),
    kernel: release(),
  };
}

export function load(): number[] {
  return loadavg().map((mean) => Math.round(mean * 100) / 100);
}

export function currentCommit(): string {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync("git", ["-C", root, ...args], { encoding: "utf8" });
    return status === 0 ? stdout.trim() : undefined;
  };
  const commit = git("rev-parse", "--short", "HEAD");
  if (commit === undefined) return "unknown";
  // node_modules: a link to another checkout's is not ignored.
  const changed = git("status", "--porcelain", "--", ".", `:!${FOLDER}`, ":!node_modules");
  return changed === "" ? commit : `${commit}-dirty`;
}

/** @returns undefined if there is none of this bench yet */
export function lastRecord(bench: string): BenchRecord | undefined {
  try {
    return JSON.parse(readFileSync(`${root}${FOLDER}/${bench}.json`, "utf8")) as BenchRecord;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Replaces the bench's last record and its plots: NAME.svg of the first report, NAME-2.svg of the second, and so on. */
export async function write(record: BenchRecord): Promise<void> {
  const { bench, reports } = record;
  mkdirSync(`${root}${FOLDER}`, { recursive: true });
  // As the formatter would have it, which looks at these files as well.
  const text = await format(JSON.stringify(record, rounded), { parser: "json", printWidth: 120 });
  writeFileSync(`${root}${FOLDER}/${bench}.json`, text);
  const plots = new Set(reports.map((_, i) => `${bench}${i === 0 ? "" : `-${i + 1}`}.svg`));
  for (const name of readdirSync(`${root}${FOLDER}`))
    if (new RegExp(`^${bench}(-\\d+)?\\.svg$`).test(name) && !plots.has(name)) rmSync(`${root}${FOLDER}/${name}`);
  for (const [i, name] of [...plots].entries()) writeFileSync(`${root}${FOLDER}/${name}`, plot(record, reports[i]!));
}

/** Five digits tell more than any of these measurements. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
