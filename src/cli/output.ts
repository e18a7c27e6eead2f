import { BrokenPipe, failureText } from "./failure.ts";
import type { Failure } from "./failure.ts";
import { msSinceStart, ProgressBar, ProgressLines, ProgressRecords } from "./progress.ts";
import type { ProgressView } from "./progress.ts";
import { stderr, stdout } from "./streams.ts";
import { visible } from "./text.ts";

export interface OutputOptions {
  readonly format: "human" | "json" | "ndjson";
  /** Neither progress nor warnings nor what was done: what was asked for, and failures. */
  readonly quiet: boolean;
  /** Failures with their stacks. */
  readonly verbose: boolean;
  /** Unless colours are refused; where they go decides too. */
  readonly colors: boolean;
}

export type Color = "red" | "green" | "yellow" | "cyan";

/** What a command says: results on standard output, all else on standard error. */
export class Output {
  readonly #options: OutputOptions;
  readonly #warnings: string[] = [];
  #signal: AbortSignal | undefined;
  #progress: ProgressView | undefined;
  #stdoutTaken = false;

  constructor(options: OutputOptions) {
    this.#options = options;
  }

  /** A write that waits for its reader gives up when the signal comes. */
  set signal(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** What was asked for: a table, a description. */
  async show(verb: string, document: object, lines: () => Iterable<string>): Promise<void> {
    if (this.#options.format === "human") await this.#print(lines());
    else await this.#document(verb, document);
  }

  /** What was done. */
  async confirm(verb: string, document: object, lines: () => Iterable<string>): Promise<void> {
    if (this.#options.format === "human" && this.#options.quiet) return;
    await this.show(verb, document, lines);
  }

  /** Text as it is: help, a script. */
  async text(text: string): Promise<void> {
    await this.#write(text);
  }

  /** For a stream of bytes that is the result: documents about it go to standard error. */
  takeStdout(): void {
    this.#stdoutTaken = true;
  }

  /** Bytes as they are; on return they are the caller's again. */
  async bytes(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes);
  }

  /** Something worth knowing beside the result, for people alone. */
  note(line: string): void {
    if (this.#options.format === "human") this.#say(visible(line));
  }

  readonly warn = (warning: string): void => {
    this.#warnings.push(warning);
    if (this.#options.format === "human" && !this.#options.quiet)
      this.#say(`delta0: ${this.#paintError("warning", "yellow")}: ${visible(warning)}`);
  };

  async fail(failure: Failure, error: unknown): Promise<void> {
    const document = { schema: "delta0/error@1", ...failure };
    if (this.#options.format === "json") {
      if (this.#options.verbose) this.#say(stackOf(error));
      this.#say(JSON.stringify(document));
      return;
    }
    if (this.#options.format === "ndjson") await this.#line(JSON.stringify({ type: "error", ...document }));
    this.#say(`${this.#paintError("delta0:", "red")} ${visible(failureText(failure))}`);
    if (this.#options.verbose) this.#say(stackOf(error));
  }

  /** Where progress goes; undefined if nobody looks. */
  progress(): ProgressView | undefined {
    const { format, quiet } = this.#options;
    if (format === "json" || (quiet && format === "human")) return undefined;
    const began = msSinceStart();
    return {
      update: (progress) => (this.#progress ??= this.#newProgress(began)).update(progress),
      clear: () => this.#progress?.clear(),
    };
  }

  #newProgress(began: number): ProgressView {
    if (this.#options.format === "ndjson")
      return new ProgressRecords((record) => void this.#line(record).catch(() => undefined));
    if (stderr().isTTY && process.env["TERM"] !== "dumb") return new ProgressBar(process.stderr, began);
    return new ProgressLines((line) => this.#say(line), began);
  }

  paint(text: string, color: Color): string {
    return this.#options.colors && process.stdout.isTTY ? painted(text, color) : text;
  }

  #paintError(text: string, color: Color): string {
    return this.#options.colors && process.stderr.isTTY ? painted(text, color) : text;
  }

  async #document(verb: string, document: object): Promise<void> {
    const whole = {
      schema: `delta0/${verb}@1`,
      ...document,
      ...(this.#warnings.length > 0 ? { warnings: this.#warnings } : {}),
    };
    await this.#line(JSON.stringify(this.#options.format === "ndjson" ? { type: "summary", ...whole } : whole));
  }

  async #line(line: string): Promise<void> {
    if (this.#stdoutTaken) this.#say(line);
    else await this.#write(`${line}\n`);
  }

  async #print(lines: Iterable<string>): Promise<void> {
    const all = [...lines];
    if (all.length === 0) return;
    const text = all.join("\n");
    if (this.#stdoutTaken) this.#say(text);
    else await this.#write(`${text}\n`);
  }

  #say(line: string): void {
    this.#progress?.clear();
    stderr().write(`${line}\n`);
  }

  #write(bytes: string | Uint8Array): Promise<void> {
    this.#progress?.clear();
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const give = (): void => reject(signal?.reason as Error);
      signal?.addEventListener("abort", give, { once: true });
      stdout().write(bytes, (error) => {
        signal?.removeEventListener("abort", give);
        if (!error) resolve();
        else if ("code" in error && error.code === "EPIPE") reject(new BrokenPipe("", { cause: error }));
        else reject(error);
      });
    });
  }
}

function painted(text: string, color: Color): string {
  return `\x1b[${CODES[color]}m${text}\x1b[0m`;
}

const CODES: Readonly<Record<Color, number>> = { red: 31, green: 32, yellow: 33, cyan: 36 };

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`;
}
