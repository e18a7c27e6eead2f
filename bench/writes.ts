/**
 * How fast one process writes into a container, and what that takes of memory: files of 1 GiB, many small files, random
 * writes, folding all that to a tree, and listings while names change. Run: npm run bench -- writes
 */
import { constants, mkdirSync, promises as host } from "node:fs";
import { randomFillSync, randomInt } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { clone, commit, importLayer, openContainer, status, Store } from "../src/index.ts";
import { Kv } from "../src/kv/kv.ts";
import { benchDirectory, median, megabytes, reportText } from "./support.ts";

const FILE_BYTES = 2 ** 30;
const SMALL_BYTES = 4096;
const SMALL_FILES = 20_000;
const CALLERS = 8;
const ROUNDS = 3;
const CHURN = 200_000;
const RANDOM_WRITES = 20_000;
const LISTED = 100_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

await using at = await benchDirectory(16_000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
mkdirSync(`${at.path}/base`);
await importLayer(context, { source: `${at.path}/base`, name: "base" });
/** No two pieces of it that begin at different places are the same, nor compress. */
const noise = randomFillSync(Buffer.alloc(8 << 20));
const rows: [string, string][] = [];

await large();
await small();
await churn();
await random();
await listing();
reportText("writing into a container", rows);

async function container(name: string): ReturnType<typeof openContainer> {
  await clone(context, { ref: "base", names: [name], noLxc: true });
  return await openContainer(context, { name });
}

async function large(): Promise<void> {
  for (const [label, pieceBytes] of [
    ["1 MiB", 1 << 20],
    ["64 KiB", 1 << 16],
  ] as const) {
    const name = `large-${pieceBytes}`;
    await using view = await container(name);
    const handle = await view.promises.open("/file", "w");
    const memory = memorySamples();
    const began = performance.now();
    for (let at = 0; at < FILE_BYTES; at += pieceBytes) {
      await handle.write(piece(at, pieceBytes));
      memory.sample();
    }
    await handle.close();
    rows.push([`1 GiB in writes of ${label}`, `${speed(FILE_BYTES, began)}, ${memory.growth()}`]);
    const folded = performance.now();
    await status(context, { name });
    rows.push(["  folded", `${speed(FILE_BYTES, folded)}, ${memory.growth()}`]);
  }
  await using view = await container("large-stream");
  const handle = await view.promises.open("/file", "w");
  const memory = memorySamples();
  const began = performance.now();
  await pipeline(function* () {
    for (let at = 0; at < FILE_BYTES; at += 1 << 16) {
      yield piece(at, 1 << 16);
      memory.sample();
    }
  }, handle.createWriteStream());
  rows.push(["1 GiB through createWriteStream, 64 KiB pieces", `${speed(FILE_BYTES, began)}, ${memory.growth()}`]);
}

async function small(): Promise<void> {
  await using view = await container("small");
  const { promises } = view;
  const data = piece(0, SMALL_BYTES);
  await floors(data);
  const write = (path: string): Promise<void> => promises.writeFile(path, data);
  const through = async (path: string): Promise<void> => {
    const handle = await promises.open(path, "w");
    await handle.write(data);
    await handle.close();
  };
  for (const [what, make] of [
    ["writeFile of 4 KiB", write],
    ["open, write 4 KiB, close", through],
  ] as const) {
    for (const callers of [1, CALLERS]) {
      const [made, removed]: [number[], number[]] = [[], []];
      for (let round = 0; round < ROUNDS; round++) {
        await promises.mkdir("/d");
        made.push(await rate(callers, (i) => make(`/d/file${i}`)));
        removed.push(await rate(callers, (i) => promises.unlink(`/d/file${i}`)));
        await promises.rmdir("/d");
      }
      const by = callers === 1 ? "one after the other" : `${callers} callers`;
      rows.push([`${what}, ${by}`, `${kilo(median(made))}/s`], ["  unlink", `${kilo(median(removed))}/s`]);
    }
  }
}

/** What the machine gives at the time: Node on ext4, and LevelDB alone. */
async function floors(data: Buffer): Promise<void> {
  const directory = `${at.path}/host`;
  mkdirSync(directory);
  const made = await rate(1, (i) => host.writeFile(`${directory}/file${i}`, data));
  const removed = await rate(1, (i) => host.unlink(`${directory}/file${i}`));
  rows.push(["writeFile of Node on ext4", `${kilo(made)}/s`], ["  unlink", `${kilo(removed)}/s`]);
  await using kv = await Kv.open(`${at.path}/kv`, { create: true });
  const value = data.subarray(0, 60);
  const batches = await rate(1, (i) =>
    kv.write(["a", "b", "c"].map((k) => ({ type: "put", key: Buffer.from(k + i), value }))),
  );
  rows.push(["a batch of three records of LevelDB", `${kilo(batches)}/s`]);
}

/** Files per second. */
async function rate(callers: number, call: (i: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < SMALL_FILES) await call(next++);
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return SMALL_FILES / ((performance.now() - began) / 1000);
}

async function churn(): Promise<void> {
  await using view = await container("churn");
  const { promises } = view;
  const data = piece(0, SMALL_BYTES);
  await promises.mkdir("/d");
  const memory = memorySamples();
  for (let i = 0; i < CHURN; i++) {
    await promises.writeFile(`/d/file${i}`, data);
    await promises.unlink(`/d/file${i}`);
    memory.sample();
  }
  rows.push([`${CHURN} files made and removed`, memory.growth()]);
  collect();
  const before = process.memoryUsage();
  for (let i = 0; i < SMALL_FILES; i++) await promises.writeFile(`/d/file${i}`, data);
  collect();
  const after = process.memoryUsage();
  const bytes = after.heapUsed + after.external - before.heapUsed - before.external;
  rows.push(["a changed entry, in memory", `${(bytes / SMALL_FILES).toFixed(0)} bytes`]);
}

async function random(): Promise<void> {
  await using view = await container("random");
  const handle = await view.promises.open("/file", "w");
  for (let at = 0; at < FILE_BYTES; at += 1 << 20) await handle.write(piece(at, 1 << 20));
  await status(context, { name: "random" });
  const began = performance.now();
  for (let i = 0; i < RANDOM_WRITES; i++)
    await handle.write(piece(i, SMALL_BYTES), 0, SMALL_BYTES, randomInt(FILE_BYTES / SMALL_BYTES) * SMALL_BYTES);
  rows.push(["4 KiB at random in 1 GiB", `${kilo(RANDOM_WRITES / ((performance.now() - began) / 1000))}/s`]);
  await handle.close();
  const folded = performance.now();
  await status(context, { name: "random" });
  const ms = performance.now() - folded;
  rows.push([
    "  folded",
    `${ms.toFixed(0)} ms, ${(ms / ((RANDOM_WRITES * SMALL_BYTES) / 2 ** 20)).toFixed(1)} ms per MiB written`,
  ]);
}

/** Of a directory in the upper, and of the same in the lower, while every tenth step removes one name and renames another. */
async function listing(): Promise<void> {
  await using view = await container("listing");
  await view.promises.mkdir("/d");
  let made = 0;
  const caller = async (): Promise<void> => {
    while (made < LISTED) await view.promises.mknod(`/d/file${made++}`, constants.S_IFIFO | 0o600);
  };
  await Promise.all(Array.from({ length: CALLERS * 32 }, caller));
  await commit(context, { name: "listing", layer: "listed" });
  await clone(context, { ref: "listed", names: ["relisted"], noLxc: true });
  await list(view, "upper");
  await using lower = await openContainer(context, { name: "relisted" });
  await list(lower, "lower");
}

async function list({ promises }: Awaited<ReturnType<typeof openContainer>>, where: string): Promise<void> {
  const directory = await promises.opendir("/d");
  await directory.read();
  collect();
  const before = process.memoryUsage().heapUsed;
  let [steps, inSteps, peak] = [1, 0, 0];
  for (let more = true; more; steps++) {
    const began = performance.now();
    more = (await directory.read()) !== null;
    inSteps += performance.now() - began;
    if (steps % 10 === 0) {
      await promises.unlink(`/d/file${LISTED - steps}`);
      await promises.rename(`/d/file${(steps + 1) % LISTED}`, `/d/renamed${steps}`);
    }
    if (steps % (LISTED / 10) !== 0) continue;
    collect();
    peak = Math.max(peak, process.memoryUsage().heapUsed - before);
  }
  const each = `${((inSteps * 1000) / steps).toFixed(1)} µs a step`;
  rows.push([
    `listing ${steps - 2} of the ${where} while they change`,
    `${each}, heap at most ${megabytes(peak)} more`,
  ]);
}

function piece(at: number, bytes: number): Buffer {
  const from = (at * 7919) % (noise.length - bytes);
  return noise.subarray(from, from + bytes);
}

function speed(bytes: number, began: number): string {
  return `${(bytes / 1e6 / ((performance.now() - began) / 1000)).toFixed(0)} MB/s`;
}

function kilo(perSecond: number): string {
  return `${(perSecond / 1000).toFixed(1)} k`;
}

/** RSS now and then. */
function memorySamples(): { readonly sample: () => void; readonly growth: () => string } {
  const first = process.memoryUsage.rss();
  let peak = first;
  let calls = 0;
  return {
    sample: () => {
      if (calls++ % 64 === 0) peak = Math.max(peak, process.memoryUsage.rss());
    },
    growth: () => `RSS ${megabytes(first)}, at most ${megabytes(peak - first)} more`,
  };
}
