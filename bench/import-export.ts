/**
 * What importing and exporting four root filesystems costs, in time, memory and on disk, beside the peers that are installed: as commands, one for
 * each, and by the library inside a process that goes on. The floor of an import reads all files. Run: npm run bench -- import-export
 */
import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { syncFilesystem } from "../src/sys/durable.ts";
import { run } from "../test/support/run.ts";
import { peerPlace, PEERS, ROOTS, tell, unpackRoots } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { benchDirectory, built, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";
import type { Measured } from "./support.ts";

const ROUNDS = sized(3, 1);
/** Until then no tool may trust a ctime, and a filesystem may be busy with what was removed. */
const SETTLING_MS = 3000;

const { importLayer, Store } = await built();
const DIST = new URL("../dist/", import.meta.url).href;
const { writeDirectory } = (await import(`${DIST}sinks/directory.js`)) as typeof import("../src/sinks/directory.ts");
const { diffTrees } = (await import(`${DIST}trees/diff.js`)) as typeof import("../src/trees/diff.ts");

await using at = await benchDirectory(18_000);
const names = ROOTS.slice(-sized(ROOTS.length, 1));
const roots = await unpackRoots(`${at.path}/roots`, names);
await sleep(SETTLING_MS);

const imports = new Samples();
const exports = new Samples();
for (let round = 0; round < ROUNDS; round++) {
  warm();
  addTimes(
    imports,
    "import of all four",
    "floor: reading all files",
    sum(roots.map((root) => measure("sh", ["-c", read(root)]))),
  );
  await commands();
  for (const peer of PEERS) if (hasPeer(peer.program)) await peers(peer);
  await inside();
}
const of = names.join(", ");
await report(`Import of ${of}`, imports.figures, ["delta0 is durable at the end, of the others only borg and restic."]);
await report(`Export of ${of}`, exports.figures, ["Without a sync, delta0 with --no-sync; the sync stands apart."]);

async function commands(): Promise<void> {
  const { store } = await place();
  warm();
  const put = roots.map((root, i) => delta0(store, ["import", root, `n${i}`]));
  await keepImport("delta0", sum(put), store);
  const out = freshOut();
  warm(store);
  const get = roots.map((_, i) => delta0(store, ["export", "--no-sync", `n${i}`, `${out}/${i}`]));
  keepExport("delta0", sum(get));
}

async function peers({ name, make, put, get }: Peer): Promise<void> {
  const where = await place();
  if (make !== undefined) tell(make, where, { root: roots[0]! });
  warm();
  const stored = roots.map((root, n) => tell(put, where, { root, n }));
  await keepImport(name, sum(stored), where.store);
  const out = freshOut();
  warm(where.store);
  const got = roots.map((_, n) => tell(get, where, { root: `${out}/${n}`, n }));
  keepExport(name, sum(got));
}

/** Without what it takes to begin a process, and with the export's sync apart. */
async function inside(): Promise<void> {
  const { store: directory } = await place();
  await using store = await Store.open(directory, { create: true });
  warm();
  const put = await cost(async () => {
    for (const [i, source] of roots.entries())
      await importLayer({ store, command: "bench" }, { source, name: `n${i}` });
  });
  addTimes(imports, "import of all four", "delta0 inside a process", put);
  const out = freshOut();
  warm(directory);
  const get = await cost(async () => {
    for (const i of roots.keys()) {
      const ref = store.refs.find(`n${i}`);
      if (ref?.type !== "layer") throw new Error("no layer");
      const tree = store.trees.tree(store.refs.layer(ref.layer).tree);
      await writeDirectory(`${out}/${i}`, diffTrees(store.trees, undefined, tree), store.content);
    }
  });
  addTimes(exports, "export of all four", "delta0 inside a process", get);
  addSync("delta0 inside a process");
}

/** Files that nobody has read for some seconds may have left the page cache: some machines see to that. */
function warm(directory = `${at.path}/roots`): void {
  measure("sh", ["-c", read(directory)]);
}

function read(directory: string): string {
  return `find ${directory} -type f -exec cat {} + >/dev/null`;
}

type Times = Omit<Measured, "peakRssBytes">;

async function cost(work: () => Promise<void>): Promise<Times> {
  const began = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6 };
}

async function keepImport(who: string, measured: Measured, store: string): Promise<void> {
  addTimes(imports, "import of all four", who, measured);
  imports.add({ what: "peak memory of an import", who, unit: "bytes" }, measured.peakRssBytes);
  const du = await run("du", ["-s", "-B1", store]);
  imports.add({ what: "stored", who, unit: "bytes" }, Number(du.split("\t")[0]));
}

function keepExport(who: string, measured: Measured): void {
  addTimes(exports, "export of all four", who, measured);
  exports.add({ what: "peak memory of an export", who, unit: "bytes" }, measured.peakRssBytes);
  addSync(who);
}

function addTimes(to: Samples, what: string, who: string, { seconds, cpuSeconds }: Times): void {
  to.add({ what, who, unit: "s" }, seconds);
  to.add({ what: `CPU of the ${what}`, who, unit: "s" }, cpuSeconds);
}

function addSync(who: string): void {
  const began = performance.now();
  syncFilesystem(at.path);
  exports.add({ what: "sync after it", who, unit: "s" }, (performance.now() - began) / 1000);
}

/** A new place for a store. What was there before, and written out, is gone and synced. */
async function place(): Promise<ReturnType<typeof peerPlace>> {
  const made = peerPlace(`${at.path}/tool`);
  syncFilesystem(at.path);
  await sleep(SETTLING_MS);
  return made;
}

function freshOut(): string {
  mkdirSync(`${at.path}/tool/out`);
  syncFilesystem(at.path);
  return `${at.path}/tool/out`;
}

function sum(parts: readonly Measured[]): Measured {
  return parts.reduce((all, { seconds, cpuSeconds, peakRssBytes }) => ({
    seconds: all.seconds + seconds,
    cpuSeconds: all.cpuSeconds + cpuSeconds,
    peakRssBytes: Math.max(all.peakRssBytes, peakRssBytes),
  }));
}
