/**
 * How long `fsck` takes of a store with a real root filesystem, quick and deep, as a command from start to end. The floors are what cannot
 * be left out, in one thread: reading the files of chunks/, and BLAKE3 of what they hold, unpacked. Run: npm run bench -- verify
 */
import { readdirSync, readFileSync } from "node:fs";
import { digestBytesOf } from "../src/format/blake3.ts";
import { Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, megabytes, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = sized(5, 1);
const COMMANDS = [["fsck"], ["fsck", "--deep"], ["fsck", "--deep", "base"]];

await using at = await benchDirectory(2000);
const directory = `${at.path}/store`;
delta0(directory, ["import", await rootfsTar("bookworm-large"), "base"]);
const { storedBytes, plainBytes, chunks } = await usage();

const samples = new Samples();
const time = { what: "checking a store", unit: "s" } as const;
for (let round = 0; round < ROUNDS; round++) {
  samples.add({ ...time, who: "floor: read chunks/" }, await timed(readChunks));
  samples.add({ ...time, who: "floor: BLAKE3 of as much as is unpacked" }, await timed(hashAsMany));
  for (const args of COMMANDS) {
    const who = `delta0 ${args.join(" ")}`;
    const { seconds, cpuSeconds, peakRssBytes } = delta0(directory, args);
    samples.add({ ...time, who }, seconds);
    samples.add({ what: "CPU of checking a store", who, unit: "s" }, cpuSeconds);
    samples.add({ what: "peak memory of checking a store", who, unit: "bytes" }, peakRssBytes);
  }
}
await report("Checking a store", samples.figures, [
  `${chunks} chunks: ${megabytes(storedBytes)}, ${megabytes(plainBytes)} unpacked`,
]);

async function usage(): Promise<{ storedBytes: number; plainBytes: number; chunks: number }> {
  await using store = await Store.open(directory);
  return await store.usage();
}

function readChunks(): void {
  for (const name of readdirSync(`${directory}/chunks`))
    if (name.endsWith(".ldb")) readFileSync(`${directory}/chunks/${name}`);
}

function hashAsMany(): void {
  const block = Buffer.alloc(128 * 1024, "as many bytes");
  for (let done = 0; done < plainBytes; done += block.length) digestBytesOf(block);
}
