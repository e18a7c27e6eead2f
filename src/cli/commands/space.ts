import { StoreError } from "../../errors.ts";
import type { Collected, DiskUsage, Kept, Removable } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { count, digestText, formatBytes, table, visible } from "../text.ts";

/** What things take, why they are kept, and how they go. */
export const spaceCommands: readonly Command[] = [
  {
    name: "du",
    args: ["[REF…]"],
    summary: "what names take of the store: by themselves, and together with others",
    options: [
      { flags: "--if-removed", description: "to the byte what rm of all REFs and gc --grace 0 would free" },
      { flags: "--by <PART>", description: "the parts of one REF: layer, dir (entries of its root) or type" },
    ],
    details:
      "APPARENT: bytes of files as written out. SHARED, EXCLUSIVE: stored bytes that other names reach too, and that none does.",
    run: du,
  },
  {
    name: "gc",
    args: [],
    summary: "remove what no name reaches any more, and give the room back",
    options: [
      { flags: "--grace <DURATION>", description: "keep what names meant so long ago: 14d, 2h, 0 (default: gc.grace)" },
      {
        flags: "--auto",
        description: "only a day after the last run, or once the store has grown by a tenth: for timers",
      },
      { flags: "--dry-run", description: "tell what would go, and remove nothing" },
    ],
    long: true,
    details: "It may be interrupted at any time, and run again.",
    run: gc,
  },
  {
    name: "why",
    args: ["REF"],
    summary: "why something is in the store: a name, or the digest of a tree, layer, node or chunk",
    details: "Exits 1 if nothing keeps it.",
    run: why,
  },
];

async function du(call: Call): Promise<number> {
  const { args: refs, options, output } = call;
  if (options.flag("ifRemoved")) {
    if (refs.length === 0)
      throw new StoreError("USAGE", { reason: "missing REF", hint: "delta0 du --if-removed REF…" });
    const removable = await withStore(call, (context, { duIfRemoved }) => duIfRemoved(context, { refs }));
    await output.show("du", removable, () => describeRemovable(removable));
    return 0;
  }
  const by = options.text("by");
  if (by !== undefined) return await duBy(call, by);
  const usage = await withStore(call, (context, { du }) => du(context, refs.length === 0 ? {} : { refs }));
  await output.show("du", usage, () => describeUsage(usage));
  return 0;
}

async function duBy(call: Call, by: string): Promise<number> {
  const [ref, ...others] = call.args;
  if (by !== "layer" && by !== "dir" && by !== "type")
    throw new StoreError("USAGE", { reason: `"${by}" is no kind of part`, hint: "--by layer, --by dir or --by type" });
  if (ref === undefined || others.length > 0)
    throw new StoreError("USAGE", { reason: "the parts of one REF are told", hint: `delta0 du REF --by ${by}` });
  const parts = await withStore(call, (context, { duBy }) => duBy(context, { ref, by }));
  const rows = parts.map(({ part, entries, apparentBytes, storedBytes }) => [
    visible(part),
    String(entries),
    formatBytes(apparentBytes),
    formatBytes(storedBytes),
  ]);
  await call.output.show("du", { ref, by, parts }, () =>
    table([[by.toUpperCase(), "ENTRIES", "APPARENT", "STORED"], ...rows], [1, 2, 3]),
  );
  return 0;
}

function describeUsage({ items, storedBytes, unnamedBytes }: DiskUsage): string[] {
  const rows = items.map(({ name, apparentBytes, sharedBytes, exclusiveBytes }) => [
    visible(name),
    formatBytes(apparentBytes),
    sharedBytes === null ? "-" : formatBytes(sharedBytes),
    formatBytes(exclusiveBytes),
  ]);
  return [
    ...table([["NAME", "APPARENT", "SHARED", "EXCLUSIVE"], ...rows], [1, 2, 3]),
    `${formatBytes(storedBytes)} stored, ${formatBytes(unnamedBytes)} of it reached by no name`,
  ];
}

function describeRemovable({ names, chunks, nodes, freedBytes, exports }: Removable): string[] {
  return [
    `removing ${names.map(visible).join(", ")} frees ${formatBytes(freedBytes)} (${freedBytes} bytes)`,
    `${count(chunks.count, "chunk")} of ${formatBytes(chunks.bytes)}, ${count(nodes.count, "node")} of ${formatBytes(nodes.bytes)}`,
    ...(exports.exports > 0
      ? [`and ${count(exports.exports, "export")} that nothing would use any more: ${formatBytes(exports.diskBytes)}`]
      : []),
  ];
}

async function gc(call: Call): Promise<number> {
  const { options, output } = call;
  const grace = options.text("grace");
  const dryRun = options.flag("dryRun");
  const collected = await withStore(call, (context, { gc }) =>
    gc(context, { dryRun, auto: options.flag("auto"), ...(grace !== undefined && { grace }) }),
  );
  await output.confirm("gc", { dryRun, ...collected }, () =>
    collected.skipped ? ["not due"] : describeCollected(collected, dryRun),
  );
  return 0;
}

function describeCollected(
  { chunks, nodes, layers, historyEntries, exports, freedBytes }: Collected,
  dryRun: boolean,
): string[] {
  const lines = [
    `${dryRun ? "would free" : "freed"} ${formatBytes(freedBytes)}: ${count(chunks.count, "chunk")}, ${count(nodes.count, "node")}`,
  ];
  if (layers.count + historyEntries > 0)
    lines.push(`forgot ${count(layers.count, "layer")}, ${count(historyEntries, "change")} of names`);
  if (exports > 0) lines.push(`${dryRun ? "would remove" : "removed"} ${count(exports, "export")} that nothing uses`);
  if (chunks.movedBytes > 0) lines.push(`wrote ${formatBytes(chunks.movedBytes)} anew, to free what lay between`);
  return lines;
}

async function why(call: Call): Promise<number> {
  const [ref = ""] = call.args;
  const kept = await withStore(call, (context, { why }) => why(context, { ref }));
  await call.output.show("why", { ...kept, digest: digestText(kept.digest) }, () => describeKept(kept));
  return kept.reasons.length === 0 ? 1 : 0;
}

function describeKept({ kind, digest, reasons }: Kept): string[] {
  if (reasons.length === 0) return [`${kind} ${digestText(digest)}: nothing keeps it; gc --grace 0 takes it`];
  return reasons.map(({ root, links, path }) =>
    [visible(root), ...links, ...(path === null ? [] : [`/${visible(path)}`])].join(" > "),
  );
}
