import { createInterface } from "node:readline/promises";
import { StoreError } from "../../errors.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count } from "../text.ts";

/** What changes names. */
export const nameCommands: readonly Command[] = [
  {
    name: "rename",
    args: ["OLD", "NEW"],
    nameAt: 0,
    summary: "rename a layer, or a container with its LXC directory",
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
    summary: "remove layers and containers; clones live on",
    options: [
      { flags: "-f, --force", description: "stop what runs first" },
      { flags: "--label <K[=V]>", description: "the containers with this label", repeat: true },
    ],
    run: remove,
  },
];

async function remove(call: Call): Promise<number> {
  const { args, options, output } = call;
  const labels = options.list("label");
  if (args.length === 0 && labels.length === 0)
    throw new StoreError("USAGE", { reason: "missing NAME", hint: "delta0 rm NAME…" });
  if (args.length > 0 && labels.length > 0)
    throw new StoreError("USAGE", { reason: "names and labels are given", hint: "give either" });
  const names = labels.length === 0 ? args : await labelled(call, labels);
  const force = options.flag("force");
  const { removed } =
    names.length === 0
      ? { removed: [] }
      : await withStore(call, (context, api) => api.remove(context, { names, force }));
  await output.confirm("rm", { removed }, () => removed.map((name) => `removed ${name}`));
  return 0;
}

/** A label may stand for more containers than the user has in mind: at a terminal they are asked. */
async function labelled(call: Call, labels: readonly string[]): Promise<string[]> {
  const items = await withStore(call, (context, { list }) => list(context, { labels, only: "containers" }));
  const names = items.map(({ name }) => name);
  if (names.length === 0 || call.options.flag("yes") || !process.stdin.isTTY || !process.stderr.isTTY) return names;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`remove ${count(names.length, "container")}: ${names.join(" ")}? [y/N] `);
    return /^y(es)?$/i.test(answer.trim()) ? names : [];
  } finally {
    terminal.close();
  }
}
