/** Whether anything depends on how deep a chain of clones of clones is. Run: npm run bench -- chain */
import { mkdirSync, writeFileSync } from "node:fs";
import { clone, commit, capture, importLayer, show, status, Store } from "../src/index.ts";
import { Resolver } from "../src/overlay/resolver.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, median, reportText } from "./support.ts";

const DEPTH = 200;
const WINDOW = 20;

await using at = await benchDirectory(2000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
await importLayer(context, { source: await rootfsTar("bookworm"), name: "layer0" });

const times: Record<"clone" | "status" | "commit" | "lookup", number[]> = {
  clone: [],
  status: [],
  commit: [],
  lookup: [],
};
for (let i = 1; i <= DEPTH; i++) {
  const name = `c${i}`;
  await timed("clone", () => clone(context, { ref: i === 1 ? "layer0" : `c${i - 1}`, names: [name], noLxc: true }));
  const delta = `${at.path}/delta${i}`;
  mkdirSync(`${delta}/srv/change`, { recursive: true });
  writeFileSync(`${delta}/srv/change/file`, `change ${i}\n`);
  await capture(context, { name, from: delta });
  await timed("status", () => status(context, { name }));
  await timed("commit", () => commit(context, { name, layer: `layer${i}` }));
  const { digest } = await show(context, { ref: name });
  const resolver = new Resolver(store.lowers.get(digest));
  await timed("lookup", () => {
    for (let n = 0; n < 2000; n++) resolver.trace("/usr/share/doc/apt/../apt/copyright", true);
  });
}

reportText(
  `a chain of ${DEPTH} clones of clones, each with a committed change: medians of the first and last ${WINDOW}`,
  Object.entries(times).map(([what, all]) => {
    const [first, last] = [median(all.slice(0, WINDOW)), median(all.slice(-WINDOW))];
    return [what, `${first.toFixed(2)} ms, ${last.toFixed(2)} ms: ratio ${(last / first).toFixed(2)}`];
  }),
);

async function timed(what: keyof typeof times, work: () => unknown): Promise<void> {
  const began = performance.now();
  await work();
  times[what].push(performance.now() - began);
}
