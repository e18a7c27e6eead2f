/**
 * How fast 4 KiB at a time are written at random into a file of 1 GiB that the lower has, and what that takes of disk: in a view, and beside it by
 * Node on ext4 (the floor) and on the kernel's overlay, which copies the file up first. Run: npm run bench -- random-write
 */
import { randomFillSync, randomInt } from "node:crypto";
import { closeSync, copyFileSync, mkdirSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { isRoot, run } from "../test/support/run.ts";
import { benchDirectory, built, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = 3;
const FILE_BYTES = sized(2 ** 30, 2 ** 26);
const WRITES = sized(20_000, 2000);
const WRITE_BYTES = 4096;

const { clone, importLayer, openContainer, status, Store } = await built();
await using at = await benchDirectory(sized(8000, 1000));
const lower = `${at.path}/lower`;
makeLower();
const store = `${at.path}/store`;
{
  await using opened = await Store.open(store, { create: true });
  await importLayer({ store: opened, command: "bench" }, { source: lower, name: "base" });
}

const noise = randomFillSync(Buffer.alloc(8 << 20));
const samples = new Samples();
for (let round = 0; round < ROUNDS; round++) {
  await view(`c${round}`);
  await ext4();
  if (isRoot()) await kernelOverlay();
}
await report(`${WRITES} writes of 4 KiB at random in a file of 1 GiB`, samples.figures);

async function view(name: string): Promise<void> {
  const who = "delta0";
  const before = await usedBytes(store);
  await using opened = await Store.open(store);
  const context = { store: opened, command: "bench" };
  await clone(context, { ref: "base", names: [name], noLxc: true });
  {
    await using container = await openContainer(context, { name });
    await using handle = await container.promises.open("/file", "r+");
    await writeAll(who, (...write) => handle.write(...write));
    const sync = await timed(() => handle.sync());
    samples.add({ what: "sync after them", who, unit: "ms" }, sync * 1000);
  }
  samples.add({ what: "disk that they take", who, unit: "MB" }, ((await usedBytes(store)) - before) / 1e6);
  const freeze = await timed(() => status(context, { name }));
  samples.add({ what: "freeze to a tree", who, unit: "ms" }, freeze * 1000);
  const frozen = opened.chunks.stats().newStoredBytes;
  samples.add({ what: "chunks that the tree adds", who, unit: "MB" }, frozen / 1e6);
}

async function ext4(): Promise<void> {
  const path = `${at.path}/file`;
  copyFileSync(`${lower}/file`, path);
  await run("sync", ["-f", at.path]);
  const who = "floor: Node on ext4";
  await using handle = await open(path, "r+");
  await writeAll(who, (...write) => handle.write(...write));
  const sync = await timed(() => handle.sync());
  samples.add({ what: "sync after them", who, unit: "ms" }, sync * 1000);
  const fd = openSync(path, "r+");
  await writeAll("Node on ext4, synchronous calls", (...write) => Promise.resolve(writeSync(fd, ...write)));
  closeSync(fd);
}

async function kernelOverlay(): Promise<void> {
  const who = "kernel's overlay";
  for (const name of ["upper", "work", "merged"]) {
    rmSync(`${at.path}/${name}`, { recursive: true, force: true });
    mkdirSync(`${at.path}/${name}`);
  }
  const options = `lowerdir=${lower},upperdir=${at.path}/upper,workdir=${at.path}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${at.path}/merged`]);
  try {
    const began = performance.now();
    await using handle = await open(`${at.path}/merged/file`, "r+");
    samples.add({ what: "copy-up before them", who, unit: "ms" }, performance.now() - began);
    await writeAll(who, (...write) => handle.write(...write));
    const sync = await timed(() => handle.sync());
    samples.add({ what: "sync after them", who, unit: "ms" }, sync * 1000);
    samples.add({ what: "disk that they take", who, unit: "MB" }, (await usedBytes(`${at.path}/upper`)) / 1e6);
  } finally {
    await run("umount", [`${at.path}/merged`]);
  }
}

type Write = [bytes: Buffer, offset: number, length: number, position: number];

/** One after the other, each awaited. */
async function writeAll(who: string, write: (...write: Write) => Promise<unknown>): Promise<void> {
  const seconds = await timed(async () => {
    for (let i = 0; i < WRITES; i++) {
      const position = randomInt(FILE_BYTES / WRITE_BYTES) * WRITE_BYTES;
      await write(noise, (i * 7919) % (noise.length - WRITE_BYTES), WRITE_BYTES, position);
    }
  });
  samples.add({ what: "writes", who, unit: "/s" }, WRITES / seconds);
}

function makeLower(): void {
  mkdirSync(lower);
  const piece = Buffer.alloc(1 << 20);
  const fd = openSync(`${lower}/file`, "w");
  for (let written = 0; written < FILE_BYTES; written += piece.length) writeSync(fd, randomFillSync(piece));
  closeSync(fd);
}

async function usedBytes(directory: string): Promise<number> {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) return 0;
  return Number((await run("du", ["-s", "-B1", directory])).split("\t")[0]);
}
