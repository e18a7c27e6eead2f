/**
 * How fast one process writes into a container, and what that takes of memory: files of 1 GiB, many small files, random
 * writes, folding all that to a tree, and listings while names change. Run: npm run bench -- writes
 */
import { constants, mkdirSync, promises as host, rmdirSync } from "node:fs";
import { randomFillSync, randomInt } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { clone, commit, importLayer, openContainer, status, Store } from "../src/index.ts";
import { Kv } from "../src/kv/kv.ts";
import { benchDirectory, report, Samples, sized, timed } from "./support.ts";

const FILE_BYTES = sized(2 ** 30, 2 ** 26);
const SMALL_BYTES = 4096;
const SMALL_FILES = sized(20_000, 1000);
const CALLERS = 8;
const ROUNDS = sized(3, 1);
const CHURN = sized(200_000, 1000);
const RANDOM_WRITES = sized(20_000, 500);
const LISTED = sized(100_000, 2000);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

await using at = await benchDirectory(26_000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
mkdirSync(`${at.path}/base`);
await importLayer(context, { source: `${at.path}/base`, name: "base" });
/** No two pieces of it that begin at different places are the same, nor compress. */
const noise = randomFillSync(Buffer.alloc(8 << 20));
const samples = new Samples();

for (let round = 0; round < ROUNDS; round++) await large(round);
await small();
await churn();
for (let round = 0; round < ROUNDS; round++) await random(round);
await listing();
await report("Writing into a container, by one process", samples.figures);

async function container(name: string): ReturnType<typeof openContainer> {
  await clone(context, { ref: "base", names: [name], noLxc: true });
  return await openContainer(context, { name });
}

async function large(round: number): Promise<void> {
  const megabytes = FILE_BYTES / 1e6;
  // Nothing of it is stored already.
  const first = round * FILE_BYTES;
  for (const [label, pieceBytes] of [
    ["1 MiB", 1 << 20],
    ["64 KiB", 1 << 16],
  ] as const) {
    const name = `large-${pieceBytes}-${round}`;
    await using view = await container(name);
    const handle = await view.promises.open("/file", "w");
    const memory = memorySamples();
    const written = await timed(async () => {
      for (let at = 0; at < FILE_BYTES; at += pieceBytes) {
        await handle.write(piece(first + at, pieceBytes));
        memory.sample();
      }
      await handle.close();
    });
    samples.add({ what: "a large file", who: `delta0, in writes of ${label}`, unit: "MB/s" }, megabytes / written);
    const folded = await timed(() => status(context, { name }));
    samples.add({ what: "a large file", who: "delta0, folded to a tree then", unit: "MB/s" }, megabytes / folded);
    samples.add({ what: "growth of RSS", who: `delta0, by writes of ${label}`, unit: "bytes" }, memory.growth());
  }
  await using view = await container(`large-stream-${round}`);
  const handle = await view.promises.open("/file", "w");
  const memory = memorySamples();
  const pieces = function* (): Generator<Buffer> {
    for (let at = 0; at < FILE_BYTES; at += 1 << 16) {
      yield piece(first + at, 1 << 16);
      memory.sample();
    }
  };
  const streamed = await timed(() => pipeline(pieces, handle.createWriteStream()));
  const who = "delta0, a stream of pieces of 64 KiB";
  samples.add({ what: "a large file", who, unit: "MB/s" }, megabytes / streamed);
  samples.add({ what: "growth of RSS", who, unit: "bytes" }, memory.growth());
}

async function small(): Promise<void> {
  await using view = await container("small");
  const { promises } = view;
  const data = piece(0, SMALL_BYTES);
  const write = (path: string): Promise<void> => promises.writeFile(path, data);
  const through = async (path: string): Promise<void> => {
    const handle = await promises.open(path, "w");
    await handle.write(data);
    await handle.close();
  };
  const making = { what: "files of 4 KiB made", unit: "/s" } as const;
  const removing = { what: "files removed", unit: "/s" } as const;
  await using kv = await Kv.open(`${at.path}/kv`, { create: true });
  for (let round = 0; round < ROUNDS; round++) {
    await floors(kv, data, round);
    for (const [call, make] of [
      ["writeFile", write],
      ["open, write, close", through],
    ] as const)
      for (const callers of [1, CALLERS]) {
        const by = callers === 1 ? "one after the other" : `${callers} callers`;
        await promises.mkdir("/d");
        samples.add({ ...making, who: `delta0, ${call}, ${by}` }, await rate(callers, (i) => make(`/d/file${i}`)));
        const removed = await rate(callers, (i) => promises.unlink(`/d/file${i}`));
        samples.add({ ...removing, who: `delta0, ${by}` }, removed);
        await promises.rmdir("/d");
      }
  }

  /** What the machine gives at the time: Node on ext4, and LevelDB alone. */
  async function floors(kv: Kv, data: Buffer, round: number): Promise<void> {
    const value = data.subarray(0, 60);
    const batches = await rate(1, (i) =>
      kv.write(["a", "b", "c"].map((k) => ({ type: "put", key: Buffer.from(`${k}${round}-${i}`), value }))),
    );
    samples.add({ ...making, who: "floor: a batch of three records of LevelDB" }, batches);
    const directory = `${at.path}/host`;
    mkdirSync(directory);
    const made = await rate(1, (i) => host.writeFile(`${directory}/file${i}`, data));
    samples.add({ ...making, who: "writeFile of Node on ext4" }, made);
    const removed = await rate(1, (i) => host.unlink(`${directory}/file${i}`));
    samples.add({ ...removing, who: "unlink of Node on ext4" }, removed);
    rmdirSync(directory);
  }
}

/** Files per second. */
async function rate(callers: number, call: (i: number) => Promise<void>): Promise<number> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < SMALL_FILES) await call(next++);
  };
  return SMALL_FILES / (await timed(() => Promise.all(Array.from({ length: callers }, caller))));
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
  const who = `delta0, by ${CHURN} files made and removed`;
  samples.add({ what: "growth of RSS", who, unit: "bytes" }, memory.growth());
  collect();
  const before = process.memoryUsage();
  for (let i = 0; i < SMALL_FILES; i++) await promises.writeFile(`/d/file${i}`, data);
  collect();
  const after = process.memoryUsage();
  const bytes = after.heapUsed + after.external - before.heapUsed - before.external;
  samples.add({ what: "memory of a changed entry", who: "delta0", unit: "bytes" }, bytes / SMALL_FILES);
}

