/**
 * How fast files of 1 GiB are read in a view, verified: 4 KiB at random where the chunks fit the cache and where not, and in
 * order. One file is of random bytes, one of text that zstd gets down to a third. Run: npm run bench -- reads
 */
import { randomFillSync } from "node:crypto";
import { Store } from "../src/index.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import type { Content } from "../src/model/node.ts";
import { TreeView } from "../src/overlay/tree-view.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { benchDirectory, median, megabytes, reportText } from "./support.ts";

const FILE_BYTES = 2 ** 30;
/** Of a cache of 64 MiB. */
const FITTING_BYTES = 48 * 2 ** 20;
const READ_BYTES = 4096;
const PARTS = 9;

await using at = await benchDirectory(4000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const builder = new TreeBuilder(store.trees, undefined);
const piece = Buffer.alloc(1 << 20);
for (const [name, fill] of [
  ["random", () => randomFillSync(piece)],
  ["text", () => piece.fill(sentences())],
] as const) {
  const content = await write(fill);
  builder.apply({ kind: "put", path: name, node: { type: "file", ...IMPLIED_DIRECTORY, content } });
}
const { digest } = builder.finish();
await store.change({ command: "bench" }, []);

const rows: [string, string][] = [];
const view = TreeView.of(store.lowers.get(digest), store.blocks);
const buffer = Buffer.alloc(READ_BYTES);
for (const name of ["random", "text"]) {
  const fd = view.openSync(`/${name}`);
  const before = process.memoryUsage.rss();
  inOrder(fd, FITTING_BYTES);
  rows.push([`${name}: 4 KiB at random in ${megabytes(FITTING_BYTES)}`, atRandom(fd, FITTING_BYTES, 180_000)]);
  rows.push([`${name}: 4 KiB at random in 1 GiB`, atRandom(fd, FILE_BYTES, 90_000)]);
  rows.push([`${name}: in order`, inOrder(fd, FILE_BYTES)]);
  rows.push([`${name}: growth of RSS`, megabytes(process.memoryUsage.rss() - before)]);
  view.closeSync(fd);
}
reportText("reading files of a view", rows);

/** The median of several parts, and the best: others use this machine. */
function atRandom(fd: number, bytes: number, reads: number): string {
  const rates: number[] = [];
  for (let part = 0; part < PARTS; part++) {
    const began = performance.now();
    for (let i = 0; i < reads / PARTS; i++)
      view.readSync(fd, buffer, 0, READ_BYTES, Math.floor(Math.random() * (bytes / READ_BYTES)) * READ_BYTES);
    rates.push(reads / PARTS / (performance.now() - began));
  }
  return `${median(rates).toFixed(1)} k/s, at best ${Math.max(...rates).toFixed(1)}`;
}

function inOrder(fd: number, bytes: number): string {
  const large = Buffer.alloc(1 << 20);
  const began = performance.now();
  for (let position = 0; position < bytes; position += large.length)
    view.readSync(fd, large, 0, large.length, position);
  return `${(bytes / 1e9 / ((performance.now() - began) / 1000)).toFixed(2)} GB/s`;
}

async function write(fill: () => unknown): Promise<Content> {
  const writer = store.content.writer();
  for (let written = 0; written < FILE_BYTES; written += piece.length) {
    fill();
    await writer.write(piece);
  }
  return writer.end();
}

/** A megabyte that zstd gets down to a third, each time another. */
function sentences(): string {
  const words = Array.from({ length: 44_000 }, () => Math.random().toString(36).slice(2, 12));
  return words.join(" configuration ").slice(0, 1 << 20);
}
