/** Whether the time of a capture depends on the size of the base. Run: npm run bench -- capture */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { capture, clone, importLayer, Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = sized(25, 3);
/** Before these: for the compiler. */
const WARM_UP = 5;
const FILES = 500;

await using at = await benchDirectory(3000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
const delta = `${at.path}/delta`;
mkdirSync(`${delta}/srv`, { recursive: true });
for (let i = 0; i < FILES; i++) writeFileSync(`${delta}/srv/${i}`, `file ${i}\n`.repeat(100));

const samples = new Samples();
const notes: string[] = [];
const what = `capture of a delta of ${FILES} files`;
for (const name of ["trixie", "bookworm-large"] as const) {
  const { entries } = await importLayer(context, { source: await rootfsTar(name), name });
  notes.push(`${name} has ${entries} entries`);
  for (let i = 0; i < WARM_UP + ROUNDS; i++) {
    const container = `${name}-${i}`;
    await clone(context, { ref: name, names: [container], noLxc: true });
    const seconds = await timed(() => capture(context, { name: container, from: delta }));
    if (i >= WARM_UP) samples.add({ what, who: `delta0, over ${name}`, unit: "s" }, seconds);
  }
}
for (let i = 0; i < ROUNDS; i++)
  samples.add({ what, who: "floor: reading its files", unit: "s" }, await timed(readDelta));
await report("Capture, by the size of the base", samples.figures, notes);

function readDelta(): void {
  for (const name of readdirSync(`${delta}/srv`)) readFileSync(`${delta}/srv/${name}`);
}
