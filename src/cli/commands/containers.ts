import { StoreError } from "../../errors.ts";
import type { Cloned, CreateParams, LxcParams } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { showLosses } from "../losses.ts";
import {
  absolutePath,
  EXPIRES_OPTION,
  expiresAt,
  IDENTITY_OPTION,
  identityOf,
  idMapOf,
  idMapOption,
  parseLabels,
} from "../options.ts";
import type { Option, Options } from "../options.ts";
import { standardInput, withStore } from "../session.ts";
import { digestText, formatTime, shortDigest } from "../text.ts";
import { SOURCE_OPTIONS, sourceParams } from "./layers.ts";

const LXC_OPTIONS: readonly Option[] = [
  { flags: "-P, --lxcpath <DIR>", description: "where LXC directories go (default: the setting lxc.path, else LXC's)" },
  { flags: "--no-lxc", description: "make no LXC directory" },
  { flags: "--config <FILE>", description: "an LXC config whose keys go before our defaults" },
  { flags: "--set <KEY=VALUE>", description: "one key of the LXC config", repeat: true },
  idMapOption("of the container, outside"),
  IDENTITY_OPTION,
  { flags: "--label <K=V>", description: "a label, to find it by", repeat: true },
  EXPIRES_OPTION,
];

/** What makes containers, and reads them back. */
export const containerCommands: readonly Command[] = [
  {
    name: "create",
    args: ["[SRC]", "NAME"],
    nameAt: 1,
    summary: "make a container of a layer, of what import takes, or of what an LXC template makes",
    options: [
      { flags: "-t, --template <T>", description: "in SRC's place: an LXC template, which gets ARGs" },
      ...LXC_OPTIONS,
      ...SOURCE_OPTIONS,
    ],
    program: "optional",
    long: true,
    details: [
      "SRC is a REF, or a directory, a tar, or - for a tar on standard input. What has a slash is a path.",
      "A template is one of lxc-create's, by its name or its path: delta0 create -t busybox web",
    ].join("\n"),
    run: create,
  },
  {
    name: "clone",
    args: ["REF", "[NEW…]"],
    nameAt: 0,
    summary: "make containers that begin as REF is, and do not depend on it",
    options: [
      { flags: "--count <N>", description: "make N, named P1, P2 and so on" },
      { flags: "--prefix <P>", description: "with --count: what the names begin with" },
      { flags: "-s, --snapshot", description: "as it is done anyway, in lxc-copy's words" },
      {
        flags: "--copy",
        description: "an LXC container by itself, with its own full directory, which the store does not know",
      },
      { flags: "-a, --allow-running", description: "an original that runs is frozen while it is read" },
      { flags: "-e, --ephemeral", description: "each is gone once it has run and stopped" },
      ...LXC_OPTIONS,
    ],
    long: true,
    run: clone,
  },
  {
    name: "capture",
    args: ["NAME"],
    nameAt: 0,
    summary: "read what a stopped container changed into the store",
    options: [
      { flags: "--from <DIR>", description: "a delta directory that is to be its changes instead of its own" },
      { flags: "--userxattr", description: "DIR is one of a mount with userxattr" },
      idMapOption("that DIR has"),
    ],
    long: true,
    run: capture,
  },
];

async function create(call: Call): Promise<number> {
  const template = call.options.text("template");
  if (template !== undefined) return await createFromTemplate(call, template);
  if (call.program.length > 0) throw new StoreError("USAGE", { reason: "arguments for a template, but no --template" });
  const [given = "", name] = call.args;
  if (name === undefined) throw new StoreError("USAGE", { reason: "missing NAME", hint: "delta0 create SRC NAME" });
  const input = given === "-" ? standardInput(call) : undefined;
  // Without a slash it may be a name, which only the store can tell.
  const source = given.includes("/") ? absolutePath(given) : given;
  const params = { source, name, ...containerParams(call.options), ...sourceParams(call.options) };
  const created = await withStore(call, (context, api) => api.create({ ...context, ...(input && { input }) }, params), {
    create: true,
  });
  await confirmMade(call, "create", created);
  return 0;
}

