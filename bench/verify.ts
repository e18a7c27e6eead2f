/**
 * How long `fsck` takes of a store with a real root filesystem, quick and deep, as a command from start to end. The floors are what cannot
 * be left out, in one thread: reading the files of chunks/, and BLAKE3 of what they hold, unpacked. Run: npm run bench -- verify
 */
import { readdirSync, readFileSync } from "node:fs";
import { digestBytesOf } from "../src/format/blake3.ts";
import { Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, median, megabytes, reportText } from "./support.ts";

const ROUNDS = 5;

await using at = await benchDirectory(2000);
const directory = `${at.path}/store`;
delta0(directory, ["import", await rootfsTar("bookworm-large"), "base"]);
const { storedBytes, plainBytes, chunks } = await usage();

const rows: [string, string][] = [
  ["chunks", `${chunks}: ${megabytes(storedBytes)}, ${megabytes(plainBytes)} unpacked`],
  ["floor: read chunks/", best(() => files().forEach((file) => readFileSync(file)))],
  ["floor: BLAKE3 of as many bytes as are unpacked", best(hashAsMany)],
];
for (const [what, args] of [
  ["fsck", ["fsck"]],
  ["fsck --deep", ["fsck", "--deep"]],
  ["fsck --deep base", ["fsck", "--deep", "base"]],
] as const) {
  const runs = Array.from({ length: ROUNDS }, () => delta0(directory, args));
  const seconds = runs.map((run) => run.seconds);
  const peak = Math.max(...runs.map((run) => run.peakRssBytes));
  rows.push([what, `${Math.min(...seconds).toFixed(2)} s, median ${median(seconds).toFixed(2)}, ${megabytes(peak)}`]);
}
reportText("checking a store", rows);

async function usage(): Promise<{ storedBytes: number; plainBytes: number; chunks: number }> {
  await using store = await Store.open(directory);
  return await store.usage();
}

function files(): string[] {
  return readdirSync(`${directory}/chunks`)
    .filter((name) => name.endsWith(".ldb"))
    .map((name) => `${directory}/chunks/${name}`);
}

function hashAsMany(): void {
  const block = Buffer.alloc(128 * 1024, "as many bytes");
  for (let done = 0; done < plainBytes; done += block.length) digestBytesOf(block);
}

function best(work: () => void): string {
  const times = Array.from({ length: ROUNDS }, () => {
    const began = performance.now();
    work();
    return (performance.now() - began) / 1000;
  });
  return `${Math.min(...times).toFixed(2)} s, median ${median(times).toFixed(2)}`;
}
