import { createInterface } from "node:readline/promises";
import { StoreError } from "../../errors.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import type { Api, Caller } from "../../service/operations.ts";
import { count } from "../text.ts";

/** What changes names. */
export const nameCommands: readonly Command[] = [
  {
    name: "rename",
    args: ["OLD", "NEW"],
    nameAt: 0,
    summary: "rename a layer, or a container with its snapshots and its LXC directory",
    run: async (call) => {
      const [from = "", to = ""] = call.args;
      const renamed = await withStore(call, (context, { rename }) => rename(context, { from, to }));
      await call.output.confirm("rename", renamed, () => [`${from} is ${to} now`]);
      return 0;
    },
  },
  {
    name: "rm",
    args: ["[NAME…]"],
    nameAt: 0,
    summary: "remove layers, containers and snapshots; clones live on",
    options: [
      { flags: "-f, --force", description: "stop what runs first" },
      { flags: "--label <K[=V]>", description: "the containers with this label", repeat: true },
      { flags: "--expired", description: "the containers whose time is over (see clone --expires)" },
      {
        flags: "--now",
        description: "forget them for good, and give their room back at once: undo cannot bring them back",
      },
      { flags: "--dry-run", description: "tell what would be removed, and remove nothing" },
    ],
    details: "With labels and --expired: what all of them fit.",
    run: remove,
  },
];

async function remove(call: Call): Promise<number> {
  const { args, options, output } = call;
  const labels = options.list("label");
  const expired = options.flag("expired");
  const isSelection = labels.length > 0 || expired;
  if (args.length === 0 && !isSelection)
    throw new StoreError("USAGE", { reason: "missing NAME", hint: "delta0 rm NAME…" });
  if (args.length > 0 && isSelection)
    throw new StoreError("USAGE", { reason: "names are given, and labels or --expired", hint: "give either" });
  const dryRun = options.flag("dryRun");
  const params = { force: options.flag("force"), now: options.flag("now"), dryRun };
  const asks = isSelection && !dryRun && !options.flag("yes") && process.stdin.isTTY && process.stderr.isTTY;
  // Nobody waits for the store while somebody thinks about an answer.
  const names = asks
    ? await agreed(await withStore(call, (context, api) => chosen(context, api, labels, expired)))
    : args;
  const { removed } = await withStore(call, async (context, api) => {
    const all = isSelection && !asks ? await chosen(context, api, labels, expired) : names;
    return all.length === 0 ? { removed: [] } : await api.remove(context, { names: all, ...params });
  });
  const verb = dryRun ? "would remove" : "removed";
  await output.confirm("rm", { removed, dryRun }, () => removed.map((name) => `${verb} ${name}`));
  return 0;
}

async function chosen(context: Caller, api: Api, labels: readonly string[], expired: boolean): Promise<string[]> {
  const items = await api.list(context, { labels, expired, only: "containers" });
  return items.map(({ name }) => name);
}

/** A label may stand for more containers than the user has in mind. @returns none of them unless they are meant */
async function agreed(names: readonly string[]): Promise<readonly string[]> {
  if (names.length === 0) return names;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`remove ${count(names.length, "container")}: ${names.join(" ")}? [y/N] `);
    return /^y(es)?$/i.test(answer.trim()) ? names : [];
  } finally {
    terminal.close();
  }
}
