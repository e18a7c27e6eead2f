import { Worker } from "node:worker_threads";
import { fileTargets } from "./file-targets.ts";
import { Random } from "./random.ts";
import { RECORD_TARGETS } from "./record-targets.ts";
import { STREAM_TARGETS } from "./stream-targets.ts";
import type { Target } from "./target.ts";
import { textTargets } from "./text-targets.ts";

export interface FuzzOptions {
  readonly cases: number;
  /** Of the first case; each later one has the next number. One number makes one case. */
  readonly seed: number;
  /** Where files may be written. */
  readonly directory: string;
  readonly onProgress?: (done: number) => void;
}

export interface FuzzFailure {
  readonly target: string;
  readonly seed: number;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly cases: Readonly<Record<string, number>>;
  readonly failures: readonly FuzzFailure[];
  readonly slowestMs: number;
  /** The most that the process ever had, and by how much one case made that grow. */
  readonly maxRssBytes: number;
  readonly largestGrowth: { readonly bytes: number; readonly target: string; readonly seed: number };
}

/** Of time on a processor: others use the machine, too. */
export const MAX_CASE_MS = 1000;
/** What a case may make the process grow by, whatever its bytes say. What the collector has not taken yet counts, too. */
export const MAX_CASE_BYTES: number = 192 << 20;

/** Runs cases one after the other. A case that does not end ends the process, once it has said which it was. */
export async function fuzz({ cases, seed, directory, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const targets = [...RECORD_TARGETS, ...STREAM_TARGETS, ...textTargets(directory), ...(await fileTargets(directory))];
  const weights = targets.map(({ weight }) => weight);
  const counts: Record<string, number> = Object.fromEntries(targets.map(({ name }) => [name, 0]));
  const failures: FuzzFailure[] = [];
  let slowestMs = 0;
  let maxRssBytes = maxRss();
  let largestGrowth = { bytes: 0, target: "", seed };
  using watch = new Watch();
  for (let i = 0; i < cases && failures.length < MAX_FAILURES; i++) {
    const at = seed + i;
    const random = new Random(at);
    const target = choose(random, targets, weights);
    counts[target.name]! += 1;
    watch.begin(at);
    const before = process.cpuUsage();
    try {
      await target.run(random);
      const { user, system } = process.cpuUsage(before);
      const ms = (user + system) / 1000;
      slowestMs = Math.max(slowestMs, ms);
      if (ms > MAX_CASE_MS) throw new Error(`took ${Math.round(ms)} ms of a processor`);
      const bytes = maxRss() - maxRssBytes;
      maxRssBytes += bytes;
      if (bytes > largestGrowth.bytes) largestGrowth = { bytes, target: target.name, seed: at };
      if (bytes > MAX_CASE_BYTES) throw new Error(`made the process grow by ${bytes >> 20} MiB`);
    } catch (error) {
      failures.push({ target: target.name, seed: at, error });
    }
    if (i % PROGRESS_CASES === 0) onProgress?.(i);
  }
  return { cases: counts, failures, slowestMs, maxRssBytes, largestGrowth };
}

function choose(random: Random, targets: readonly Target[], weights: readonly number[]): Target {
  let left = (random.below(1 << 24) / (1 << 24)) * weights.reduce((sum, weight) => sum + weight, 0);
  return targets.find((_, i) => (left -= weights[i]!) < 0) ?? targets[0]!;
}

function maxRss(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Looks from a thread of its own whether cases end. */
class Watch implements Disposable {
  readonly #case = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #worker: Worker;

  constructor() {
    const workerData = { current: this.#case, limitMs: HANG_MS };
    this.#worker = new Worker(WATCH, { eval: true, workerData });
    this.#worker.unref();
  }

  begin(seed: number): void {
    Atomics.store(this.#case, 0, BigInt(seed));
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate();
  }
}

const HANG_MS = 60_000;
const WATCH = `
const { workerData: { current, limitMs } } = require("node:worker_threads");
let last, since = 0;
setInterval(() => {
  const now = Atomics.load(current, 0);
  since = now === last ? since + 1000 : 0;
  last = now;
  if (since < limitMs) return;
  require("node:fs").writeSync(2, "the case of seed " + now + " does not end\\n");
  process.kill(process.pid, "SIGKILL");
}, 1000);
`;
const MAX_FAILURES = 20;
const PROGRESS_CASES = 10_000;
