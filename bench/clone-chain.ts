/**
 * Snapshots of snapshots, each with changes of its own: what one takes in time and all of them on disk, beside lxc-copy -s.
 * Run: npm run bench -- clone-chain
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { busyboxRootfs, SLEEP } from "../test/lxc/support.ts";
import { hasCommand, run } from "../test/support/run.ts";
import { benchDirectory, delta0, measure, median, reportText } from "./support.ts";

const DEPTH = 20;
const FILES = 500;
const FILE_BYTES = 20_000_000 / FILES;
/** How many at each end are compared. */
const WINDOW = 3;

await using at = await benchDirectory(14_000);
const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
mkdirSync(`${rootfs}/srv`);

if (hasCommand("lxc-copy")) {
  await chain("changes put into stopped ones", putChanges);
  await chain("each started, changed inside, and stopped", changeInside);
}

/** One way to a chain: a container, and how its files are changed. */
interface Side {
  readonly name: string;
  readonly directory: string;
  readonly container: (depth: number) => string;
  readonly clone: (from: string, to: string) => number;
  readonly series: { readonly clone: number[]; readonly start: number[] };
}

type Change = (side: Side, depth: number) => Promise<void>;

async function chain(title: string, change: Change): Promise<void> {
  const directory = `${at.path}/chain`;
  const sides = [ours(`${directory}/ours`), lxcs(`${directory}/lxc`)];
  const before = await Promise.all(sides.map((side) => diskUsed(side.directory)));
  const nothing: number[] = [];
  for (let depth = 1; depth <= DEPTH; depth++) {
    for (const side of sides) {
      await change(side, depth);
      await run("sync", ["-f", at.path]);
      side.series.clone.push(side.clone(side.container(depth), side.container(depth + 1)));
    }
    nothing.push(delta0(`${directory}/ours/store`, ["ls"]).seconds);
  }
  const distinct = DEPTH * FILES * FILE_BYTES;
  const rows: [string, string][] = [];
  for (const [i, side] of sides.entries()) {
    const used = (await diskUsed(side.directory)) - (before[i] ?? 0);
    const { clone, start } = side.series;
    rows.push([`${side.name}: a clone`, series(clone)]);
    if (start.length > 0) rows.push([`${side.name}: lxc-start of it`, series(start)]);
    rows.push([
      `${side.name}: disk`,
      `${(used / 1e6).toFixed(0)} MB, ${(used / distinct).toFixed(2)} times the distinct data`,
    ]);
  }
  rows.push(["delta0 ls (floor): how busy the machine was", series(nothing)]);
  const [store, lxc] = await Promise.all(["store", "lxc"].map((part) => diskUsed(`${directory}/ours/${part}`)));
  rows.push(["of ours, the store and the LXC path", `${mb(store)}, ${mb(lxc)}`]);
  const { seconds } = delta0(`${directory}/ours/store`, ["unexport", "--stopped"]);
  const away = (await diskUsed(`${directory}/ours`)) - (before[0] ?? 0);
  rows.push([
    "ours after unexport --stopped",
    `${mb(away)}, ${(away / distinct).toFixed(2)} times the distinct data, in ${seconds.toFixed(2)} s`,
  ]);
  reportText(`${DEPTH} snapshots of snapshots with ${FILES} files of 20 MB each: ${title}`, rows);
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
    series: { clone: [], start: [] },
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
    series: { clone: [], start: [] },
  };
}

/** LXC has no way to put files in: they are copied into its delta. */
async function putChanges({ name, directory, container }: Side, depth: number): Promise<void> {
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

async function changeInside({ directory, container, series }: Side, depth: number): Promise<void> {
  const args = ["-P", `${directory}/lxc`, "-n", container(depth)];
  series.start.push(measure("lxc-start", args).seconds);
  const script = `mkdir /srv/${depth}; for i in $(seq ${FILES}); do head -c ${FILE_BYTES} /dev/urandom >/srv/${depth}/$i; done`;
  await run("lxc-attach", [...args, "--", "/bin/busybox", "sh", "-ec", script.replace("head", "/bin/busybox head")]);
  measure("lxc-stop", [...args, "-k"]);
}

function series(values: readonly number[]): string {
  const [first, last] = [median(values.slice(0, WINDOW)), median(values.slice(-WINDOW))];
  const figures = [first, last].map((value) => `${(value * 1000).toFixed(0)} ms`);
  return `${figures.join(", then ")}: ${(last / first).toFixed(2)} times`;
}

async function diskUsed(directory: string): Promise<number> {
  return Number((await run("du", ["-s", "--block-size=1", directory])).split("\t")[0]);
}

function mb(bytes: number | undefined): string {
  return `${((bytes ?? 0) / 1e6).toFixed(0)} MB`;
}
