import type { WriteStream } from "node:tty";
import type { Progress } from "../index.ts";
import { count, formatBytes, formatSeconds } from "./text.ts";

/** Shows how far an operation is. */
export interface ProgressView {
  /** Cheap where it is too early to show anything new. */
  update(progress: Progress): void;
  /** Makes room for a line of text. */
  clear(): void;
}

const BAR_INTERVAL_MS = 100;
const LINE_INTERVAL_MS = 5000;
const RECORD_INTERVAL_MS = 500;

/** One line of a terminal, drawn over and over. */
export class ProgressBar implements ProgressView {
  readonly #terminal: WriteStream;
  readonly #began: number;
  readonly #due = rateLimit(BAR_INTERVAL_MS);
  #drawn = false;

  /** @param began when what it shows did, in ms since this process did */
  constructor(terminal: WriteStream, began: number) {
    this.#terminal = terminal;
    this.#began = began;
  }

  update(progress: Progress): void {
    if (!this.#due()) return;
    const seconds = (msSinceStart() - this.#began) / 1000;
    // A full last column would make the terminal begin a new line.
    const line = describeProgress(progress, seconds).slice(0, (this.#terminal.columns || 80) - 1);
    this.#terminal.write(`\r${line}\x1b[K`);
    this.#drawn = true;
  }

  clear(): void {
    if (this.#drawn) this.#terminal.write("\r\x1b[K");
    this.#drawn = false;
  }
}

/** A plain line now and then: in a log, a short operation leaves none. */
export class ProgressLines implements ProgressView {
  readonly #say: (line: string) => void;
  readonly #began: number;
  readonly #due: () => boolean;

  /** @param began as for `ProgressBar` */
  constructor(say: (line: string) => void, began: number) {
    this.#say = say;
    this.#began = began;
    this.#due = rateLimit(LINE_INTERVAL_MS, began);
  }

  update(progress: Progress): void {
    if (this.#due()) this.#say(`delta0: ${describeProgress(progress, (msSinceStart() - this.#began) / 1000)}`);
  }

  clear(): void {
    return;
  }
}

/** For programs. */
export class ProgressRecords implements ProgressView {
  readonly #write: (record: string) => void;
  readonly #due = rateLimit(RECORD_INTERVAL_MS);

  constructor(write: (record: string) => void) {
    this.#write = write;
  }

  update(progress: Progress): void {
    if (this.#due()) this.#write(JSON.stringify({ type: "progress", ...progress }));
  }

  clear(): void {
    return;
  }
}

/** Of this process. Node's `performance` would take 2 ms to load. */
export function msSinceStart(): number {
  return process.uptime() * 1000;
}

/** True at the first call, or an interval after `last`, and then once in each interval. */
function rateLimit(intervalMs: number, last = -Infinity): () => boolean {
  let before = last;
  return () => {
    const now = msSinceStart();
    if (now - before < intervalMs) return false;
    before = now;
    return true;
  };
}

/** "importing [####      ]  42 %  3660 entries  69.0 MiB  41.2 MiB/s  26.5 MiB new  3 s left" */
function describeProgress(progress: Progress, seconds: number): string {
  const { phase, entries, bytes, newBytes } = progress;
  const parts = [count(entries, "entry")];
  if (bytes > 0) parts.push(formatBytes(bytes));
  if (bytes > 0 && seconds > 0) parts.push(`${formatBytes(Math.round(bytes / seconds))}/s`);
  if (newBytes !== undefined)
    parts.push(`${formatBytes(newBytes)} new`, `${formatBytes(Math.max(0, bytes - newBytes))} deduplicated`);
  const share = shareDone(progress);
  if (share === undefined) return [phase, ...parts].join("  ");
  if (share > 0.01) parts.push(`${formatSeconds((seconds / share) * (1 - share))} left`);
  const done = Math.floor(share * BAR_WIDTH);
  const bar = `[${"#".repeat(done)}${" ".repeat(BAR_WIDTH - done)}]`;
  return [`${phase} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %`, ...parts].join("  ");
}

const BAR_WIDTH = 20;

/** Entries cost time as bytes do: neither alone tells how far a tree of large and small files is. */
function shareDone({ entries, bytes, totalEntries, totalBytes }: Progress): number | undefined {
  const shares: number[] = [];
  if (totalEntries !== undefined && totalEntries > 0) shares.push(entries / totalEntries);
  if (totalBytes !== undefined && totalBytes > 0) shares.push(bytes / totalBytes);
  if (shares.length === 0) return undefined;
  return Math.min(1, shares.reduce((sum, share) => sum + share, 0) / shares.length);
}
