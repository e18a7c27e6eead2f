/**
 * What the shortest commands take as whole processes, in turns with a node process that does nothing. The other floor is what a clone cannot
 * do without: a node process that opens both databases, writes once, synced, and closes. Run: npm run bench -- cli-start
 */
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { benchDirectory, CLI, delta0, measure, report, Samples, sized } from "./support.ts";
import type { Measured } from "./support.ts";

const RUNS = sized(41, 3);
const CLONES = 20;

await using at = await benchDirectory(1000);
const [store, floorStore, lxc] = ["store", "floor-store", "lxc"].map((name) => `${at.path}/${name}`) as [
  string,
  string,
  string,
];
for (const path of [store, floorStore]) {
  delta0(path, ["import", "docs", "base"]);
  delta0(path, ["clone", "base", "--no-lxc", "--count", String(CLONES), "--prefix", "web"]);
}
mkdirSync(lxc);
delta0(store, ["create", "base", "made", "-P", lxc]);

const OPEN = `
const { Level } = require(${JSON.stringify(createRequire(import.meta.url).resolve("level"))});
const [store, key] = process.argv.slice(1);
const open = (name) => {
  const db = new Level(store + "/" + name, { keyEncoding: "view", valueEncoding: "view", createIfMissing: false });
  return db.open().then(() => db);
};
Promise.all([open("meta"), open("chunks")]).then(async ([meta, chunks]) => {
  await meta.put(Buffer.from(key), Buffer.alloc(100), { sync: true });
  await Promise.all([meta.close(), chunks.close()]);
});`;

const EMPTY = "floor: an empty node";
const COMMANDS: readonly (readonly [who: string, run: (round: number) => Measured])[] = [
  [EMPTY, () => measure(process.execPath, ["-e", "0"])],
  [
    "floor of clone: node, databases opened, a synced write",
    (round) => measure(process.execPath, ["-e", OPEN, floorStore, `floor${round}`]),
  ],
  ["delta0 --version", () => measure(process.execPath, [CLI, "--version"])],
  [`delta0 ls, ${CLONES} names`, () => delta0(store, ["ls"])],
  ["delta0 show", () => delta0(store, ["show", "web1"])],
  ["delta0 clone --no-lxc", (round) => delta0(store, ["clone", "base", `plain${round}`, "--no-lxc"])],
  ["delta0 clone", (round) => delta0(store, ["clone", "made", `new${round}`, "-P", lxc])],
];

const samples = new Samples();
for (let round = 0; round < RUNS; round++) {
  for (const [who, run] of COMMANDS) {
    const { seconds, cpuSeconds } = run(round);
    samples.add({ what: "a whole process", who, unit: "ms" }, seconds * 1000);
    samples.add({ what: "its CPU", who, unit: "ms" }, cpuSeconds * 1000);
  }
  // So that ls has the same names to list in every round.
  delta0(store, ["rm", `plain${round}`, `new${round}`]);
}
await report("starting the command", samples.figures);
