/**
 * What importing and exporting four root filesystems costs, in time and memory, beside the peers that are installed: apt-get install
 * borgbackup restic casync ostree. And one file of 5 GiB. Run: npm run bench -- import-export
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { syncFilesystem } from "../src/sys/durable.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import type { RootfsName } from "../test/support/rootfs.ts";
import { hasCommand, run } from "../test/support/run.ts";
import { benchDirectory, delta0, measure, median, megabytes, reportText } from "./support.ts";
import type { Measured } from "./support.ts";

const GIB = 2 ** 30;
const ROUNDS = 3;
const ROOTS: readonly RootfsName[] = ["bookworm-minbase", "bookworm", "bookworm-large", "trixie"];

/** As it is built: threads would take tsx a third of a second to begin. */
const DIST = new URL("../dist/", import.meta.url).href;
const { importLayer, Store } = (await import(`${DIST}index.js`)) as typeof import("../src/index.ts");
const { writeDirectory } = (await import(`${DIST}sinks/directory.js`)) as typeof import("../src/sinks/directory.ts");
const { diffTrees } = (await import(`${DIST}trees/diff.js`)) as typeof import("../src/trees/diff.ts");

/** A tool that keeps trees. All paths are absolute. */
interface Peer {
  readonly name: string;
  readonly program: string;
  readonly make?: string;
  /** Commands of a shell in which `$root` is a source or new directory, `$n` its number, `$store` a place for the tool. */
  readonly put: string;
  readonly get: string;
}

const PEERS: readonly Peer[] = [
  {
    name: "borg zstd,3",
    program: "borg",
    make: "borg init -e none $store",
    put: "cd $root && borg create --compression zstd,3 $store::$n-$round .",
    get: "mkdir $root && cd $root && borg extract $store::$n-0",
  },
  {
    name: "borg lz4",
    program: "borg",
    make: "borg init -e none $store",
    put: "cd $root && borg create --compression lz4 $store::$n-$round .",
    get: "mkdir $root && cd $root && borg extract $store::$n-0",
  },
  {
    name: "restic",
    program: "restic",
    make: "restic init -r $store",
    put: "cd $root && restic backup -r $store --tag $n .",
    get: "restic restore -r $store --tag $n --target $root latest",
  },
  {
    name: "casync",
    program: "casync",
    make: "mkdir $store",
    put: "casync make --with=best --store=$store/chunks $store/$n-$round.caidx $root",
    get: "casync extract --store=$store/chunks $store/$n-0.caidx $root",
  },
  {
    name: "ostree, without devices and the like",
    program: "ostree",
    make: "mkdir $store && ostree init --mode=bare --repo=$store && cp -a $base $HOME/plain && find $HOME/plain -type b,c,p,s -delete",
    put: "ostree commit --repo=$store -b n$n --tree=dir=$HOME/plain/$n",
    get: "ostree checkout -C --repo=$store n$n $root",
  },
  {
    name: "cp -a",
    program: "cp",
    make: "mkdir $store",
    put: "cp -a $root $store/$n-$round",
    get: "cp -a $store/$n-0 $root",
  },
  {
    name: "tar",
    program: "tar",
    make: "mkdir $store",
    put: "tar --xattrs --acls -cf $store/$n-$round.tar -C $root .",
    get: "mkdir $root && tar --xattrs --xattrs-include='*' --numeric-owner -xpf $store/$n-0.tar -C $root",
  },
];

/** That of tools that would ask, or keep things elsewhere. */
const ENVIRONMENT: readonly string[] = [
  "RESTIC_PASSWORD=bench",
  "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
  "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes",
];

/** What one round of one tool took for all roots. */
interface Round {
  readonly put: Measured;
  /** The smallest root again. */
  readonly again: Measured;
  readonly get: Measured;
  /** After `get`. */
  readonly sync: number;
  readonly storedBytes: number;
}

