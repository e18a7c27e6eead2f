import type { Bisected, BisectStep, LineageState } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { stepsFor } from "../session.ts";
import { count, digestText, formatTime, shortDigest, visible } from "../text.ts";

/** What looks for the layer that broke something. */
export const bisectCommands: readonly Command[] = [
  {
    name: "bisect",
    args: ["GOOD", "BAD"],
    program: true,
    summary: "find which layer broke something, by a program that can tell",
    options: [
      { flags: "--export", description: "run CMD on this host, in a directory with the files; else in a container" },
      { flags: "-P, --lxcpath <DIR>", description: "where the containers' LXC directories are" },
    ],
    details: [
      "GOOD is one of the states that BAD stands on (see log). CMD is run in those in between, by halves: in a container as",
      "run makes them, or with --export in a temporary directory, which is its working directory and $DELTA0_ROOT. Its exit",
      "code says: 0 good; 125 cannot be tested here; 128 and above end all; any other bad, also 126 and 127 if CMD can be",
      "executed in GOOD. It has no input, and its output goes to standard error.",
      "Exits 4 if states that cannot be tested leave several.",
    ].join("\n"),
    run: bisect,
  },
];

const EXIT_NOT_FOUND = 4;

async function bisect(call: Call): Promise<number> {
  const { args, program, options, output } = call;
  const [good = "", bad = ""] = args;
  const api = await import("../../operations/bisect.ts");
  const params = {
    good,
    bad,
    program,
    isExported: options.flag("export"),
    ...options.pathAs("lxcPath", "lxcpath"),
    onStep: (step: BisectStep) => {
      if (!options.flag("quiet")) output.note(stepLine(step));
    },
    onWarning: output.warn,
  };
  const found = await api.bisect(stepsFor(call), params, call.interrupt.signal);
  await output.show("bisect", documentOf(found), () => resultLines(found));
  return found.firstBad === null ? EXIT_NOT_FOUND : 0;
}

function stepLine({ verdict, exitCode, ...state }: BisectStep): string {
  return `${verdict.padEnd(7)}  ${nameOf(state)}  (exit ${exitCode})`;
}

function* resultLines(found: Bisected): Generator<string> {
  const { firstBad, lastGood, candidates } = found;
  if (firstBad === null) yield `the first bad is one of these ${candidates.length}, which could not be told apart:`;
  for (const state of candidates) {
    const { time, message, source } = state;
    const of = visible(message === "" ? source : message);
    const facts = [nameOf(state), ...(time === null ? [] : [formatTime(time)]), ...(of === "" ? [] : [of])].join("  ");
    yield firstBad === null ? facts : `first bad: ${facts}`;
  }
  yield `last good: ${nameOf(lastGood)} (${count(found.steps.length, "test")})`;
  yield compareCommand(found);
}

function documentOf(found: Bisected): object {
  const { steps, lastGood, firstBad, candidates } = found;
  return {
    ...found,
    steps: steps.map(withDigest),
    lastGood: withDigest(lastGood),
    firstBad: firstBad === null ? null : withDigest(firstBad),
    candidates: candidates.map(withDigest),
    compare: compareCommand(found),
  };
}

/** What shows what broke it. */
function compareCommand({ lastGood, candidates }: Bisected): string {
  return `delta0 diff ${refOf(lastGood)} ${refOf(candidates.at(-1) ?? lastGood)}`;
}

/** By digest if it has no name: the digits that are shown are enough. */
function refOf({ names: [name], digest }: LineageState): string {
  return name ?? shortDigest(digest);
}

function nameOf({ names, digest }: LineageState): string {
  return names.length > 0 ? visible(names.join(", ")) : shortDigest(digest);
}

function withDigest<T extends LineageState>(state: T): T {
  return { ...state, digest: digestText(state.digest) as T["digest"] };
}
