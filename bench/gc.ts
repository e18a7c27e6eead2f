/**
 * What a collection takes in a store of a million chunks: by how many are dead, and by whether they lie together or apart, so that
 * values are kept with a hole, or written anew. Run: npm run bench -- gc
 */
import { randomFillSync } from "node:crypto";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gc, remove, Store } from "../src/index.ts";
import { layerDigest, timestamp } from "../src/containers/refs.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import { byteString } from "../src/model/name.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { benchDirectory, report, Samples, sized } from "./support.ts";

const CHUNKS = sized(1_000_000, 20_000);
/** As stored: random bytes. A file of one chunk each; a value holds about 200 of them. */
const CHUNK_BYTES = 600;
const FILES_OF_A_DIRECTORY = 1000;
const ROUNDS = sized(3, 1);

/** Layers by which of the files, in the order that they were stored in, each holds; of a thousand. */
const LAYERS: readonly (readonly [name: string, holds: (index: number) => boolean])[] = [
  ["1% together", (index) => within(index, 0, 0.01)],
  ["10% together", (index) => within(index, 0.01, 0.11)],
  ["30% together", (index) => within(index, 0.11, 0.41)],
  ["1% apart", (index) => within(index, 0.41, 1) && index % 59 === 0],
  ["10% apart", (index) => within(index, 0.41, 1) && index % 59 >= 1 && index % 59 <= 10],
  [
    "25% apart, so that values are mostly dead",
    (index) => within(index, 0.41, 1) && index % 59 >= 11 && index % 59 <= 35,
  ],
  ["kept", (index) => within(index, 0.41, 1) && index % 59 > 35],
];

await using at = await benchDirectory(8000);
await fill(`${at.path}/full`);
const samples = new Samples();
const notes: string[] = [];
for (let round = 0; round < ROUNDS; round++) {
  rmSync(`${at.path}/store`, { recursive: true, force: true });
  cpSync(`${at.path}/full`, `${at.path}/store`, { recursive: true });
  for (const [i, [what]] of LAYERS.slice(0, -1).entries()) {
    await using store = await Store.open(`${at.path}/store`);
    const context = { store, command: "bench" };
    await remove(context, { names: [`layer${i}`] });
    const of = { what: `collecting, dead are ${what}` };
    // Marking is all that a dry run does, but for reading the index.
    const dry = await measured(() => gc(context, { grace: "0", dryRun: true }));
    const wet = await measured(() => gc(context, { grace: "0" }));
    const { count, values, movedBytes } = wet.result.chunks;
    samples.add({ ...of, who: "delta0, to see it (--dry-run)", unit: "s" }, dry.seconds);
    samples.add({ ...of, who: "delta0", unit: "s" }, wet.seconds);
    const beyond = { what: "beyond seeing it, for each 1000 dead chunks", who: `delta0, ${what}`, unit: "s" } as const;
    samples.add(beyond, ((wet.seconds - dry.seconds) / count) * 1000);
    samples.add({ what: "written by collecting", who: `delta0, ${what}`, unit: "bytes" }, wet.writtenBytes);
    samples.add({ what: "moved by collecting", who: `delta0, ${what}`, unit: "bytes" }, movedBytes);
    samples.add({ what: "memory at most while collecting", who: `delta0, ${what}`, unit: "bytes" }, wet.peakBytes);
    if (round === 0) notes.push(`${what}: ${count} dead chunks, ${values} values gone`);
  }
}
await report(`Collecting in a store of ${CHUNKS} chunks of ${CHUNK_BYTES} bytes`, samples.figures, notes);

async function fill(path: string): Promise<void> {
  await using store = await Store.open(path, { create: true });
  using _operation = store.begin();
  const builders = LAYERS.map(() => new TreeBuilder(store.trees));
  const writer = store.content.writer();
  const bytes = Buffer.alloc(CHUNK_BYTES);
  for (let i = 0; i < CHUNKS; i++) {
    const pressure = writer.write(randomFillSync(bytes));
    if (pressure !== undefined) await pressure;
    const path = byteString(Buffer.from(`${Math.floor(i / FILES_OF_A_DIRECTORY)}/${i}`));
    const of = LAYERS.findIndex(([, holds]) => holds(i));
    builders[of]?.apply({ kind: "put", path, node: { type: "file", ...IMPLIED_DIRECTORY, content: writer.end() } });
  }
  for (const [i, [,]] of LAYERS.entries()) {
    const tree = builders[i]!.finish().digest;
    const layer = { tree, parent: null, created: timestamp(), message: "", source: "bench" };
    const after = { type: "layer", layer: layerDigest(layer) } as const;
    await store.change({ command: "bench" }, [{ name: `layer${i}`, before: null, after }], [layer]);
  }
}

function within(index: number, from: number, to: number): boolean {
  return index >= from * CHUNKS && index < to * CHUNKS;
}

interface Cost<T> {
  readonly result: T;
  readonly seconds: number;
  readonly writtenBytes: number;
  readonly peakBytes: number;
}

async function measured<T>(work: () => Promise<T>): Promise<Cost<T>> {
  // From now on the peak is counted anew: proc(5), clear_refs.
  writeFileSync("/proc/self/clear_refs", "5");
  const written = numberIn("/proc/self/io", /^wchar: (\d+)/m);
  const began = performance.now();
  const result = await work();
  return {
    result,
    seconds: (performance.now() - began) / 1000,
    writtenBytes: numberIn("/proc/self/io", /^wchar: (\d+)/m) - written,
    peakBytes: numberIn("/proc/self/status", /^VmHWM:\s+(\d+) kB/m) * 1024,
  };
}

function numberIn(file: string, pattern: RegExp): number {
  return Number(pattern.exec(readFileSync(file, "latin1"))?.[1]);
}
