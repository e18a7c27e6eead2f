import { readFileSync } from "node:fs";
import { isStoreError, StoreError } from "../errors.ts";
import { allCommands, commandsIn } from "./commands.ts";
import { BrokenPipe, EXIT_BROKEN_PIPE, failureOf, Interrupted } from "./failure.ts";
import { callText } from "./call-text.ts";
import { Interrupt } from "./interrupt.ts";
import type { Options } from "./options.ts";
import { Output } from "./output.ts";
import { parseCommandLine } from "./program.ts";
import type { Parsed } from "./program.ts";
import { stderr } from "./streams.ts";

const EXIT_USAGE = 2;

/** Does what a command line says. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  // Until the command line is understood, failures go by what it seems to say.
  let output = new Output({
    format: argv.includes("--json") ? "json" : argv.includes("--ndjson") ? "ndjson" : "human",
    quiet: false,
    verbose: argv.includes("-v") || argv.includes("--verbose"),
    colors: mayColor() && !argv.includes("--no-color"),
  });
  const interrupt = new Interrupt();
  let failureExit: number | undefined;
  try {
    const parsed = await parse(argv);
    if (parsed.type === "nothing") {
      if (argv.includes("--json") || argv.includes("--ndjson"))
        throw new StoreError("USAGE", { reason: "no command", hint: "delta0 help lists them" });
      stderr().write(parsed.text);
      return EXIT_USAGE;
    }
    if (parsed.type === "help") {
      await output.text(parsed.text);
      return 0;
    }
    ({ failureExit } = parsed.command);
    output = outputFor(parsed.options);
    return await parsed.command.run({ ...parsed, output, interrupt, text: callText(argv), allCommands });
  } catch (caught) {
    // Whatever broke an aborted operation off, be it its input's end, the signal is what it was.
    const reason: unknown = interrupt.signal.reason;
    const error = reason instanceof Interrupted ? reason : caught;
    if (error instanceof BrokenPipe) return EXIT_BROKEN_PIPE;
    const known = failureOf(error);
    const failure = error instanceof Interrupted ? known : { ...known, exit: failureExit ?? known.exit };
    await output.fail(failure, error).catch(() => undefined);
    return failure.exit;
  }
}

/** Help, and what is wrong with a command line that names no verb, takes all verbs. */
async function parse(argv: readonly string[]): Promise<Parsed> {
  try {
    const commands = await commandsIn(argv);
    const parsed = commands.length > 0 && parseCommandLine(argv, commands, version());
    if (parsed && parsed.type === "call") return parsed;
  } catch (error) {
    if (!isStoreError(error, "USAGE")) throw error;
  }
  return parseCommandLine(argv, await allCommands(), version());
}

function outputFor(options: Options): Output {
  return new Output({
    format: options.flag("ndjson") ? "ndjson" : options.flag("json") ? "json" : "human",
    quiet: options.flag("quiet"),
    verbose: options.flag("verbose"),
    colors: mayColor() && !options.refused("color"),
  });
}

function mayColor(): boolean {
  return (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
}

function version(): string {
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(file) as { version: string }).version;
}
