import type { RetainParams } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { durationSeconds } from "../options.ts";
import { withStore } from "../session.ts";
import { count, formatTime, table } from "../text.ts";

const PERIODS = { hourly: "hours", daily: "days", weekly: "weeks", monthly: "months", yearly: "years" } as const;

/** What thins out snapshots and layers. */
export const retainCommands: readonly Command[] = [
  {
    name: "retain",
    args: ["[NAME…]"],
    summary: "remove snapshots that no rule keeps, and tell why the others are kept",
    options: [
      { flags: "--keep-last <N>", description: "the newest N" },
      ...Object.entries(PERIODS).map(([rule, periods]) => ({
        flags: `--keep-${rule} <N>`,
        description: `the newest of each of the last N ${periods} that have one`,
      })),
      { flags: "--keep-within <DURATION>", description: "all that are at most so much older than the newest: 36h, 7d" },
      { flags: "--layers <GLOB>", description: "of the layers with such names, instead of snapshots" },
      { flags: "--dry-run", description: "tell what would be removed, and remove nothing" },
    ],
    details: [
      "Of each container by itself; without NAME of all. What any rule keeps stays, and so does what is pinned.",
      "Hours, days, weeks (from Monday), months and years are those of UTC. A rule that finds less than N keeps the oldest, too.",
      "undo brings back what was removed.",
    ].join("\n"),
    run: retain,
  },
  {
    name: "pin",
    args: ["REF…"],
    summary: "have retain keep layers and snapshots, whatever its rules",
    run: async (call) => await pin(call, true),
  },
  {
    name: "unpin",
    args: ["REF…"],
    summary: "undo a pin",
    run: async (call) => await pin(call, false),
  },
];

async function retain(call: Call): Promise<number> {
  const { args, options, output } = call;
  const within = durationSeconds(options, "keepWithin");
  const params: RetainParams = {
    ...Object.fromEntries(
      ["last", ...Object.keys(PERIODS)].flatMap((rule) => {
        const key = `keep${rule.slice(0, 1).toUpperCase()}${rule.slice(1)}`;
        const value = options.number(key, 0);
        return value === undefined ? [] : [[key, Math.floor(value)]];
      }),
    ),
    ...(within !== undefined && { keepWithinSeconds: within }),
    ...(args.length > 0 && { names: args }),
    ...options.textAs("layers"),
    dryRun: options.flag("dryRun"),
  };
  const retained = await withStore(call, (context, api) => api.retain(context, params));
  await output.confirm("retain", retained, () => {
    const { items, dryRun } = retained;
    const removes = dryRun ? "would remove" : "removed";
    const rows = items.map(({ ref, created, reasons }) => [
      reasons.length > 0 ? "kept" : removes,
      ref,
      formatTime(created),
      reasons.join(", "),
    ]);
    const gone = items.filter(({ reasons }) => reasons.length === 0).length;
    const sum = `${count(items.length - gone, "name")} kept, ${gone} ${dryRun ? "would be removed" : "removed"}`;
    return rows.length === 0 ? ["nothing to choose from"] : [...table(rows), sum];
  });
  return 0;
}

async function pin(call: Call, pinned: boolean): Promise<number> {
  const { args, output } = call;
  const done = await withStore(call, (context, api) => api.pin(context, { refs: args, pinned }));
  await output.confirm(pinned ? "pin" : "unpin", done, () =>
    args.map((ref) => `${ref} is ${pinned ? "pinned" : "not pinned"}`),
  );
  return 0;
}
