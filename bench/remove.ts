/**
 * What taking a root filesystem out of a store of four costs: removed and collected, inside a process and as commands, beside the peers that are
 * installed. And what collecting chunks that lie among others takes of each MB of tables that is written anew. Run: npm run bench -- remove
 */
import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import type { Context } from "../src/index.ts";
import { Kv } from "../src/kv/kv.ts";
import { syncFilesystem } from "../src/sys/durable.ts";
import { peerPlace, PEERS, tell, unpackRoots } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { benchDirectory, built, delta0, hasPeer, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = sized(5, 2);
/** As many bytes as the chunks of the one removed. */
const REMOVED_VALUES = 310;
const VALUE_BYTES = 128 * 1024;
/** What is scattered: a chunk each, too large to share a value, every fourth of another layer. */
const FILES = sized(4096, 512);
const FILE_BYTES = 128 * 1024;
const EVERY = 4;

const { gc, importLayer, remove, Store } = await built();
await using at = await benchDirectory(sized(26_000, 16_000));
const roots = await unpackRoots(`${at.path}/roots`);
const last = roots.length - 1;

const samples = new Samples();
await inside();
await floor();
commands();
for (const peer of PEERS) if (hasPeer(peer.program)) peers(peer);
await scattered();
await report("taking one of four root filesystems out of a store", samples.figures);

async function inside(): Promise<void> {
  await using store = await Store.open(`${at.path}/inside`, { create: true });
  const context = { store, command: "bench" };
  for (const [i, source] of roots.slice(0, last).entries()) await importLayer(context, { source, name: `n${i}` });
  for (let round = 0; round < ROUNDS; round++) {
    await importLayer(context, { source: roots[last]!, name: "last" });
    syncFilesystem(at.path);
    keep("delta0 inside a process", await timed(() => removeAndCollect(context, "last")));
  }
}

/** LevelDB alone, of whose values the last ones go. */
async function floor(): Promise<void> {
  await using kv = await Kv.open(`${at.path}/floor`, { create: true, writeBufferBytes: 32 << 20 });
  const keys = Array.from({ length: 5 * REMOVED_VALUES }, (_, i) => Buffer.from(String(i).padStart(8, "0")));
  const gone = keys.slice(-REMOVED_VALUES);
  const put = async (list: readonly Buffer[]): Promise<void> => {
    for (const key of list) await kv.write([{ type: "put", key, value: randomFillSync(Buffer.alloc(VALUE_BYTES)) }]);
    await kv.barrier();
  };
  await put(keys.slice(0, -REMOVED_VALUES));
  for (let round = 0; round < ROUNDS; round++) {
    await put(gone);
    syncFilesystem(at.path);
    const seconds = await timed(async () => {
      await kv.write(gone.map((key) => ({ type: "del", key })));
      await kv.compact({ gte: gone[0]!, lt: Buffer.from("9") });
    });
    samples.add({ what: "removed and collected", who: "floor: as many bytes of LevelDB alone", unit: "s" }, seconds);
  }
}

function commands(): void {
  const store = `${at.path}/command`;
  for (const [i, root] of roots.slice(0, last).entries()) delta0(store, ["import", root, `n${i}`]);
  for (let round = 0; round < ROUNDS; round++) {
    delta0(store, ["import", roots[last]!, "last"]);
    syncFilesystem(at.path);
    const [removed, collected] = [delta0(store, ["rm", "last"]), delta0(store, ["gc", "--grace", "0"])];
    keep("delta0", removed.seconds + collected.seconds, removed.cpuSeconds + collected.cpuSeconds);
    delta0(store, ["import", roots[last]!, "last"]);
    syncFilesystem(at.path);
    const both = delta0(store, ["rm", "--now", "last"]);
    keep("delta0 rm --now", both.seconds, both.cpuSeconds);
  }
}

function peers({ name, make, put, remove }: Peer): void {
  const place = peerPlace(`${at.path}/tool`);
  if (make !== undefined) tell(make, place, { root: roots[0]! });
  for (const [n, root] of roots.slice(0, last).entries()) tell(put, place, { root, n });
  for (let round = 0; round < ROUNDS; round++) {
    tell(put, place, { root: roots[last]!, n: last, round });
    syncFilesystem(at.path);
    const { seconds, cpuSeconds } = tell(remove, place, { root: roots[last]!, n: last, round });
    keep(name, seconds, cpuSeconds);
  }
}

async function scattered(): Promise<void> {
  const source = `${at.path}/scattered`;
  for (let round = 0; round < Math.min(ROUNDS, 3); round++) {
    const path = `${at.path}/scattered-store`;
    rmSync(path, { recursive: true, force: true });
    rmSync(source, { recursive: true, force: true });
    makeFiles(source);
    await using store = await Store.open(path, { create: true });
    const context = { store, command: "bench" };
    await importLayer(context, { source, name: "all" });
    await importLayer(context, { source, name: "kept", exclude: ["*-gone"] });
    syncFilesystem(at.path);
    const written = writtenBytes();
    const seconds = await timed(() => removeAndCollect(context, "all"));
    const megabytes = (writtenBytes() - written) / 1e6;
    const who = "delta0 inside a process";
    const what = `every fourth chunk of ${FILES}, 128 KiB each`;
    samples.add({ what: `${what}, removed and collected`, who, unit: "s" }, seconds);
    samples.add({ what: `${what}: tables written anew`, who, unit: "MB" }, megabytes);
    samples.add({ what: `${what}: rate of that`, who, unit: "MB/s" }, megabytes / seconds);
  }
}

async function removeAndCollect(context: Context, name: string): Promise<void> {
  await remove(context, { names: [name] });
  await gc(context, { grace: "0" });
}

function keep(who: string, seconds: number, cpuSeconds?: number): void {
  samples.add({ what: "removed and collected", who, unit: "s" }, seconds);
  if (cpuSeconds !== undefined) samples.add({ what: "its CPU", who, unit: "s" }, cpuSeconds);
}

function makeFiles(directory: string): void {
  mkdirSync(directory);
  const bytes = Buffer.alloc(FILE_BYTES);
  for (let i = 0; i < FILES; i++) {
    const fd = openSync(`${directory}/${String(i).padStart(6, "0")}${i % EVERY === 0 ? "-gone" : ""}`, "w");
    writeSync(fd, randomFillSync(bytes));
    closeSync(fd);
  }
}

/** By this process, and all its threads: proc(5). */
function writtenBytes(): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync("/proc/self/io", "latin1"))?.[1]);
}
