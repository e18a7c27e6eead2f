/**
 * A store of 1000 layers and 10 000 clones: what commands take as processes of their own, beside one that opens an empty store; and what
 * collecting and counting takes. Run: npm run bench -- many-names
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { clone, importLayer, Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, measure, median, megabytes, reportText } from "./support.ts";

const LAYERS = 1000;
const CLONES = 10_000;
const RUNS = 5;

await using at = await benchDirectory(3000);
const path = `${at.path}/store`;
const empty = `${at.path}/empty`;
delta0(empty, ["init"]);

{
  await using store = await Store.open(path, { create: true });
  const context = { store, command: "bench" };
  const source = `${at.path}/source`;
  mkdirSync(source);
  measure("tar", ["-xf", await rootfsTar("bookworm"), "-C", source, "./etc", "./var/lib/dpkg"]);
  writeFileSync(`${source}/change`, "");
  for (let i = 1; i <= LAYERS; i++) {
    appendFileSync(`${source}/change`, `layer ${i}\n`);
    const parent = i === 1 ? {} : { parent: `layer${i - 1}` };
    await importLayer(context, { source, name: `layer${i}`, ...parent });
  }
  for (let i = 0; i < CLONES; i += CLONES / 10)
    await clone(context, {
      ref: `layer${LAYERS - i / 100}`,
      names: Array.from({ length: CLONES / 10 }, (_, n) => `clone${i + n + 1}`),
      noLxc: true,
    });
}

const samples = new Map<string, number[]>();
for (let run = 0; run < RUNS; run++) {
  for (const [what, store, args] of [
    ["ls of an empty store", empty, ["ls"]],
    ["ls", path, ["ls"]],
    ["show of a clone", path, ["show", "clone5000"]],
    ["show of a layer", path, ["show", "layer500"]],
    ["reflog of one", path, ["reflog", "clone5000"]],
    ["clone", path, ["clone", "layer700", `new${run}`, "--no-lxc"]],
    ["rm", path, ["rm", `new${run}`]],
    ["undo", path, ["undo"]],
  ] as const)
    samples.set(what, [...(samples.get(what) ?? []), delta0(store, args).seconds]);
}
const rows = Array.from(samples, ([what, times]): [string, string] => [
  what,
  `${(median(times) * 1000).toFixed(0)} ms`,
]);
for (const [what, args] of [
  ["gc --dry-run", ["gc", "--dry-run"]],
  ["du of all", ["du"]],
  ["du of one", ["du", "clone5000"]],
  ["du --if-removed of 100", ["du", "--if-removed", ...Array.from({ length: 100 }, (_, i) => `clone${i + 1}`)]],
] as const) {
  const { seconds, peakRssBytes } = delta0(path, args);
  rows.push([what, `${seconds.toFixed(2)} s, at most ${megabytes(peakRssBytes)} of memory`]);
}
reportText(`${LAYERS} layers and ${CLONES} clones in one store: medians of ${RUNS} processes each`, rows);
