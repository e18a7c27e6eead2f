/**
 * What changing a large file of the lower takes, and renaming a large directory of it: beside the kernel's overlay over the
 * same lower. Run: npm run bench -- copy-up
 */
import { spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { clone, importLayer, openContainer, status, Store } from "../src/index.ts";
import { Kv } from "../src/kv/kv.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, report, Samples, sized, timed } from "./support.ts";

const FILE_BYTES = sized(2 ** 30, 2 ** 26);
const MANY = sized(10_000, 100);
const ROUNDS = sized(5, 1);
/** The kernel copies a gigabyte each time. */
const KERNEL_ROUNDS = sized(3, 1);

type View = Awaited<ReturnType<typeof openContainer>>;
interface Change {
  readonly what: string;
  /** @param byte another one in each round: none is stored already */
  readonly ours: (view: View, byte: string) => Promise<void>;
  readonly kernels: (merged: string) => void;
}

const CHANGES: readonly Change[] = [
  {
    what: "1 byte appended to a file of 1 GiB",
    ours: (view, byte) => view.promises.appendFile("/large", byte),
    kernels: (merged) => write(`${merged}/large`, "a", null),
  },
  {
    what: "1 byte written into the middle of it",
    ours: async (view, byte) => {
      await using handle = await view.promises.open("/large", "r+");
      await handle.write(byte, FILE_BYTES / 2);
    },
    kernels: (merged) => write(`${merged}/large`, "r+", FILE_BYTES / 2),
  },
  {
    what: "chmod of it",
    ours: (view) => view.promises.chmod("/large", 0o600),
    kernels: (merged) => chmodSync(`${merged}/large`, 0o600),
  },
  {
    what: `a directory of ${MANY} files renamed`,
    ours: (view) => view.promises.rename("/many", "/renamed"),
    kernels: (merged) => renameOrMove(`${merged}/many`, `${merged}/renamed`),
  },
];

await using at = await benchDirectory(9000);
const lower = `${at.path}/lower`;
makeLower();
const store = `${at.path}/store`;
await withStore((context) => importLayer(context, { source: lower, name: "base" }));
const samples = new Samples();
for (const [i, { what, ours, kernels }] of CHANGES.entries()) {
  const time = { what, unit: "s" } as const;
  const size = { what: `stored for ${what}`, unit: "bytes" } as const;
  for (let round = 0; round < ROUNDS; round++) {
    const name = `${i}-${round}`;
    await withStore((context) => clone(context, { ref: "base", names: [name], noLxc: true }));
    const before = await storedBytes();
    // Opened anew each time: nothing of the file was read yet.
    await withStore(async (context) => {
      await using view = await openContainer(context, { name });
      samples.add({ ...time, who: "delta0" }, await timed(() => ours(view, String(round))));
    });
    samples.add({ ...size, who: "delta0" }, (await storedBytes()) - before);
    await withStore((context) => status(context, { name }));
    samples.add({ ...size, who: "delta0, folded to a tree" }, (await storedBytes()) - before);
  }
  for (let round = 0; round < KERNEL_ROUNDS; round++) {
    const merged = await mountOverlay();
    samples.add({ ...time, who: "the kernel's overlay" }, await timed(() => kernels(merged)));
    samples.add({ ...size, who: "the kernel's overlay" }, await usedBytes(`${at.path}/upper`));
    await run("umount", [merged]);
  }
}
await report("Changes of what is in the lower", samples.figures, [
  "The kernel refuses to rename a directory of the lower (EXDEV): mv copies it.",
]);

function makeLower(): void {
  mkdirSync(`${lower}/many`, { recursive: true });
  const piece = Buffer.alloc(1 << 20);
  const fd = openSync(`${lower}/large`, "w");
  for (let written = 0; written < FILE_BYTES; written += piece.length) writeSync(fd, randomFillSync(piece));
  closeSync(fd);
  for (let i = 0; i < MANY; i++) writeFileSync(`${lower}/many/file${i}`, `${i}`);
}

async function withStore(work: (context: { store: Store; command: string }) => Promise<unknown>): Promise<void> {
  await using opened = await Store.open(store, { create: true });
  await work({ store: opened, command: "bench" });
}

/** Of all records, keys and values, and of the files beside the databases. */
async function storedBytes(): Promise<number> {
  let total = 0;
  for (const name of ["meta", "chunks", "uppers"]) {
    if (statSync(`${store}/${name}`, { throwIfNoEntry: false }) === undefined) continue;
    await using kv = await Kv.open(`${store}/${name}`, { create: false });
    for await (const [key, value] of kv.iterate({})) total += key.length + value.length;
  }
  return total + (await usedBytes(`${store}/uppers.pieces`));
}

/** What the files of a directory take. */
async function usedBytes(directory: string): Promise<number> {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) return 0;
  const sizes = await run("find", [directory, "-type", "f", "-printf", "%b\\n"]);
  return sizes.split("\n").reduce((sum, blocks) => sum + Number(blocks) * 512, 0);
}

async function mountOverlay(): Promise<string> {
  for (const name of ["upper", "work", "merged"]) {
    rmSync(`${at.path}/${name}`, { recursive: true, force: true });
    mkdirSync(`${at.path}/${name}`);
  }
  const options = `lowerdir=${lower},upperdir=${at.path}/upper,workdir=${at.path}/work`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${at.path}/merged`]);
  return `${at.path}/merged`;
}

function write(path: string, flags: string, position: number | null): void {
  const fd = openSync(path, flags);
  writeSync(fd, "x", position);
  closeSync(fd);
}

/** As mv(1) does, since the kernel's overlay refuses: it copies. */
function renameOrMove(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    spawnSync("mv", [from, to]);
  }
}
