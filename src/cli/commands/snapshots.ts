import { StoreError } from "../../errors.ts";
import type { Restored } from "../../index.ts";
import type { Call, Command } from "../command.ts";
import { withStore } from "../session.ts";
import { digestText, formatBytes, formatTime, shortDigest, table, visible } from "../text.ts";

/** What keeps containers' states and brings them back. */
export const snapshotCommands: readonly Command[] = [
  {
    name: "snapshot",
    args: ["NAME", "[SNAP]"],
    nameAt: 0,
    summary: "keep the state of a stopped container as NAME@SNAP, or list, restore, remove such",
    options: [
      { flags: "-m, --message <TEXT>", description: "kept with the snapshot" },
      { flags: "-a, --allow-running", description: "one that runs is frozen while it is read" },
      { flags: "--pin", description: "retain does not remove it" },
      { flags: "-L, --list", description: "the container's snapshots" },
      { flags: "-r, --restore", description: "go back to SNAP, as rollback does" },
      { flags: "-d, --destroy", description: "remove SNAP" },
    ],
    long: true,
    details: [
      "Without SNAP it is snap0, snap1 and so on. NAME@SNAP can be given wherever a REF can: delta0 clone web@snap0 web2.",
      "The options are those of lxc-snapshot.",
    ].join("\n"),
    run: snapshot,
  },
  {
    name: "rollback",
    args: ["NAME", "SNAP"],
    nameAt: 0,
    summary: "make a stopped container what it was at a snapshot; all snapshots stay",
    long: true,
    run: async (call) => {
      const [name = "", snap = ""] = call.args;
      return await restoreSnapshot(call, name, snap);
    },
  },
  {
    name: "reset",
    args: ["NAME"],
    nameAt: 0,
    summary: "drop all that a stopped container changed: it is its base again",
    run: async (call) => {
      const [name = ""] = call.args;
      const restored = await withStore(call, (context, { reset }) => reset(context, { name }));
      await confirmRestored(call, "reset", restored, "its base");
      return 0;
    },
  },
];

async function snapshot(call: Call): Promise<number> {
  const { options, output } = call;
  const [name = "", snap] = call.args;
  const [mode, other] = (["list", "restore", "destroy", "message"] as const).filter(
    (key) => options.flag(key) || options.text(key) !== undefined,
  );
  if (other !== undefined)
    throw new StoreError("USAGE", { reason: `--${mode ?? ""} and --${other} cannot go together` });
  if (mode === "list") {
    if (snap !== undefined) throw new StoreError("USAGE", { reason: `"${snap}" is one argument too many` });
    return await listSnapshots(call, name);
  }
  if (mode === "restore" || mode === "destroy") {
    if (snap === undefined)
      throw new StoreError("USAGE", { reason: "missing SNAP", hint: `delta0 snapshot --${mode} NAME SNAP` });
    if (mode === "restore") return await restoreSnapshot(call, name, snap);
    const { removed } = await withStore(call, (context, { remove }) => remove(context, { names: [`${name}@${snap}`] }));
    await output.confirm("rm", { removed }, () => removed.map((ref) => `removed ${ref}`));
    return 0;
  }
  const params = {
    name,
    ...(snap !== undefined && { snapshot: snap }),
    ...options.textAs("message"),
    allowRunning: options.flag("allowRunning"),
    pinned: options.flag("pin"),
  };
  const taken = await withStore(call, (context, api) => api.snapshot(context, params));
  await output.confirm("snapshot", { ...taken, digest: digestText(taken.digest) }, () => [
    `${taken.ref}: ${shortDigest(taken.digest)}…`,
  ]);
  return 0;
}

async function listSnapshots(call: Call, name: string): Promise<number> {
  const items = await withStore(call, (context, api) => api.listSnapshots(context, { name }));
  const documents = items.map((item) => ({ ...item, digest: digestText(item.digest) }));
  await call.output.show("snapshots", { name, items: documents }, () => {
    const rows = items.map(({ snapshot, created, files, sizeBytes, message, pinned }) => [
      snapshot,
      formatTime(created),
      String(files),
      formatBytes(sizeBytes),
      `${pinned ? "(pinned) " : ""}${visible(message)}`,
    ]);
    return rows.length === 0 ? [] : table([["SNAP", "CREATED", "FILES", "SIZE", "MESSAGE"], ...rows], [2, 3]);
  });
  return 0;
}

async function restoreSnapshot(call: Call, name: string, snap: string): Promise<number> {
  const restored = await withStore(call, (context, { rollback }) => rollback(context, { name, snapshot: snap }));
  await confirmRestored(call, "rollback", restored, snap);
  return 0;
}

async function confirmRestored(call: Call, verb: string, restored: Restored, what: string): Promise<void> {
  const { name, digest, previousDigest } = restored;
  const document = { ...restored, digest: digestText(digest), previousDigest: digestText(previousDigest) };
  const back = digest === previousDigest ? "" : `; what it was until now: ${shortDigest(previousDigest)}`;
  await call.output.confirm(verb, document, () => [`${name} is as ${what} again${back}`]);
}