async function random(round: number): Promise<void> {
  const name = `random-${round}`;
  await using view = await container(name);
  const handle = await view.promises.open("/file", "w");
  for (let at = 0; at < FILE_BYTES; at += 1 << 20) await handle.write(piece(at, 1 << 20));
  await status(context, { name });
  const written = await timed(async () => {
    for (let i = 0; i < RANDOM_WRITES; i++)
      await handle.write(
        piece(i * SMALL_BYTES, SMALL_BYTES),
        0,
        SMALL_BYTES,
        randomInt(FILE_BYTES / SMALL_BYTES) * SMALL_BYTES,
      );
  });
  const what = "writes of 4 KiB at random into a large file";
  samples.add({ what, who: "delta0", unit: "/s" }, RANDOM_WRITES / written);
  await handle.close();
  const folded = await timed(() => status(context, { name }));
  samples.add({ what, who: "delta0, folded to a tree then", unit: "/s" }, RANDOM_WRITES / folded);
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
  const part = LISTED / 10;
  let [steps, inSteps, peak] = [1, 0, 0];
  for (let more = true; more; steps++) {
    const began = performance.now();
    more = (await directory.read()) !== null;
    inSteps += (performance.now() - began) / 1000;
    if (steps % 10 === 0) {
      await promises.unlink(`/d/file${LISTED - steps}`);
      await promises.rename(`/d/file${(steps + 1) % LISTED}`, `/d/renamed${steps}`);
    }
    if (steps % part !== 0) continue;
    collect();
    peak = Math.max(peak, process.memoryUsage().heapUsed - before);
    const what = `a step of a listing of ${LISTED} names while they change`;
    samples.add({ what, who: `delta0, of the ${where}`, unit: "s" }, inSteps / part);
    inSteps = 0;
  }
  samples.add({ what: "growth of the heap by the listing", who: `delta0, of the ${where}`, unit: "bytes" }, peak);
}

/** What is written at a place; for places of 3 GiB in steps of its size, no chunk of it comes twice. */
function piece(at: number, bytes: number): Buffer {
  const from = ((at / SMALL_BYTES) * 104_729) % (noise.length - bytes);
  return noise.subarray(from, from + bytes);
}

/** RSS now and then, in bytes. */
function memorySamples(): { readonly sample: () => void; readonly growth: () => number } {
  const first = process.memoryUsage.rss();
  let peak = first;
  let calls = 0;
  return {
    sample: () => {
      if (calls++ % 64 === 0) peak = Math.max(peak, process.memoryUsage.rss());
    },
    growth: () => peak - first,
  };
}
