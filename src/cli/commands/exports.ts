import { StoreError } from "../../errors.ts";
import type { ExportItem } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { showLosses } from "../losses.ts";
import { absolutePath, idMapOf, idMapOption } from "../options.ts";
import { takeOutputForTar, withStore } from "../session.ts";
import { count, digestText, formatBytes, formatSeconds, shortDigest, table, visible } from "../text.ts";

/** What brings trees out as files. */
export const exportCommands: readonly Command[] = [
  {
    name: "export",
    args: ["REF", "[TARGET]"],
    nameAt: 0,
    summary: "write a state out: a directory, FILE.tar, - for a tar on standard output, or an image, oci:DIR[:TAG]",
    options: [
      { flags: "--as-user", description: "leave out what this user may not make: owners, devices, privileged xattrs" },
      idMapOption("that it gets"),
      { flags: "--verify", description: "read the directory back and compare" },
      {
        flags: "--no-sync",
        description: "do not wait for the disk: after a power cut what was written may be incomplete",
      },
      { flags: "--for-start", description: "without TARGET: make the shared export that containers of it stand on" },
    ],
    long: true,
    details: "Exits 3 if something could not be kept: what and where is listed.",
    run: exportRef,
  },
  {
    name: "exports",
    args: ["[REF…]"],
    summary: "the shared exports that containers stand on: all, or those of REFs",
    options: [{ flags: "--repair", description: "make those as they were that were changed from outside" }],
    details:
      "An export of which OVER names another one holds what its tree changes of that one's. SPACE counts blocks that exports share in each.",
    run: async (call) => {
      const params = call.args.length === 0 ? {} : { refs: call.args };
      if (call.options.flag("repair")) {
        const { repaired } = await withStore(call, (context, { repairExports }) => repairExports(context, params));
        await call.output.confirm("exports", { repaired: repaired.map(digestText) }, () =>
          repaired.map((digest) => `repaired the export of ${shortDigest(digest)}…`),
        );
        return 0;
      }
      const items = await withStore(call, (context, { listExports }) => listExports(context, params));
      const documents = items.map((item) => ({ ...item, digest: digestText(item.digest) }));
      await call.output.show("exports", { items: documents }, () => (items.length === 0 ? [] : exportTable(items)));
      return 0;
    },
  },
  {
    name: "unexport",
    args: ["[REF…]"],
    summary: "remove shared exports: those of REFs, or all that nothing uses",
    options: [
      {
        flags: "--stopped",
        description:
          "of stopped containers (all, or REFs) deltas and exports: the store makes them anew at their next starts",
      },
    ],
    run: async (call) => {
      if (call.options.flag("stopped")) return await putAway(call);
      const params = call.args.length === 0 ? {} : { refs: call.args };
      const { removed } = await withStore(call, (context, { unexport }) => unexport(context, params));
      await call.output.confirm("unexport", { removed: removed.map(digestText) }, () =>
        removed.map((digest) => `removed the export of ${shortDigest(digest)}…`),
      );
      return 0;
    },
  },
];

async function putAway(call: Call): Promise<number> {
  const params = call.args.length === 0 ? {} : { names: call.args };
  const { names, exports } = await withStore(call, (context, { putAway }) => putAway(context, params));
  await call.output.confirm("unexport", { names, exports }, () => [
    `put away ${count(names.length, "container")} and ${count(exports.length, "export")}`,
  ]);
  return 0;
}

async function exportRef(call: Call): Promise<number> {
  const [ref = "", given] = call.args;
  if (call.options.flag("forStart")) return await exportForStart(call, ref, given);
  if (given === undefined)
    throw new StoreError("USAGE", { reason: "missing TARGET", hint: "delta0 export REF TARGET" });
  if (given === "-") takeOutputForTar(call, ref);
  const { options, output } = call;
  const params = {
    ref,
    target: absolutePath(given),
    asUser: options.flag("asUser"),
    verify: options.flag("verify"),
    noSync: options.refused("sync"),
    ...idMapOf(options),
  };
  const began = performance.now();
  const exported = await withStore(call, (context, { exportTree }) => exportTree(context, params));
  const seconds = (performance.now() - began) / 1000;
  const { digest, target, entries, bytes, losses, omitted, verified } = exported;
  await output.confirm("export", { ...exported, digest: digestText(digest), seconds }, () => {
    const what = `${count(entries, "entry")}, ${formatBytes(bytes)}, ${formatSeconds(seconds)}`;
    const place = target === "-" ? "" : ` -> ${visible(target)}`;
    return [`${visible(ref)}${place}: ${what}${verified ? ", read back and compared" : ""}`];
  });
  return showLosses(call, losses, omitted);
}

async function exportForStart(call: Call, ref: string, target: string | undefined): Promise<number> {
  if (target !== undefined)
    throw new StoreError("USAGE", { reason: `--for-start chooses the place itself: ${target} is one too many` });
  if (call.options.refused("sync"))
    throw new StoreError("USAGE", { reason: "what containers stand on is always synced", hint: "leave --no-sync out" });
  const warmed = await withStore(call, (context, { warmExport }) => warmExport(context, { ref }));
  const { digest, path, lowers, made } = warmed;
  await call.output.show("export", { ref, digest: digestText(digest), target: path, lowers, made }, () => [path]);
  return 0;
}

function exportTable(items: readonly ExportItem[]): string[] {
  const rows = items.map(({ digest, over, idMap, entries, diskBytes, users, mounted, changed }) => [
    `${shortDigest(digest)}…`,
    over === null ? "-" : `${shortDigest(over)}…`,
    idMap === null ? "not known" : idMap.join(" ") || "-",
    String(entries),
    diskBytes === null ? "not known" : formatBytes(diskBytes),
    mounted ? "mounted" : users.length > 0 ? "used" : "unused",
    describeChanged(changed),
    describeUsers(users),
  ]);
  return table([["DIGEST", "OVER", "IDMAP", "FILES", "SPACE", "STATE", "CHANGED", "USERS"], ...rows], [3, 4]);
}

function describeUsers(users: readonly string[]): string {
  if (users.length === 0) return "-";
  const first = users.slice(0, MOST_USERS).map(visible).join(" ");
  return users.length > MOST_USERS ? `${first} and ${users.length - MOST_USERS} more` : first;
}

const MOST_USERS = 5;

function describeChanged(changed: ExportItem["changed"]): string {
  if (changed === null) return "not known";
  const [first, ...others] = changed;
  if (first === undefined) return "no";
  return others.length === 0 ? visible(first) : `${visible(first)} and ${others.length} more`;
}
