import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { adopt, capture, list, listSnapshots, remove, Store } from "../../src/index.ts";
import type { AdoptParams, Context } from "../../src/index.ts";
import { assertNothingHalfMade, startContainer } from "../operations/support.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { upToStep } from "./steps.ts";

interface Case {
  readonly what: string;
  /** Makes the container "web". */
  readonly make: (lxcPath: string) => Promise<void>;
  readonly params: Omit<AdoptParams, "name" | "lxcPath">;
}

const CASES: readonly Case[] = [
  { what: "adopt", make: makeClone, params: {} },
  { what: "adopt --as", make: makeClone, params: { as: "new" } },
  { what: "adopt --convert", make: makeClone, params: { convert: true } },
  { what: "adopt --convert of LXC 1's layout", make: makeOld, params: { convert: true } },
];

for (const { what, make, params } of CASES) {
  test(`kill: at each step of ${what} leaves a container wholly LXC's own or wholly the store's`, async (t) => {
    await using directory = await temporaryDirectory();
    const lxcPath = `${directory.path}/lxc`;
    const storePath = `${directory.path}/store`;
    const open = (): Promise<Store> => Store.open(storePath, { create: true });

    /** Makes one, adopts it up to a step, and tells what is there when the store is opened anew. */
    const seenAfter = async (step: number): Promise<{ killed: boolean; seen: string }> => {
      for (const path of [lxcPath, `${lxcPath}snaps`]) rmSync(path, { recursive: true, force: true });
      await make(lxcPath);
      const store = await open();
      const work = (): Promise<unknown> => adopt({ store, command: "test" }, { name: "web", lxcPath, ...params });
      const killed = await upToStep(step, work);
      await store[Symbol.asyncDispose]();

      await using reopened = await open();
      const context = { store: reopened, command: "test" };
      assertNothingHalfMade(context, lxcPath);
      const files = [lxcPath, `${lxcPath}snaps`].flatMap(filesIn);
      const records = await recordsOf(context, lxcPath);
      await remove(context, { names: records.map(({ name }) => name) });
      return { killed, seen: JSON.stringify({ records, files }, undefined, 1) };
    };

    const before = (await seenAfter(0)).seen;
    const after = (await seenAfter(10_000)).seen;
    assert.notEqual(before, after);
    let changedAt: number | undefined;
    let step = 0;
    for (let killed = true; killed;) {
      step++;
      const result = await seenAfter(step);
      killed = result.killed;
      if (result.seen === after) changedAt ??= step;
      assert.equal(result.seen, changedAt === undefined ? before : after, `after step ${step}`);
    }
    assert.ok(changedAt !== undefined);
    t.diagnostic(`${step} steps; done from step ${changedAt} on`);
  });
}

/** As LXC 5 leaves a clone with snapshots, and a file that its config names. */
async function makeClone(lxcPath: string): Promise<void> {
  const web = `${lxcPath}/web`;
  rootfs(`${lxcPath}/base/rootfs`, "1");
  write(`${lxcPath}/base/config`, `lxc.rootfs.path = dir:${lxcPath}/base/rootfs\n`);
  write(`${lxcPath}/base/lxc_snapshots`, `${lxcPath}\nweb\n${web}/snaps\nsnap0\n/elsewhere\nother\n`);
  const overlay = async (at: string, text: string): Promise<void> => {
    const rootfsPath = `overlay:${lxcPath}/base/rootfs:${at}/overlay/delta`;
    write(`${at}/overlay/delta/etc/new`, text);
    await run("mknod", [`${at}/overlay/delta/etc/gone`, "c", "0", "0"]);
    for (const empty of ["rootfs", "overlay/work/work"]) mkdirSync(`${at}/${empty}`, { recursive: true });
    write(`${at}/lxc_rdepends`, `${lxcPath}\nbase\n`);
    const lines = [`lxc.rootfs.path = ${rootfsPath}`, "lxc.rootfs.options = userxattr", "lxc.uts.name = web"];
    write(`${at}/config`, [...lines, `lxc.mount.fstab = ${web}/fstab`, ""].join("\n"));
  };
  await overlay(web, "now");
  await overlay(`${web}/snaps/snap0`, "then");
  write(`${web}/snaps/snap0/ts`, "2020:01:02 03:04:05");
  write(`${web}/snaps/snap0/comment`, "before the upgrade\n");
  write(`${web}/fstab`, "# mine\n");
}

/** By hand, as LXC 1 had them: legacy keys, delta0, and snapshots beside the LXC path. */
async function makeOld(lxcPath: string): Promise<void> {
  rootfs(`${lxcPath}/web/rootfs`, "1");
  for (const at of [`${lxcPath}/web`, `${lxcPath}snaps/web/snap0`]) {
    write(`${at}/delta0/etc/new`, at);
    await run("mknod", [`${at}/delta0/etc/gone`, "c", "0", "0"]);
    mkdirSync(`${at}/olwork`);
    const lines = [`lxc.rootfs = overlayfs:${lxcPath}/web/rootfs:${at}/delta0`, "lxc.rootfs.options = userxattr"];
    write(`${at}/config`, [...lines, "lxc.utsname = web", "lxc.network.type = empty", ""].join("\n"));
  }
  write(`${lxcPath}snaps/web/snap0/ts`, "2014:01:02 03:04:05");
  write(`${lxcPath}/web/hook.sh`, "#!/bin/sh\n");
}

function rootfs(path: string, text: string): void {
  write(`${path}/etc/old`, text);
  write(`${path}/etc/gone`, text);
}

function write(file: string, text: string): void {
  mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
  writeFileSync(file, text);
}

interface SeenRecord {
  readonly name: string;
  readonly lxcPath: boolean;
  readonly starts: boolean;
  readonly files: number | null;
  readonly snapshots: readonly string[];
}

/** What the store has, and whether it starts as that. */
async function recordsOf(context: Context, lxcPath: string): Promise<SeenRecord[]> {
  const seen: SeenRecord[] = [];
  for (const { name, digest, state, files, lxcDirectory } of await list(context, { only: "containers" })) {
    const snapshots = await listSnapshots(context, { name });
    const starts = lxcDirectory !== null;
    if (starts) {
      assert.equal(state, "stopped", name);
      await startContainer(context, name);
      mkdirSync(`${lxcPath}/${name}/work`);
      // Times of what a test makes differ from run to run, the digests too.
      assert.equal((await capture(context, { name })).digest, digest, `${name} starts as another`);
    }
    const described = snapshots.map((each) => [each.snapshot, each.created, each.message, each.files].join(" "));
    seen.push({ name, lxcPath: starts, starts, files, snapshots: described });
  }
  return seen;
}

/** All that is below, with what small files say; of a rebuilt export's name, that it is one. */
function filesIn(directory: string): string[] {
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const shown = (text: string): string => text.replace(/[0-9a-f]{64}/g, "TREE");
  if (stat.isSymbolicLink()) return [`${directory} -> ${shown(readlinkSync(directory))}`];
  if (stat.isFile()) return [`${directory} = ${shown(readFileSync(directory, "latin1"))}`];
  if (!stat.isDirectory()) return [`${directory} ${stat.mode}`];
  return [
    directory,
    ...readdirSync(directory)
      .sort()
      .flatMap((name) => filesIn(`${directory}/${name}`)),
  ];
}
