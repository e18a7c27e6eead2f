/**
 * What `diff` of two trees takes inside the process: by how much differs, and by how large they are. Cold: in a process that has
 * done nothing else; warm: the median of many. Run: npm run bench -- diff
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { diff, importLayer, Store } from "../src/index.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import type { RootfsName } from "../test/support/rootfs.ts";
import { benchDirectory, measure, report, Samples, sized, timed } from "./support.ts";

const CHANGED = [10, 100, 1000];
const COLD_RUNS = sized(7, 1);
const WARM_RUNS = sized(50, 3);
const DIFF_ONCE = `
const { diff, Store } = await import(process.argv[1]);
const store = await Store.open(process.argv[2]);
const began = performance.now();
const { changes } = await diff({ store, command: "bench" }, { a: process.argv[3], b: process.argv[4] });
console.log(performance.now() - began, changes.length);
await store[Symbol.asyncDispose]();
`;

await using at = await benchDirectory(4000);
const samples = new Samples();
const notes: string[] = [];
for (const root of ["bookworm", "bookworm-large"] as const) await measureRoot(root);
await report("Differences of two trees, inside the process", samples.figures, notes);

async function measureRoot(root: RootfsName): Promise<void> {
  const source = `${at.path}/source`;
  const path = `${at.path}/${root}`;
  measure("mkdir", [source]);
  measure("tar", ["-xf", await rootfsTar(root), "-C", source]);
  const find = ["-type", "f", "-size", "-64k"];
  const { stdout } = spawnSync("find", [source, ...find], { encoding: "utf8", maxBuffer: 1 << 24 });
  const files = stdout.trimEnd().split("\n").sort();
  await using store = await Store.open(path, { create: true });
  const context = { store, command: "bench" };
  const { entries } = await importLayer(context, { source, name: "base" });
  let changed = 0;
  for (const count of CHANGED) {
    // All over the tree: each one before and as many again.
    for (; changed < count; changed++) appendFileSync(files[(changed * 7919) % files.length]!, "changed\n");
    await importLayer(context, { source, name: `changed${count}` });
  }
  rmSync(source, { recursive: true });
  await store[Symbol.asyncDispose]();
  for (const count of CHANGED) {
    const params = { a: "base", b: `changed${count}` };
    const of = {
      what: `diff of ${root} and a changed one`,
      unit: "s",
      at: { axis: "files that differ", value: count },
    } as const;
    for (let run = 0; run < COLD_RUNS; run++)
      samples.add({ ...of, who: "delta0, the first call of a process" }, inProcess(path, params.a, params.b));
    await using again = await Store.open(path);
    for (let run = 0; run < WARM_RUNS; run++) {
      const seconds = await timed(() => diff({ store: again, command: "bench" }, params));
      samples.add({ ...of, who: "delta0, later ones" }, seconds);
    }
  }
  notes.push(`${root} has ${entries} entries`);
}

function inProcess(store: string, a: string, b: string): number {
  const library = fileURLToPath(new URL("../dist/index.js", import.meta.url));
  const args = ["--input-type=module", "-e", DIFF_ONCE, library, store, a, b];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const took = Number(stdout.split(" ")[0]);
  if (!(took > 0)) throw new Error(stderr);
  return took / 1000;
}
