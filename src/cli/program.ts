import { Command as Commander, CommanderError, Option as CommanderOption } from "commander";
import { StoreError } from "../errors.ts";
import type { Call, Command } from "./command.ts";
import { GLOBAL_OPTIONS, NDJSON_OPTION, Options } from "./options.ts";
import type { Option } from "./options.ts";

/** What a command line says. */
export type Parsed =
  | ({ readonly type: "call" } & Pick<Call, "command" | "args" | "program" | "options">)
  | { readonly type: "help"; readonly text: string }
  /** No verb at all: the help is the answer, but nothing was done. */
  | { readonly type: "nothing"; readonly text: string };

/** @throws {StoreError} USAGE, with what was perhaps meant */
export function parseCommandLine(argv: readonly string[], commands: readonly Command[], version: string): Parsed {
  let text = "";
  let parsed: Parsed | undefined;
  const add = (piece: string): void => {
    text += piece;
  };
  const program = new Commander("delta0")
    .description("A layered, content-addressed store for LXC root filesystems.")
    .version(version, "-V, --version")
    .configureHelp({
      subcommandTerm: (verb) => `${verb.name()} ${verb.usage().replace(/\[options\] ?/, "")}`.trimEnd(),
    })
    // Commander's own way with errors is to print and exit.
    .exitOverride()
    .configureOutput({ writeOut: add, writeErr: add, outputError: () => undefined })
    .enablePositionalOptions();
  addOptions(program, GLOBAL_OPTIONS);
  for (const command of commands) {
    const verb = define(program, command);
    verb.action(() => {
      const options = new Options(merged(program.opts(), verb.opts()));
      const words = command.program === undefined ? [] : programIn(argv, command);
      const given = verb.args.slice(0, verb.args.length - words.length);
      const args = allArgs(command, given, options.text("name"));
      parsed = { type: "call", command, args, program: words, options };
    });
  }
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { type: "help", text };
    if (error.code !== "commander.help") throw usageError(error);
    const [first = "", unknown] = argv.filter((arg) => !arg.startsWith("-"));
    if (first !== "help") return { type: "nothing", text };
    if (unknown === undefined) return { type: "help", text };
    throw new StoreError("USAGE", { reason: `no command "${unknown}"`, hint: "delta0 help lists them" });
  }
  if (parsed === undefined) throw new Error("the command line was parsed, and no command came of it");
  return parsed;
}

function define(program: Commander, command: Command): Commander {
  const { hidden = false } = command;
  const words = command.name.split(" ");
  const last = words.pop() ?? "";
  let parent = program;
  for (const [i, word] of words.entries())
    parent =
      parent.commands.find((known) => known.name() === word) ??
      parent.command(word, { hidden }).description(GROUPS[words.slice(0, i + 1).join(" ")] ?? "");
  const verb = parent
    .command(last, { hidden })
    .description(command.summary)
    .usage(["[options]", ...argsOf(command)].join(" "))
    // How many there may be depends on -n: `allArgs` counts.
    .allowExcessArguments();
  addOptions(verb, command.options ?? []);
  if (command.nameAt !== undefined)
    addOptions(verb, [{ flags: "-n, --name <NAME>", description: `the ${nameOf(command)}, as LXC's tools take it` }]);
  verb.optionsGroup("Everywhere:");
  addOptions(verb, command.long === true ? [...GLOBAL_OPTIONS, NDJSON_OPTION] : GLOBAL_OPTIONS);
  if (command.details !== undefined) verb.addHelpText("after", `\n${command.details}`);
  return verb;
}

/** Of the first words of commands of several. */
const GROUPS: Readonly<Record<string, string>> = {
  lxc: "what LXC needs of delta0: delta0 lxc lists it",
  xattr: "extended attributes of files: delta0 xattr lists it",
  "lxc hooks": "the hooks that containers call",
  "lxc template": "what lxc-create -t delta0 calls",
};

function nameOf({ args, nameAt = 0 }: Command): string {
  return (args[nameAt] ?? "").replace(/[[\]\u2026]/g, "");
}

function addOptions(command: Commander, options: readonly Option[]): void {
  for (const { flags, description, repeat = false, choices } of options) {
    const option = new CommanderOption(flags, description);
    if (choices !== undefined) option.choices(choices);
    // Not commander's variadic options: these would take in the arguments that follow.
    if (repeat) option.argParser((value, before: string[] | undefined) => [...(before ?? []), value]);
    command.addOption(option);
  }
}

/** The verb's own win; a refusal holds wherever it stands. */
function merged(global: Record<string, unknown>, own: Record<string, unknown>): Record<string, unknown> {
  return { ...global, ...own, color: global["color"] === true && own["color"] === true };
}

function argsOf({ args, program }: Command): string[] {
  if (program === undefined) return [...args];
  return [...args, program === "optional" ? "[-- ARG…]" : "-- CMD…"];
}

/** @throws {StoreError} USAGE if there is none */
function programIn(argv: readonly string[], command: Command): string[] {
  const at = argv.indexOf("--");
  const program = at < 0 ? [] : argv.slice(at + 1);
  if (program.length > 0 || command.program === "optional") return program;
  throw new StoreError("USAGE", { reason: "missing -- CMD", hint: callOf(command) });
}

function callOf(command: Command): string {
  return `delta0 ${[command.name, ...argsOf(command)].join(" ")}`;
}

/** @throws {StoreError} USAGE if there are too few or too many */
function allArgs(command: Command, given: readonly string[], name: string | undefined): string[] {
  const { args, nameAt } = command;
  const all = [...given];
  const missing = (): StoreError =>
    new StoreError("USAGE", {
      reason: `missing ${(args[all.length] ?? "").replace(/[[\]\u2026]/g, "")}`,
      hint: callOf(command),
    });
  if (name !== undefined && nameAt !== undefined) {
    if (all.length < nameAt && args[all.length]?.startsWith("[") !== true) throw missing();
    all.splice(nameAt, 0, name);
  }
  if (all.length < args.filter((arg) => !arg.startsWith("[")).length) throw missing();
  if (all.length > args.length && !args.some((arg) => arg.includes("…")))
    throw new StoreError("USAGE", {
      reason: `"${all[args.length] ?? ""}" is one argument too many`,
      hint: callOf(command),
    });
  return all;
}

/** Commander's message, "error: unknown option '--foo'\n(Did you mean --for?)", in our manner. */
function usageError(error: CommanderError): StoreError {
  const [first = "", meant] = error.message.replace(/^error: /, "").split("\n");
  const near = /^\(Did you mean (.*)\?\)$/.exec(meant ?? "")?.[1];
  const hint = near === undefined ? "see delta0 help" : `did you mean ${near.replace(/^one of /, "")}?`;
  const reason = first.replace(". Allowed choices are ", ", allowed are ").replace(/\.$/, "");
  return new StoreError("USAGE", { reason, hint }, { cause: error });
}
