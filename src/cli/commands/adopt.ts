import type { Adopted } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { showLosses } from "../losses.ts";
import { withStore } from "../session.ts";
import { digestText, formatTime, shortDigest, visible } from "../text.ts";

/** What takes in containers that LXC's own tools made. */
export const adoptCommands: readonly Command[] = [
  {
    name: "lxc adopt",
    args: ["NAME"],
    nameAt: 0,
    summary: "take in a container that LXC's own tools made, with its snapshots and their comments",
    options: [
      { flags: "--as <NEW>", description: "make a container NEW of it, beside it" },
      { flags: "--convert", description: "make NAME itself a container of the store; what it was made of is deleted" },
      { flags: "--dry-run", description: "say what would be done" },
      { flags: "-P, --lxcpath <DIR>", description: "where NAME is (default: the setting lxc.path, else LXC's)" },
    ],
    long: true,
    details: [
      "Without --as and --convert the store takes in NAME without an LXC directory, and NAME stays LXC's own.",
      "Exits 3 if something could not be kept: what and where is listed.",
    ].join("\n"),
    run: adopt,
  },
];

async function adopt(call: Call): Promise<number> {
  const [name = ""] = call.args;
  const { options, output } = call;
  const dryRun = options.flag("dryRun");
  const params = {
    name,
    convert: options.flag("convert"),
    dryRun,
    ...options.textAs("as"),
    ...options.pathAs("lxcPath", "lxcpath"),
  };
  const adopted = await withStore(call, (context, api) => api.adopt(context, params), { create: !dryRun });
  const { digest, snapshots } = adopted;
  const document = {
    ...adopted,
    digest: digest && digestText(digest),
    snapshots: snapshots.map((each) => ({ ...each, digest: each.digest && digestText(each.digest) })),
  };
  if (dryRun) await output.show("lxc-adopt", document, () => plan(adopted));
  else await output.confirm("lxc-adopt", document, () => done(adopted));
  return showLosses(call, adopted.losses, []);
}

function plan(adopted: Adopted): string[] {
  const { directory, lowers, upper, idMap, snapshots, config } = adopted;
  const read = upper === null ? lowers.map((path) => `  rootfs  ${visible(path)}`) : overlay(lowers, upper);
  return [
    `${visible(directory)}:`,
    ...read,
    ...(idMap === null ? [] : [`  idmap   ${idMap.join(" ")}`]),
    ...snapshots.map(({ snapshot, created, message }) =>
      `  ${snapshot.padEnd(6)}  ${formatTime(created)}  ${visible(message)}`.trimEnd(),
    ),
    `would be adopted: ${outcome(adopted)}`,
    ...left(adopted),
    ...(config === null
      ? []
      : [
          "its config:",
          ...config
            .trimEnd()
            .split("\n")
            .map((line) => `  ${visible(line)}`),
        ]),
  ];
}

function overlay(lowers: readonly string[], upper: string): string[] {
  return [...lowers.map((path) => `  lower   ${visible(path)}`), `  upper   ${visible(upper)}`];
}

function done(adopted: Adopted): string[] {
  const { name, digest, snapshots } = adopted;
  const with_ = snapshots.length === 0 ? "" : ` with ${snapshots.map(({ snapshot }) => snapshot).join(", ")}`;
  return [`${name}: ${digest === null ? "" : shortDigest(digest)}…${with_}; ${outcome(adopted)}`, ...left(adopted)];
}

function outcome({ name, directory, lxcPath, converted }: Adopted): string {
  if (converted) return `${visible(directory)} is a container of the store`;
  const stays = `${visible(directory)} stays LXC's own`;
  if (lxcPath === null) return `${name} without an LXC directory; ${stays}, and has the config`;
  return `${visible(lxcPath)}/${name} is a container of the store; ${stays}`;
}

function left({ left }: Adopted): string[] {
  return left.map((path) => `of no more use to it: ${visible(path)}`);
}