await using at = await benchDirectory(26_000);
const base = `${at.path}/roots`;
const roots: string[] = [];
for (const [i, name] of ROOTS.entries()) {
  const root = `${base}/${i}`;
  mkdirSync(root, { recursive: true });
  await run("tar", ["-xpf", await rootfsTar(name), "-C", root, "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
  roots.push(root);
}
// So that all tools may trust ctimes.
execFileSync("sleep", ["3"]);

const rounds = new Map<string, Round[]>();
for (let round = 0; round < ROUNDS; round++) {
  const keep = (name: string, measured: Round): void => void rounds.set(name, [...(rounds.get(name) ?? []), measured]);
  keep("delta0", await delta0Round());
  for (const peer of PEERS) {
    if (!hasCommand(peer.program)) process.stdout.write(`${peer.name}: ${peer.program} is not installed\n`);
    else keep(peer.name, await peerRound(peer));
  }
}
const inside = await insideRound();
reportText(`import and export of ${ROOTS.join(", ")}; medians of ${ROUNDS}`, [
  ...[...rounds].map(([name, all]): [string, string] => [name, describe(all)]),
  ["delta0 in one process: import, durable", `${inside.put.toFixed(2)} s, CPU ${inside.cpu.toFixed(2)} s`],
  ["… unchanged root of 5.5k files again", `${inside.again.toFixed(3)} s`],
  [
    "… export, then its sync",
    `${inside.get.toFixed(2)} s, ${inside.sync.toFixed(2)} s; CPU ${inside.getCpu.toFixed(2)} s`,
  ],
]);

rmSync(`${at.path}/tool`, { recursive: true, force: true });
mkdirSync(`${at.path}/5g`);
execFileSync("sh", ["-c", `head -c ${5 * GIB} /dev/urandom >${at.path}/5g/file`]);
const store = `${at.path}/store-5g`;
const large = delta0(store, ["import", `${at.path}/5g`, "5g"]);
rmSync(`${at.path}/5g`, { recursive: true });
const largeOut = delta0(store, ["export", "5g", `${at.path}/5g-out`]);
reportText("one file of 5 GiB of random bytes", [
  ["import", `${large.seconds.toFixed(2)} s, peak ${megabytes(large.peakRssBytes)}`],
  ["export, synced", `${largeOut.seconds.toFixed(2)} s, peak ${megabytes(largeOut.peakRssBytes)}`],
]);

async function delta0Round(): Promise<Round> {
  const store = fresh();
  const put = roots.map((root, i) => delta0(store, ["import", root, `n${i}`]));
  const storedBytes = await diskBytes(store);
  const again = delta0(store, ["import", roots.at(-1)!, "again"]);
  const out = freshOut();
  const get = roots.map((_, i) => delta0(store, ["export", `n${i}`, `${out}/${i}`]));
  return { put: sum(put), again, get: sum(get), sync: timedSync(), storedBytes };
}

async function peerRound({ make, put, get }: Peer): Promise<Round> {
  const store = fresh();
  const shell = (text: string, root: string, n: number, round = 0): Measured =>
    measure("env", [
      ...ENVIRONMENT,
      `HOME=${at.path}/tool/home`,
      `base=${base}`,
      `store=${store}`,
      `root=${root}`,
      `n=${n}`,
      `round=${round}`,
      "sh",
      "-c",
      text,
    ]);
  if (make !== undefined) shell(make, "", 0);
  const stored = roots.map((root, i) => shell(put, root, i));
  const storedBytes = await diskBytes(store);
  const last = roots.length - 1;
  const again = shell(put, roots[last]!, last, 1);
  const out = freshOut();
  const got = roots.map((_, i) => shell(get, `${out}/${i}`, i));
  return { put: sum(stored), again, get: sum(got), sync: timedSync(), storedBytes };
}

/** Without what it takes to begin a process, and with the export's sync apart. */
async function insideRound(): Promise<Record<"put" | "cpu" | "again" | "get" | "getCpu" | "sync", number>> {
  const all = { put: [], cpu: [], again: [], get: [], getCpu: [], sync: [] } as Record<string, number[]>;
  for (let round = 0; round < ROUNDS; round++) {
    await using store = await Store.open(fresh(), { create: true });
    const context = { store, command: "bench" };
    const put = await timed(async () => {
      for (const [i, source] of roots.entries()) await importLayer(context, { source, name: `n${i}` });
    });
    const again: number[] = [];
    for (let i = 0; i < 5; i++)
      again.push((await timed(() => importLayer(context, { source: roots.at(-1)!, name: `again${i}` }))).seconds);
    const out = freshOut();
    const get = await timed(async () => {
      for (const i of roots.keys()) {
        const ref = store.refs.find(`n${i}`);
        if (ref?.type !== "layer") throw new Error("no layer");
        const tree = store.trees.tree(store.refs.layer(ref.layer).tree);
        await writeDirectory(`${out}/${i}`, diffTrees(store.trees, undefined, tree), store.content);
      }
    });
    const sync = await timed(() => syncFilesystem(at.path));
    const figures = {
      put: put.seconds,
      cpu: put.cpu,
      again: median(again),
      get: get.seconds,
      getCpu: get.cpu,
      sync: sync.seconds,
    };
    for (const [key, value] of Object.entries(figures)) all[key]?.push(value);
  }
  return Object.fromEntries(Object.entries(all).map(([key, values]) => [key, median(values)])) as Awaited<
    ReturnType<typeof insideRound>
  >;
}

async function timed(work: () => unknown): Promise<{ readonly seconds: number; readonly cpu: number }> {
  const began = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 };
}

/** A new place for a store. What was there before, and written out, is gone and synced. */
function fresh(): string {
  rmSync(`${at.path}/tool`, { recursive: true, force: true });
  mkdirSync(`${at.path}/tool/home`, { recursive: true });
  syncFilesystem(at.path);
  return `${at.path}/tool/store`;
}

function freshOut(): string {
  mkdirSync(`${at.path}/tool/out`);
  syncFilesystem(at.path);
  return `${at.path}/tool/out`;
}

function timedSync(): number {
  const began = performance.now();
  syncFilesystem(at.path);
  return (performance.now() - began) / 1000;
}

async function diskBytes(path: string): Promise<number> {
  return Number((await run("du", ["-s", "-B1", path])).split("\t")[0]);
}

function sum(parts: readonly Measured[]): Measured {
  return parts.reduce((all, { seconds, cpuSeconds, peakRssBytes }) => ({
    seconds: all.seconds + seconds,
    cpuSeconds: all.cpuSeconds + cpuSeconds,
    peakRssBytes: Math.max(all.peakRssBytes, peakRssBytes),
  }));
}

function describe(all: readonly Round[]): string {
  const of = (kind: "put" | "again" | "get"): string => {
    const [seconds, cpu] = [all.map((round) => round[kind].seconds), all.map((round) => round[kind].cpuSeconds)];
    const peak = Math.max(...all.map((round) => round[kind].peakRssBytes));
    return `${median(seconds).toFixed(2)} s (CPU ${median(cpu).toFixed(2)}, ${megabytes(peak)})`;
  };
  const stored = megabytes(median(all.map(({ storedBytes }) => storedBytes)));
  const sync = median(all.map((round) => round.sync)).toFixed(2);
  return `in ${of("put")}; stored ${stored}; the last again ${of("again")}; out ${of("get")}, then sync ${sync} s`;
}
