/**
 * How fast a file of 1 GiB is read in order from the store, each chunk verified, all in the page cache; and what BLAKE3 and zstd alone take of the
 * same bytes, in the same pieces. The floor is Node on ext4. Run: npm run bench -- verified-read
 */
import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { Store } from "../src/index.ts";
import { importLayer } from "../src/operations/import.ts";
import { openView } from "../src/operations/view.ts";
import { digestBytesOf } from "../src/format/blake3.ts";
import { BLOCK_BYTES } from "../src/model/node.ts";
import { compress, decompress } from "../src/sys/zstd.ts";
import { benchDirectory, median, report, Samples, sized } from "./support.ts";

const FILE_BYTES = sized(2 ** 30, 2 ** 26);
const READ_BYTES = 1 << 20;
/** What BLAKE3 and zstd take alone, again and again: no cache of the processor holds it. */
const PART_BYTES = 64 * 2 ** 20;
const ROUNDS = sized(7, 2);
const LEVEL = 3;

interface Kind {
  readonly name: string;
  readonly fill: (piece: Buffer) => void;
  /** Whether chunks of it are stored compressed. */
  readonly isCompressed: boolean;
}
const KINDS: readonly Kind[] = [
  { name: "random bytes", fill: (piece) => void randomFillSync(piece), isCompressed: false },
  { name: "text, a third of it stored", fill: (piece) => void piece.write(sentences()), isCompressed: true },
];

await using at = await benchDirectory(sized(6000, 1000));
const source = `${at.path}/source`;
mkdirSync(source);
const piece = Buffer.alloc(READ_BYTES);
for (const [i, { fill }] of KINDS.entries()) {
  const fd = openSync(`${source}/${i}`, "w");
  for (let written = 0; written < FILE_BYTES; written += piece.length) {
    fill(piece);
    writeSync(fd, piece);
  }
  closeSync(fd);
}
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
await importLayer(context, { source, name: "base" });
const view = await openView(context, { ref: "base" });

const samples = new Samples();
const notes: string[] = [];
for (const [i, kind] of KINDS.entries()) notes.push(await compare(kind, i));
await report("reading a file of 1 GiB in order, verified", samples.figures, notes);

/** @returns what of our time is whose */
async function compare({ name, isCompressed }: Kind, i: number): Promise<string> {
  const opened = view.openSync(`/${i}`);
  const fd = openSync(`${source}/${i}`, "r");
  const part = Buffer.alloc(PART_BYTES);
  readSync(fd, part);
  const blocks = Array.from({ length: PART_BYTES / BLOCK_BYTES }, (_, n) =>
    part.subarray(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES),
  );
  const frames = blocks.map((block) => compress(block, LEVEL).slice());
  const plain = new Uint8Array(BLOCK_BYTES);
  /** Those of a read. */
  const each = <T>(list: readonly T[], position: number, work: (one: T) => unknown): void => {
    const first = (position % PART_BYTES) / BLOCK_BYTES;
    for (let n = first; n < first + READ_BYTES / BLOCK_BYTES; n++) work(list[n]!);
  };
  const ways: [who: string, way: (position: number) => unknown][] = [
    ["delta0", (position) => view.readSync(opened, piece, 0, READ_BYTES, position)],
    ["floor: Node on ext4", (position) => readSync(fd, piece, 0, READ_BYTES, position)],
    ["BLAKE3 alone", (position) => each(blocks, position, digestBytesOf)],
  ];
  if (isCompressed)
    ways.push(["zstd alone", (position) => each(frames, position, (frame) => decompress(frame, BLOCK_BYTES, plain))]);
  const seconds = new Map<string, number[]>(ways.map(([who]) => [who, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [who, way] of ways) {
      const began = performance.now();
      for (let position = 0; position < FILE_BYTES; position += READ_BYTES) way(position);
      const took = (performance.now() - began) / 1000;
      seconds.get(who)?.push(took);
      samples.add({ what: name, who, unit: "MB/s" }, FILE_BYTES / 1e6 / took);
    }
  }
  view.closeSync(opened);
  closeSync(fd);
  const of = (who: string): number => median(seconds.get(who) ?? []) / median(seconds.get("delta0") ?? []);
  const shares = ways
    .filter(([who]) => who.endsWith("alone"))
    .map(([who]) => `${who.replace(" alone", "")} ${(of(who) * 100).toFixed(0)} %`);
  return `of the time that delta0 takes for ${name}: ${shares.join(", ")}`;
}

/** A megabyte that zstd gets down to a third, each time another. */
function sentences(): string {
  const words = Array.from({ length: 44_000 }, () => Math.random().toString(36).slice(2, 12));
  return words.join(" configuration ").slice(0, READ_BYTES);
}