async function createFromTemplate(call: Call, template: string): Promise<number> {
  const [name = "", other] = call.args;
  if (other !== undefined)
    throw new StoreError("USAGE", { reason: "SRC and --template are two sources", hint: "leave one out" });
  const params = {
    name,
    template: template.includes("/") ? absolutePath(template) : template,
    args: call.program,
    ...containerParams(call.options),
    ...sourceParams(call.options),
  };
  const created = await withStore(call, (context, api) => api.createFromTemplate(context, params), { create: true });
  await confirmMade(call, "create", created);
  return 0;
}

async function clone(call: Call): Promise<number> {
  const { options, output } = call;
  const [ref = "", ...given] = call.args;
  const names = [...given, ...numberedNames(options)];
  if (names.length === 0) throw new StoreError("USAGE", { reason: "missing NEW", hint: "delta0 clone REF NEW…" });
  const copy = options.flag("copy");
  if (copy && options.flag("snapshot"))
    throw new StoreError("USAGE", { reason: "--copy and --snapshot cannot go together" });
  const params = {
    ref,
    names,
    copy,
    ephemeral: options.flag("ephemeral"),
    allowRunning: options.flag("allowRunning"),
    ...containerParams(options),
  };
  const cloned = await withStore(call, (context, api) => api.clone(context, params));
  await confirmMade(call, "clone", cloned);
  if (copy && !options.flag("quiet"))
    output.note(
      "LXC's alone: the store has no record of them. lxc-destroy removes them; delta0 lxc adopt takes them in",
    );
  return showLosses(call, cloned.losses, []);
}

async function capture(call: Call): Promise<number> {
  const [name = ""] = call.args;
  const params = {
    name,
    ...call.options.pathAs("from"),
    ...(call.options.flag("userxattr") && { dialect: "user" as const }),
    ...idMapOf(call.options),
  };
  const captured = await withStore(call, (context, api) => api.capture(context, params));
  await call.output.confirm("capture", { ...captured, digest: digestText(captured.digest) }, () => {
    const time = captured.captured === null ? "" : `, as of ${formatTime(captured.captured)}`;
    return [`${name}: ${captured.changed ? "captured" : "nothing new"}, ${shortDigest(captured.digest)}…${time}`];
  });
  return showLosses(call, captured.losses, []);
}

function containerParams(
  options: Options,
): LxcParams & Pick<CreateParams, "expires" | "identity"> & { readonly labels: Readonly<Record<string, string>> } {
  const settings = options.list("set");
  return {
    ...options.pathAs("lxcPath", "lxcpath"),
    ...options.pathAs("config"),
    ...(settings.length > 0 && { settings }),
    ...idMapOf(options),
    ...identityOf(options),
    noLxc: options.refused("lxc"),
    labels: parseLabels(options.list("label")),
    ...expiresAt(options),
  };
}

function numberedNames(options: Options): string[] {
  const number = options.number("count", 1);
  const prefix = options.text("prefix");
  if (number === undefined && prefix === undefined) return [];
  if (number === undefined || prefix === undefined || !Number.isInteger(number))
    throw new StoreError("USAGE", {
      reason: "clones by number take a whole number and a prefix",
      hint: "--count 10 --prefix ci",
    });
  return Array.from({ length: number }, (_, i) => `${prefix}${i + 1}`);
}

async function confirmMade(call: Call, verb: string, made: Cloned): Promise<void> {
  const { names, digest } = made;
  await call.output.confirm(verb, { ...made, digest: digestText(digest) }, () =>
    names.length <= MOST_NAMES ? names : [`${names[0] ?? ""} … ${names.at(-1) ?? ""}, ${names.length} containers`],
  );
}

/** More than these are not all printed. */
const MOST_NAMES = 10;
