/**
 * How fast 4 KiB at random are read in files of 1 GiB of a view, verified, where the chunks fit the cache and where not, beside the kernel's
 * reads of the same file on ext4. One file is of random bytes, one of text that zstd gets down to a third; in order: verified-read.
 * Run: npm run bench -- reads
 */
import { randomFillSync } from "node:crypto";
import { appendFileSync, closeSync, openSync, readSync } from "node:fs";
import { Store } from "../src/index.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import type { Content } from "../src/model/node.ts";
import { TreeView } from "../src/overlay/tree-view.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { benchDirectory, megabytes, report, Samples, sized, timed } from "./support.ts";

const FILE_BYTES = sized(2 ** 30, 2 ** 27);
/** Of a cache of 64 MiB. */
const FITTING_BYTES = 48 * 2 ** 20;
const READ_BYTES = 4096;
const PARTS = 9;

await using at = await benchDirectory(6000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const builder = new TreeBuilder(store.trees, undefined);
const piece = Buffer.alloc(1 << 20);
for (const [name, fill] of [
  ["random", () => randomFillSync(piece)],
  ["text", () => piece.fill(sentences())],
] as const) {
  const content = await write(fill, `${at.path}/${name}`);
  builder.apply({ kind: "put", path: name, node: { type: "file", ...IMPLIED_DIRECTORY, content } });
}
const { digest } = builder.finish();
await store.change({ command: "bench" }, []);

const samples = new Samples();
const view = TreeView.of(store.lowers.get(digest), store.blocks);
const buffer = Buffer.alloc(READ_BYTES);
const large = Buffer.alloc(1 << 20);
for (const name of ["random", "text"]) {
  const fd = view.openSync(`/${name}`);
  const before = process.memoryUsage.rss();
  const ours = (to: Buffer, at: number): unknown => view.readSync(fd, to, 0, to.length, at);
  const plain = openSync(`${at.path}/${name}`, "r");
  const kernels = (to: Buffer, at: number): unknown => readSync(plain, to, 0, to.length, at);
  const ofAll = `4 KiB at random in ${megabytes(FILE_BYTES)} of ${name}`;
  const ofCached = `4 KiB at random in ${megabytes(FITTING_BYTES)} of ${name}, in the cache`;
  for (let position = 0; position < FITTING_BYTES; position += large.length) ours(large, position);
  for (let part = 0; part < PARTS; part++) {
    samples.add({ what: ofCached, who: "delta0", unit: "/s" }, await atRandom(ours, FITTING_BYTES, 20_000));
    samples.add({ what: ofAll, who: "delta0", unit: "/s" }, await atRandom(ours, FILE_BYTES, 10_000));
    samples.add({ what: ofAll, who: "floor: read of ext4", unit: "/s" }, await atRandom(kernels, FILE_BYTES, 10_000));
  }
  const grown = Math.max(0, process.memoryUsage.rss() - before);
  samples.add({ what: `growth of RSS by ${name}`, who: "delta0", unit: "bytes" }, grown);
  view.closeSync(fd);
  closeSync(plain);
}
await report("Reading files of a view, verified", samples.figures);

type Read = (to: Buffer, at: number) => unknown;

async function atRandom(read: Read, bytes: number, reads: number): Promise<number> {
  const seconds = await timed(() => {
    for (let i = 0; i < reads; i++) read(buffer, Math.floor(Math.random() * (bytes / READ_BYTES)) * READ_BYTES);
  });
  return reads / seconds;
}

async function write(fill: () => unknown, plain: string): Promise<Content> {
  const writer = store.content.writer();
  for (let written = 0; written < FILE_BYTES; written += piece.length) {
    fill();
    appendFileSync(plain, piece);
    await writer.write(piece);
  }
  return writer.end();
}

/** A megabyte that zstd gets down to a third, each time another. */
function sentences(): string {
  const words = Array.from({ length: 44_000 }, () => Math.random().toString(36).slice(2, 12));
  return words.join(" configuration ").slice(0, 1 << 20);
}
