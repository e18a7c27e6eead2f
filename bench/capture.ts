/** Whether the time of a capture depends on the size of the base. Run: npm run bench -- capture */
import { mkdirSync, writeFileSync } from "node:fs";
import { capture, clone, importLayer, Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, median, reportText } from "./support.ts";

const ROUNDS = 30;
const FILES = 500;

await using at = await benchDirectory(3000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
const delta = `${at.path}/delta`;
mkdirSync(`${delta}/srv`, { recursive: true });
for (let i = 0; i < FILES; i++) writeFileSync(`${delta}/srv/${i}`, `file ${i}\n`.repeat(100));

const rows: [string, string][] = [];
for (const name of ["trixie", "bookworm-large"] as const) {
  const { entries } = await importLayer(context, { source: await rootfsTar(name), name });
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const container = `${name}-${i}`;
    await clone(context, { ref: name, names: [container], noLxc: true });
    const began = performance.now();
    await capture(context, { name: container, from: delta });
    times.push(performance.now() - began);
  }
  rows.push([`base ${name}, ${entries} entries`, `${median(times.slice(5)).toFixed(1)} ms`]);
}
reportText(`capture of a delta of ${FILES} files, median of ${ROUNDS - 5}`, rows);
