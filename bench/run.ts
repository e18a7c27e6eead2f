/**
 * Runs the benches that are named, or all: npm run bench -- [--no-record | --trial] [NAME…]. They take the command as it is built. Each is
 * compared with its last record, and then recorded: docs/performance/NAME.json and its plots. What is worse is a warning, no failure.
 *
 * --no-record  compares, but keeps the last record
 * --trial      small sizes, to see that a bench works: neither compared nor recorded
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { warnings } from "./record/compare.ts";
import { currentCommit, lastRecord, load, machine, write } from "./record/record.ts";
import type { BenchRecord } from "./record/record.ts";
import type { ReportMessage } from "./support.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "no-record": { type: "boolean" }, trial: { type: "boolean" } },
});
const all = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && !["run.ts", "support.ts", "peers.ts", "main-job.ts"].includes(file))
  .map((file) => file.replace(/\.ts$/, ""));
const unknown = positionals.find((name) => !all.includes(name));
if (unknown !== undefined) {
  process.stderr.write(`no bench "${unknown}"; there are ${all.join(", ")}\n`);
  process.exit(2);
}
// Before the first record is written.
const commit = currentCommit();
const failed: string[] = [];
for (const name of positionals.length > 0 ? positionals : all) {
  const record = await run(name);
  if (record === undefined) failed.push(name);
  else if (values.trial !== true) await keep(record);
}
if (failed.length > 0) {
  process.stderr.write(`failed, and not recorded: ${failed.join(", ")}\n`);
  process.exitCode = 1;
}

/** @returns undefined if it failed */
async function run(bench: string): Promise<BenchRecord | undefined> {
  const start = load();
  const child = spawn(process.execPath, ["--import", "tsx", `${folder}${bench}.ts`], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, DELTA0_BENCH_TRIAL: values.trial === true ? "1" : "" },
  });
  const messages: ReportMessage[] = [];
  child.on("message", (message) => messages.push(message as ReportMessage));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) return undefined;
  return {
    bench,
    date: new Date().toISOString(),
    commit,
    node: process.version,
    machine: machine(),
    filesystems: messages.at(-1)?.filesystems ?? [],
    load: { start, end: load() },
    peers: messages.at(-1)?.peers ?? {},
    reports: messages.map(({ report }) => report),
  };
}

async function keep(record: BenchRecord): Promise<void> {
  const last = lastRecord(record.bench);
  const lines = last === undefined ? [] : warnings(last, record);
  for (const line of lines) process.stderr.write(`${record.bench}: ${line}\n`);
  if (lines.length > 0) process.stderr.write("(a warning: benches are no tests, and the exit code does not tell)\n");
  if (values["no-record"] !== true) await write(record);
}
