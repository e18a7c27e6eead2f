/**
 * How fast paths are found in a view of a large root filesystem, beside lstat of the kernel on the same tree; and what a kept
 * entry takes. Run: npm run bench -- resolver
 */
import { lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { importLayer, show, Store } from "../src/index.ts";
import type { Digest } from "../src/model/digest.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import type { LowerEntry } from "../src/overlay/lower-entry.ts";
import { LowerTrees } from "../src/overlay/lower-tree.ts";
import { Resolver } from "../src/overlay/resolver.ts";
import { TreeView } from "../src/overlay/tree-view.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { rootfsTar, unpackedRootfs } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, report, Samples, sized, timed } from "./support.ts";

const DEPTH = sized(1000, 10);
const LOOKUPS = sized(400_000, 40_000);
const ROUNDS = sized(9, 1);
/** Caches that are made to see what one takes. */
const KEPT = 8;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

await using at = await benchDirectory(4000);
await using store = await Store.open(`${at.path}/store`, { create: true });
const context = { store, command: "bench" };
await importLayer(context, { source: await rootfsTar("bookworm-large"), name: "base" });
const { digest } = await show(context, { ref: "base" });
const { paths, missing } = listPaths(digest);

const samples = new Samples();
const finders = [
  ["delta0, history of 1 layer", digest],
  [`delta0, history of ${DEPTH}`, deepTree(digest)],
].map(([who, tree]) => {
  const resolver = new Resolver(new LowerTrees(store.trees).get(tree as Digest));
  const find = (path: string): unknown => resolver.resolve(path, false);
  for (const path of [...paths, ...missing]) find(path);
  return [who as string, find] as const;
});
const view = TreeView.of(store.lowers.get(digest), store.blocks);
const PRESENT = "a path that is there, as a string never seen";
const MISSING = "a path that is missing, asked for before, as another string";
for (const [what, strings] of [
  [PRESENT, fresh(paths)],
  ["a path that is there, as the same string", () => repeated(paths)],
  [MISSING, fresh(missing)],
  ["a path that is missing, never asked for", neverAsked(paths)],
] as const)
  for (const [who, find] of finders) await rates(what, who, strings, find);

await rates(PRESENT, "delta0, lstatSync of the view", fresh(paths), (path) => view.lstatSync(path));
const missingInView = (path: string): unknown => view.lstatSync(path, { throwIfNoEntry: false });
await rates(MISSING, "delta0, lstatSync of the view", fresh(missing), missingInView);
const plain = await unpackedRootfs("bookworm-large");
const lstat = (root: string) => (path: string) => lstatSync(root + path, { throwIfNoEntry: false });
await rates(PRESENT, "lstatSync of ext4", fresh(paths), lstat(plain), LOOKUPS / 8);
for (const lowers of [2, 50]) {
  const merged = await overlay(plain, lowers);
  const who = `lstatSync of the kernel's overlay of ${lowers}`;
  await rates(PRESENT, who, fresh(paths), lstat(merged), LOOKUPS / 8);
  await run("umount", [merged]);
}
samples.add({ what: "memory of a kept entry with its path", who: "delta0", unit: "bytes" }, keptBytes(digest));
await report("Looking paths up", samples.figures, [`The tree has ${paths.length} entries.`]);

type Strings = (count: number, round: number) => string[];

/** So many a second. */
async function rates(
  what: string,
  who: string,
  strings: Strings,
  find: (path: string) => unknown,
  count: number = LOOKUPS,
): Promise<void> {
  for (let round = 0; round <= ROUNDS; round++) {
    const given = strings(count, round);
    collect();
    const seconds = await timed(() => {
      for (const path of given) find(path);
    });
    // The first round is for the compiler.
    if (round > 0) samples.add({ what, who, unit: "/s" }, count / seconds);
  }
}

/** Strings that were never looked at: their hashes are not known. In an order that no cache likes. */
function fresh(paths: readonly string[]): Strings {
  return (count) => Array.from({ length: count }, (_, i) => copyOf(paths[(i * 7919) % paths.length] ?? ""));
}

function repeated(paths: readonly string[]): string[] {
  return Array.from({ length: LOOKUPS }, (_, i) => paths[(i * 7919) % paths.length] ?? "");
}

function neverAsked(paths: readonly string[]): Strings {
  return (count, round) =>
    Array.from({ length: count }, (_, i) => copyOf(`${paths[(i * 7919) % paths.length] ?? ""}.${round}.${i}`));
}

function copyOf(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function listPaths(tree: Digest): { readonly paths: string[]; readonly missing: string[] } {
  const names = new LowerTrees(store.trees).get(tree);
  const paths: string[] = [];
  const directories = [names.root];
  for (const directory of directories) {
    for (const rows of names.entries(directory)) {
      for (const [, entry] of rows) {
        paths.push(copyOf(entry.path));
        if (entry.isDirectory) directories.push(entry);
      }
    }
  }
  return { paths, missing: paths.map((path) => `${path}.missing`) };
}

/** Heap of a cache that holds the whole tree, and nothing else. */
function keptBytes(tree: Digest): number {
  const kept: Resolver<LowerEntry>[] = [];
  const used: number[] = [];
  for (let i = 0; i <= KEPT; i++) {
    const resolver = new Resolver(new LowerTrees(store.trees).get(tree));
    for (const path of paths) resolver.resolve(path, false);
    kept.push(resolver);
    collect();
    const { heapUsed, external } = process.memoryUsage();
    used.push(heapUsed + external);
  }
  return ((used.at(-1) ?? 0) - (used[0] ?? 0)) / (kept.length - 1) / paths.length;
}

/** As many commits later, each of which added a file. */
function deepTree(base: Digest): Digest {
  let tree = store.trees.tree(base);
  for (let i = 1; i < DEPTH; i++) {
    const builder = new TreeBuilder(store.trees, tree);
    builder.apply({ kind: "put", path: `srv/change/${i}`, node: { type: "fifo", ...IMPLIED_DIRECTORY } });
    tree = builder.finish();
  }
  return tree.digest;
}

async function overlay(bottom: string, lowers: number): Promise<string> {
  const stack = [bottom];
  for (let i = 1; i < lowers; i++) {
    const layer = `${at.path}/layer${i}`;
    for (const directory of ["etc", "usr/lib", "usr/share", "var/lib"])
      mkdirSync(`${layer}/${directory}`, { recursive: true });
    writeFileSync(`${layer}/etc/change${i}`, `${i}`);
    stack.unshift(layer);
  }
  const merged = `${at.path}/merged${lowers}`;
  mkdirSync(merged);
  await run("mount", ["-t", "overlay", "overlay", "-o", `lowerdir=${stack.join(":")}`, merged]);
  return merged;
}
