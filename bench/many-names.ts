/**
 * A store of 1000 layers and 10 000 clones: what commands take as processes of their own, beside one that opens an empty store; and what
 * collecting and counting takes. Run: npm run bench -- many-names
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { clone, importLayer, Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, measure, report, Samples, sized } from "./support.ts";

const LAYERS = sized(1000, 100);
const CLONES = sized(10_000, 1000);
const RUNS = sized(5, 1);

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
      ref: `layer${LAYERS - i / (CLONES / 100)}`,
      names: Array.from({ length: CLONES / 10 }, (_, n) => `clone${i + n + 1}`),
      noLxc: true,
    });
}

const samples = new Samples();
const one = { what: "a command, as a process of its own", unit: "s" } as const;
const all = { what: "counting and collecting", unit: "s" } as const;
for (let run = 0; run < RUNS; run++) {
  samples.add({ ...one, who: "floor: node that does nothing" }, measure(process.execPath, ["-e", "0"]).seconds);
  samples.add({ ...one, who: "delta0 ls, of an empty store" }, delta0(empty, ["ls"]).seconds);
  for (const [what, args] of [
    ["ls", ["ls"]],
    ["show of a clone", ["show", `clone${CLONES / 2}`]],
    ["show of a layer", ["show", `layer${LAYERS / 2}`]],
    ["reflog of a clone", ["reflog", `clone${CLONES / 2}`]],
    ["clone", ["clone", `layer${0.7 * LAYERS}`, `new${run}`, "--no-lxc"]],
    ["rm", ["rm", `new${run}`]],
    ["undo", ["undo"]],
  ] as const)
    samples.add({ ...one, who: `delta0 ${what}` }, delta0(path, args).seconds);
  for (const [what, args] of [
    ["gc --dry-run", ["gc", "--dry-run"]],
    ["du", ["du"]],
    ["du of one", ["du", `clone${CLONES / 2}`]],
    ["du --if-removed of 100", ["du", "--if-removed", ...Array.from({ length: 100 }, (_, i) => `clone${i + 1}`)]],
  ] as const) {
    const { seconds, peakRssBytes } = delta0(path, args);
    samples.add({ ...all, who: `delta0 ${what}` }, seconds);
    samples.add({ what: "peak memory of counting and collecting", who: `delta0 ${what}`, unit: "bytes" }, peakRssBytes);
  }
}
await report(`A store of ${LAYERS} layers and ${CLONES} clones`, samples.figures);
