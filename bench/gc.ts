/**
 * What a collection takes in a store of a million chunks: by how many are dead, and by whether they lie together or apart, so that
 * values are kept with a hole, or written anew. Run: npm run bench -- gc [CHUNKS]
 */
import { randomFillSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { gc, remove, Store } from "../src/index.ts";
import { layerDigest, timestamp } from "../src/containers/refs.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import { byteString } from "../src/model/name.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { benchDirectory, megabytes, reportText } from "./support.ts";

const CHUNKS = Number(process.argv[2] ?? 1_000_000);
/** As stored: random bytes. A file of one chunk each; a value holds about 200 of them. */
const CHUNK_BYTES = 600;
const FILES_OF_A_DIRECTORY = 1000;

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
{
  await using store = await Store.open(`${at.path}/store`, { create: true });
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

const rows: [string, string][] = [];
for (const [i, [what]] of LAYERS.entries()) {
  await using store = await Store.open(`${at.path}/store`);
  const context = { store, command: "bench" };
  if (what === "kept") break;
  await remove(context, { names: [`layer${i}`] });
  // Marking is all that a dry run does, but for reading the index.
  const dry = await measured(() => gc(context, { grace: "0", dryRun: true }));
  const wet = await measured(() => gc(context, { grace: "0" }));
  const { chunks } = wet.result;
  rows.push([
    `${what}: ${chunks.count} dead of ${chunks.count + chunks.kept}`,
    `${wet.seconds.toFixed(2)} s (to see it: ${dry.seconds.toFixed(2)}), ${chunks.values} values gone, ` +
      `${megabytes(chunks.movedBytes)} moved, ${megabytes(wet.writtenBytes)} written, at most ${megabytes(wet.peakBytes)} of memory`,
  ]);
}
reportText(`collection in a store of ${CHUNKS} chunks of ${CHUNK_BYTES} bytes`, rows);

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
