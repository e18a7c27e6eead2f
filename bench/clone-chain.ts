/**
 * Snapshots of snapshots, each with changes of its own: what one takes in time and all of them on disk, beside lxc-copy -s.
 * Run: npm run bench -- clone-chain
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { busyboxRootfs, SLEEP } from "../test/lxc/support.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";

const DEPTH = sized(20, 4);
const FILES = sized(500, 50);
const FILE_BYTES = 40_000;
/** So many make a point of the curves. */
const WINDOW = DEPTH / 4;

await using at = await benchDirectory(14_000);
const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
mkdirSync(`${rootfs}/srv`);

if (hasPeer("lxc-copy")) {
  await chain("changes are put into stopped ones", putChanges);
  await chain("each is started, changed inside, and stopped", changeInside);
}

/** One way to a chain: a container, and how its files are changed. */
interface Side {
  readonly name: string;
  readonly directory: string;
  readonly container: (depth: number) => string;
  /** Seconds that it takes. */
  readonly clone: (from: string, to: string) => number;
}

/** @returns seconds that the start took, if there was one */
type Change = (side: Side, depth: number) => Promise<number | undefined>;

async function chain(title: string, change: Change): Promise<void> {
  const directory = `${at.path}/chain`;
  const sides = [ours(`${directory}/ours`), lxcs(`${directory}/lxc`)];
  const before = await Promise.all(sides.map((side) => diskUsed(side.directory)));
  const samples = new Samples();
  for (let depth = 1; depth <= DEPTH; depth++) {
    const at = { axis: "snapshots of snapshots", value: Math.ceil(depth / WINDOW) * WINDOW };
    for (const side of sides) {
      const started = await change(side, depth);
      await run("sync", ["-f", directory]);
      if (started !== undefined) samples.add({ what: "lxc-start of it", who: side.name, unit: "s", at }, started);
      const cloned = side.clone(side.container(depth), side.container(depth + 1));
      samples.add({ what: "a snapshot", who: side.name, unit: "s", at }, cloned);
    }
    const { seconds } = delta0(`${directory}/ours/store`, ["ls"]);
    samples.add({ what: "a snapshot", who: "floor: delta0 ls, how busy the machine was", unit: "s", at }, seconds);
  }
  const disk = { what: `disk for all changes`, unit: "bytes" } as const;
  samples.add({ ...disk, who: "floor: the bytes that differ" }, DEPTH * FILES * FILE_BYTES);
  for (const [i, side] of sides.entries())
    samples.add({ ...disk, who: side.name }, (await diskUsed(side.directory)) - (before[i] ?? 0));
  for (const part of ["store", "lxc"]) {
    const who = `delta0, of that in ${part === "store" ? "the store" : "LXC's directory"}`;
    samples.add({ ...disk, who }, await diskUsed(`${directory}/ours/${part}`));
  }
  const { seconds } = delta0(`${directory}/ours/store`, ["unexport", "--stopped"]);
  const away = (await diskUsed(`${directory}/ours`)) - (before[0] ?? 0);
  samples.add({ ...disk, who: "delta0, after unexport --stopped" }, away);
  samples.add({ what: "unexport --stopped", who: "delta0", unit: "s" }, seconds);
  const bytes = `${FILES} files and ${(FILES * FILE_BYTES) / 1e6} MB`;
  await report(`Snapshots of snapshots, with ${bytes} of changes each; ${title}`, samples.figures);
  await run("sh", ["-c", `umount "$1"/ours/store/exports; chattr -R -f -i "$1"; exit 0`, "sh", directory]);
  rmSync(directory, { recursive: true });
}

function ours(directory: string): Side {
  const store = `${directory}/store`;
  mkdirSync(`${directory}/lxc`, { recursive: true });
  delta0(store, ["import", rootfs, "base"]);
  delta0(store, ["config", "lxc.path", `${directory}/lxc`]);
  delta0(store, ["create", "base", "c1", ...SLEEP]);
  return {
    name: "delta0",
    directory,
    container: (depth) => `c${depth}`,
    clone: (from, to) => delta0(store, ["clone", from, to]).seconds,
  };
}

function lxcs(directory: string): Side {
  const lxc = `${directory}/lxc`;
  mkdirSync(`${lxc}/l1/overlay/delta`, { recursive: true });
  measure("cp", ["-a", rootfs, `${lxc}/l1/rootfs`]);
  const lines = [
    `lxc.rootfs.path = overlay:${lxc}/l1/rootfs:${lxc}/l1/overlay/delta`,
    "lxc.uts.name = l1",
    "lxc.net.0.type = empty",
    "lxc.apparmor.profile = unconfined",
    "lxc.init.cmd = /bin/sleep 1000",
    "lxc.mount.auto = proc:mixed sys:ro cgroup:mixed",
  ];
  writeFileSync(`${lxc}/l1/config`, `${lines.join("\n")}\n`);
  return {
    name: "lxc-copy -s",
    directory,
    container: (depth) => `l${depth}`,
    clone: (from, to) => measure("lxc-copy", ["-P", lxc, "-n", from, "-N", to, "-s", "-B", "overlay"]).seconds,
  };
}

/** LXC has no way to put files in: they are copied into its delta. */
async function putChanges({ name, directory, container }: Side, depth: number): Promise<undefined> {
  const changes = `${at.path}/changes/${depth}`;
  mkdirSync(changes, { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(`${changes}/${i}`, randomBytes(FILE_BYTES));
  if (name === "delta0") delta0(`${directory}/store`, ["put", changes, `${container(depth)}:/srv`]);
  else {
    const delta = `${directory}/lxc/${container(depth)}/overlay/delta`;
    await run("sh", ["-ec", `mkdir -p "$2"/srv; cp -a "$1" "$2"/srv`, "sh", changes, delta]);
  }
  rmSync(`${at.path}/changes`, { recursive: true });
}

async function changeInside({ directory, container }: Side, depth: number): Promise<number> {
  const args = ["-P", `${directory}/lxc`, "-n", container(depth)];
  const { seconds } = measure("lxc-start", args);
  const script = `mkdir /srv/${depth}; for i in $(seq ${FILES}); do head -c ${FILE_BYTES} /dev/urandom >/srv/${depth}/$i; done`;
  await run("lxc-attach", [...args, "--", "/bin/busybox", "sh", "-ec", script.replace("head", "/bin/busybox head")]);
  measure("lxc-stop", [...args, "-k"]);
  return seconds;
}

async function diskUsed(directory: string): Promise<number> {
  return Number((await run("du", ["-s", "--block-size=1", directory])).split("\t")[0]);
}
