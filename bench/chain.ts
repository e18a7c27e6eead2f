/** Whether anything depends on how deep a chain of clones of clones is. Run: npm run bench -- chain */
import { mkdirSync, writeFileSync } from "node:fs";
import { clone, commit, capture, importLayer, show, status, Store } from "../src/index.ts";
import { Resolver } from "../src/overlay/resolver.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, median, report, Samples, sized, timed } from "./support.ts";

const DEPTH = sized(200, 20);
/** So many steps make a point of the curve. */
const WINDOW = DEPTH / 10;
const LOOKUPS = 2000;

await using at = await benchDirectory(2000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
await importLayer(context, { source: await rootfsTar("bookworm"), name: "layer0" });

const samples = new Samples();
for (let i = 1; i <= DEPTH; i++) {
  const name = `c${i}`;
  const depth = Math.ceil(i / WINDOW) * WINDOW;
  const step = async (what: string, work: () => unknown, times = 1): Promise<void> => {
    const at = { axis: "clones of clones", value: depth };
    samples.add({ what, who: "delta0", unit: "s", at }, (await timed(work)) / times);
  };
  await step("clone", () => clone(context, { ref: i === 1 ? "layer0" : `c${i - 1}`, names: [name], noLxc: true }));
  const delta = `${at.path}/delta${i}`;
  mkdirSync(`${delta}/srv/change`, { recursive: true });
  writeFileSync(`${delta}/srv/change/file`, `change ${i}\n`);
  await capture(context, { name, from: delta });
  await step("status", () => status(context, { name }));
  await step("commit", () => commit(context, { name, layer: `layer${i}` }));
  const { digest } = await show(context, { ref: name });
  const resolver = new Resolver(store.lowers.get(digest));
  const lookUp = (): void => {
    for (let n = 0; n < LOOKUPS; n++) resolver.trace("/usr/share/doc/apt/../apt/copyright", true);
  };
  await step("path lookup", lookUp, LOOKUPS);
}

const { figures } = samples;
const notes = [...new Set(figures.map(({ what }) => what))].map((what) => {
  const [first, last] = [figures.find((one) => one.what === what)!, figures.findLast((one) => one.what === what)!];
  return `${what}: the last take ${(median(last.samples) / median(first.samples)).toFixed(2)} times as long as the first`;
});
await report("A chain of clones of clones, each with a committed change", figures, notes);
