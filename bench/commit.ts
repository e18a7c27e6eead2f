/**
 * What making a layer of a container costs, of which 500 files changed, or one byte of 1 GiB: inside a process, and as a command; beside LXC's
 * snapshots of a container on the kernel's overlay and btrfs's. The floor writes what is new to one file, synced. Run: npm run bench -- commit
 */
import { randomBytes, randomFillSync } from "node:crypto";
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import type { ContainerView, Store } from "../src/index.ts";
import { skipReason } from "../test/support/loop.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, built, delta0, hasPeer, measure, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = sized(7, 2);
const FILES = 500;
const FILE_BYTES = 4096;
const LARGE_BYTES = sized(2 ** 30, 2 ** 26);
/** What a changed byte makes new. */
const CHUNK_BYTES = 128 * 1024;

interface Change {
  readonly what: string;
  readonly newBytes: number;
  readonly inside: (view: ContainerView) => Promise<unknown>;
  /** To a root of files, in which `/large` is only if it is its own. */
  readonly outside: (root: string) => void;
  /** What the kernel's overlay copies up first. */
  readonly copiedUp?: string;
}

const CHANGES: readonly Change[] = [
  {
    what: `commit of ${FILES} changed files`,
    newBytes: FILES * FILE_BYTES,
    inside: async ({ promises }) => {
      for (let i = 0; i < FILES; i++) await promises.writeFile(`/srv/${i}`, randomBytes(FILE_BYTES));
    },
    outside: (root) => {
      for (let i = 0; i < FILES; i++) writeFileSync(`${root}/srv/${i}`, randomBytes(FILE_BYTES));
    },
  },
  {
    what: "commit of a changed byte in 1 GiB",
    newBytes: CHUNK_BYTES,
    inside: async ({ promises }) => {
      await using handle = await promises.open("/large", "r+");
      await handle.write(randomBytes(1), 0, 1, LARGE_BYTES / 2);
    },
    outside: (root) => {
      const fd = openSync(`${root}/large`, "r+");
      writeSync(fd, randomBytes(1), 0, 1, LARGE_BYTES / 2);
      closeSync(fd);
    },
    copiedUp: "large",
  },
];

const library = await built();
await using at = await benchDirectory(sized(20_000, 3000));
const base = `${at.path}/base`;
makeBase();
const store = `${at.path}/store`;
await withStore((context) => library.importLayer(context, { source: base, name: "base" }));
const samples = new Samples();
await ours();
if (hasPeer("lxc-snapshot")) await lxcSnapshots();
if (hasPeer("btrfs") && skipReason("btrfs") === undefined) await btrfsSnapshots();
await report("making a layer of a container", samples.figures);

async function ours(): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { what, newBytes, inside }] of CHANGES.entries()) {
      const names: [string, string] = [`inside${i}-${round}`, `command${i}-${round}`];
      await withStore(async (context) => {
        await library.clone(context, { ref: "base", names, noLxc: true });
        for (const name of names) {
          await using view = await library.openContainer(context, { name });
          await inside(view);
        }
        const [name] = names;
        const seconds = await timed(() => library.commit(context, { name, layer: `${name}-layer` }));
        samples.add({ what, who: "delta0 inside a process", unit: "ms" }, seconds * 1000);
      });
      const [, name] = names;
      const command = delta0(store, ["commit", name, `${name}-layer`]);
      samples.add({ what, who: "delta0", unit: "ms" }, command.seconds * 1000);
      const floor = await timed(() => writeSynced(newBytes));
      samples.add({ what, who: "floor: what is new to one file, synced", unit: "ms" }, floor * 1000);
    }
  }
}

async function lxcSnapshots(): Promise<void> {
  for (const { what, outside, copiedUp } of CHANGES) {
    const lxc = `${at.path}/lxc`;
    const delta = `${lxc}/c/overlay/delta`;
    mkdirSync(`${delta}/srv`, { recursive: true });
    const lines = [`lxc.rootfs.path = overlay:${base}:${delta}`, "lxc.uts.name = c", "lxc.net.0.type = empty"];
    writeFileSync(`${lxc}/c/config`, `${lines.join("\n")}\n`);
    if (copiedUp !== undefined) await run("cp", [`${base}/${copiedUp}`, `${delta}/${copiedUp}`]);
    for (let round = 0; round < ROUNDS; round++) {
      outside(delta);
      await run("sync", ["-f", at.path]);
      const { seconds } = measure("lxc-snapshot", ["-P", lxc, "-n", "c"]);
      samples.add({ what, who: "lxc-snapshot, overlay", unit: "ms" }, seconds * 1000);
      measure("lxc-snapshot", ["-P", lxc, "-n", "c", "-d", "snap0"]);
    }
    rmSync(lxc, { recursive: true });
  }
}

async function btrfsSnapshots(): Promise<void> {
  await using disk = await benchDirectory(sized(4000, 1000), "btrfs");
  measure("btrfs", ["subvolume", "create", `${disk.path}/root`]);
  await run("cp", ["-a", `${base}/.`, `${disk.path}/root`]);
  await run("sync", ["-f", disk.path]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { what, outside }] of CHANGES.entries()) {
      outside(`${disk.path}/root`);
      const args = ["subvolume", "snapshot", "-r", `${disk.path}/root`, `${disk.path}/snapshot${i}-${round}`];
      samples.add({ what, who: "btrfs snapshot -r", unit: "ms" }, measure("btrfs", args).seconds * 1000);
    }
  }
}

function makeBase(): void {
  mkdirSync(`${base}/srv`, { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(`${base}/srv/${i}`, randomBytes(FILE_BYTES));
  const piece = Buffer.alloc(1 << 20);
  const fd = openSync(`${base}/large`, "w");
  for (let written = 0; written < LARGE_BYTES; written += piece.length) writeSync(fd, randomFillSync(piece));
  closeSync(fd);
}

function writeSynced(bytes: number): void {
  const fd = openSync(`${at.path}/floor`, "w");
  writeSync(fd, randomBytes(bytes));
  fdatasyncSync(fd);
  closeSync(fd);
}

async function withStore(work: (context: { store: Store; command: string }) => Promise<unknown>): Promise<void> {
  await using opened = await library.Store.open(store, { create: true });
  await work({ store: opened, command: "bench" });
}
