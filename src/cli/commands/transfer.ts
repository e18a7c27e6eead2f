import { StoreError } from "../../errors.ts";
import type { TakenIn } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { absolutePath } from "../options.ts";
import type { Option, Options } from "../options.ts";
import { standardInput, withStore } from "../session.ts";
import { count, digestText, formatBytes, formatSeconds, shortDigest, visible } from "../text.ts";

const ALL_OPTION: Option = { flags: "--all", description: "all layers and containers, in place of REFs" };

/** Of what names things in the store that they come to. */
const ARRIVAL_OPTIONS: readonly Option[] = [
  { flags: "--as <NAME>", description: "the name that it gets there, of one thing" },
  { flags: "--prefix <TEXT>", description: "what each name gets before it there" },
  { flags: "--replace", description: "move names that stand for something else there" },
];

/** What brings states from one store to another. */
export const transferCommands: readonly Command[] = [
  {
    name: "copy",
    args: ["[REF…]"],
    summary: "bring states with their history to another store: what that lacks of them",
    options: [
      { flags: "--to <STORE>", description: "the other store's directory; made if there is none" },
      ...ARRIVAL_OPTIONS,
      ALL_OPTION,
    ],
    long: true,
    details: [
      "REF is a layer, a container, which brings its snapshots, or any other state, which becomes a layer. Containers have no LXC",
      "directory there, and their configs stay behind: those are for backup.",
    ].join("\n"),
    run: copy,
  },
  {
    name: "send",
    args: ["[REF…]"],
    summary: "write states with their history as a stream, to standard output or a file, for receive",
    options: [
      { flags: "--have <REF>", description: "whoever receives it has REF, and what that was made from", repeat: true },
      { flags: "-o, --output <FILE>", description: "a new file, in place of standard output" },
      ALL_OPTION,
    ],
    long: true,
    details: "REFs are as for copy. The same states give the same stream.",
    run: send,
  },
  {
    name: "receive",
    args: ["[FILE]"],
    summary: "take in what send wrote, from standard input or FILE",
    options: ARRIVAL_OPTIONS,
    long: true,
    details:
      "All of it is proven before anything has a name. A stream that was cut can be sent again: what had come is kept.",
    run: receive,
  },
];

async function copy(call: Call): Promise<number> {
  const { options, output } = call;
  const to = options.pathAs("to").to;
  if (to === undefined) throw new StoreError("USAGE", { reason: "missing --to", hint: "delta0 copy REF… --to STORE" });
  const waitSeconds = options.number("wait", 0);
  const params = {
    ...whatToSend(call),
    ...arrivalParams(options),
    to,
    ...(waitSeconds !== undefined && { waitSeconds }),
  };
  const began = performance.now();
  const made = await withStore(call, (context, api) => api.copy(context, params));
  const seconds = (performance.now() - began) / 1000;
  await output.confirm("copy", { ...made, copied: made.copied.map(documentOf), seconds }, () => [
    ...made.copied.map((item) => lineOf(item, ` in ${visible(made.to)}`)),
    `${formatBytes(made.newBytes)} new in ${count(made.chunks, "chunk")}, ${formatSeconds(seconds)}`,
  ]);
  return 0;
}

async function send(call: Call): Promise<number> {
  const { options, output } = call;
  const what = whatToSend(call);
  const file = options.text("output") ?? "-";
  if (file === "-") output.takeStdout();
  if (file === "-" && process.stdout.isTTY)
    throw new StoreError("USAGE", {
      reason: "a stream cannot go to a terminal",
      hint: "pipe it to delta0 receive, or name a file: --output FILE",
    });
  const params = { ...what, have: options.list("have"), file: absolutePath(file) };
  const sent = await withStore(call, (context, api) => api.send(context, params));
  const { names, layers, bytes, fileBytes } = sent;
  await output.confirm("send", sent, () => {
    const shown = names.map((name) => (name === null ? "a state" : visible(name))).join(", ");
    return [`sent ${shown} with ${count(layers, "layer")}: ${formatBytes(bytes)} in ${formatBytes(fileBytes)}`];
  });
  return 0;
}

async function receive(call: Call): Promise<number> {
  const { args, options, output } = call;
  const [file = "-"] = args;
  if (file === "-" && process.stdin.isTTY)
    throw new StoreError("USAGE", {
      reason: "a stream cannot come from a terminal",
      hint: "pipe delta0 send to it, or name a file",
    });
  const input = file === "-" ? standardInput(call) : undefined;
  const params = { ...arrivalParams(options), file: absolutePath(file) };
  const made = await withStore(call, (context, api) => api.receive({ ...context, ...(input && { input }) }, params), {
    create: true,
  });
  await output.confirm("receive", { ...made, received: made.received.map(documentOf) }, () => [
    ...made.received.map((item) => lineOf(item, "")),
    `${formatBytes(made.newBytes)} new in ${count(made.newChunks, "chunk")}`,
  ]);
  return 0;
}

function whatToSend({ args, options, command }: Call): { refs: readonly string[]; all: boolean } {
  const all = options.flag("all");
  if (all || args.length > 0) return { refs: args, all };
  throw new StoreError("USAGE", { reason: "missing REF", hint: `delta0 ${command.name} REF…, or --all` });
}

function arrivalParams(options: Options): { as?: string; prefix?: string; replace: boolean } {
  return { ...options.textAs("as"), ...options.textAs("prefix"), replace: options.flag("replace") };
}

function documentOf(item: TakenIn): object {
  return { ...item, digest: digestText(item.digest) };
}

function lineOf({ name, type, digest, snapshots, outcome }: TakenIn, place: string): string {
  const what = snapshots.length === 0 ? type : `${type} with ${count(snapshots.length, "snapshot")}`;
  return `${visible(name)}${place}: ${shortDigest(digest)}… (${what}, ${outcome})`;
}
