/**
 * What work costs as it grows: time, memory and disk over files, stored bytes, layers and clones. After each curve stands what one more
 * of them costs up to the last size but one, and from there on. The floor of import and export is cp -a, which
 * syncs nothing. It takes 20 minutes and 40 GB.
 * Run: npm run bench -- growth; one curve, up to a size: node --import tsx bench/growth.ts files 100000
 */
import { randomBytes, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { layerDigest, timestamp } from "../src/containers/refs.ts";
import type { Layer, RefChange } from "../src/containers/records.ts";
import { clone, commit, openContainer, Store } from "../src/index.ts";
import { byteString } from "../src/model/name.ts";
import { IMPLIED_DIRECTORY } from "../src/model/node.ts";
import { TreeBuilder } from "../src/trees/builder.ts";
import { run } from "../test/support/run.ts";
import { panels, quantity } from "./record/figure.ts";
import { benchDirectory, delta0, measure, median, report, Samples, sized, timed } from "./support.ts";
import type { Measured } from "./support.ts";

/** Of a directory, and random bytes of each. */
const FILES = 1000;
const FILE_BYTES = 200;
/** A root of random bytes, of which the store gets one after the other. */
const ROOT_BYTES = sized(2 ** 30, 2 ** 24);
const ROOT_FILES = 64;
const LAYERS_AT_ONCE = 100;
const COMMITS = 5;
/** Of a command, unless less is enough. */
const RUNS = 5;
const ENOUGH_SECONDS = 2;
/** What rises less does not rise. */
const NOISE = 0.2;
/** What is plotted together. */
const [IN_OUT, SHORT, WHOLE] = ["in and out", "short commands", "what looks through the store"];
const [COPY, NODE] = ["floor: cp -a", "floor: an empty node"];

/** A size on an axis. */
interface Point {
  readonly axis: string;
  readonly value: number;
  /** The one before, or 0. */
  readonly before: number;
  readonly samples: Samples;
  readonly directory: string;
  readonly source: string;
  readonly store: string;
}

interface Curve {
  readonly axis: string;
  readonly sizes: readonly number[];
  readonly imageMegabytes: number;
  /** Makes all of that size, and measures. */
  readonly measure: (point: Point) => Promise<void> | void;
}

const CURVES: Readonly<Record<string, Curve>> = {
  files: { axis: "files", sizes: decades(3, sized(6, 4)), imageMegabytes: 40_000, measure: files },
  bytes: { axis: "GiB", sizes: [1, 2, 5, 10, 20].slice(0, sized(5, 3)), imageMegabytes: 40_000, measure: roots },
  layers: { axis: "layers", sizes: decades(0, sized(4, 2)), imageMegabytes: 10_000, measure: layers },
  clones: { axis: "clones", sizes: decades(0, sized(5, 3)), imageMegabytes: 10_000, measure: clones },
};

const [, , only, largest = "Infinity"] = process.argv;
for (const [name, { axis, sizes, imageMegabytes, measure }] of Object.entries(CURVES)) {
  if (only !== undefined && only !== name) continue;
  await using at = await benchDirectory(imageMegabytes);
  const samples = new Samples();
  const common = { axis, samples, directory: at.path, source: `${at.path}/source`, store: `${at.path}/store` };
  let before = 0;
  for (const value of sizes.filter((size) => size <= Number(largest))) {
    await measure({ ...common, value, before });
    before = value;
  }
  await report(`cost over ${axis}`, samples.figures, marginalCosts(samples));
}

/** A store of their own at each size. */
async function files(point: Point): Promise<void> {
  const { directory, source, store, value, before } = point;
  for (let i = before / FILES; i < value / FILES; i++) makeFiles(`${source}/${i}`);
  rmSync(store, { recursive: true, force: true });
  await run("sync", ["-f", directory]);
  keep(point, IN_OUT, "import", delta0(store, ["import", source, "root"]));
  keep(point, IN_OUT, "import again, unchanged", delta0(store, ["import", source, "again"]));
  await exported(point, "root");
  await others(point, "root");
}

async function roots(point: Point): Promise<void> {
  const { directory, source, store, value, before } = point;
  for (let i = before + 1; i <= value; i++) {
    rmSync(source, { recursive: true, force: true });
    makeRoot(source);
    await run("sync", ["-f", directory]);
    const imported = delta0(store, ["import", source, `root${i}`]);
    if (i === value) keep(point, IN_OUT, "import of 1 GiB more", imported);
  }
  keep(point, IN_OUT, "import again, unchanged", delta0(store, ["import", source, `again${value}`]));
  await exported(point, `root${value}`);
  await others(point, `root${value}`);
}

/** Each stands on the one before, and has a file of its own changed. */
async function layers(point: Point): Promise<void> {
  const { axis, samples, source, store, value, before } = point;
  if (before === 0) {
    makeFiles(source);
    delta0(store, ["import", source, "layer0"]);
  }
  {
    await using opened = await Store.open(store);
    for (let i = before + 1; i <= value; i += LAYERS_AT_ONCE)
      await stack(opened, i, Math.min(i + LAYERS_AT_ONCE - 1, value));
  }
  const onTop = ["import", source, `more${value}`, "--parent", `layer${value}`];
  keep(point, IN_OUT, "import of one more", delta0(store, onTop));
  keep(point, SHORT, "log of the last", delta0(store, ["log", `layer${value}`]));
  await others(point, `layer${value}`);
  await using opened = await Store.open(store);
  const context = { store: opened, command: "bench" };
  await clone(context, { ref: `layer${value}`, names: [`container${value}`], noLxc: true });
  for (let i = 0; i < COMMITS; i++) {
    await using view = await openContainer(context, { name: `container${value}` });
    await view.promises.writeFile(`/${i}`, randomBytes(FILE_BYTES));
    const seconds = await timed(() => commit(context, { name: `container${value}`, layer: `commit${value}-${i}` }));
    samples.add({ what: "commit", who: "delta0 inside a process", unit: "ms", at: { axis, value } }, seconds * 1000);
  }
}

/** Makes layers durable together: a commit of each would take minutes. */
async function stack(store: Store, from: number, to: number): Promise<void> {
  using _operation = store.begin();
  const below = store.refs.find(`layer${from - 1}`);
  if (below?.type !== "layer") throw new Error(`there is no layer${from - 1}`);
  let parent = below.layer;
  let tree = store.trees.tree(store.refs.layer(parent).tree);
  const [changes, made]: [RefChange[], Layer[]] = [[], []];
  for (let i = from; i <= to; i++) {
    const writer = store.content.writer();
    await writer.write(randomBytes(FILE_BYTES));
    const node = { type: "file", ...IMPLIED_DIRECTORY, content: writer.end() } as const;
    const builder = new TreeBuilder(store.trees, tree);
    builder.apply({ kind: "put", path: byteString(Buffer.from(String(i % FILES))), node });
    tree = builder.finish();
    const layer = { tree: tree.digest, parent, created: timestamp(), message: "", source: "bench" };
    parent = layerDigest(layer);
    made.push(layer);
    changes.push({ name: `layer${i}`, before: null, after: { type: "layer", layer: parent } });
  }
  await store.change({ command: "bench" }, changes, made);
}

/** A store of their own at each size. */
async function clones(point: Point): Promise<void> {
  const { source, store, value, before } = point;
  if (before === 0) makeFiles(source);
  rmSync(store, { recursive: true, force: true });
  delta0(store, ["import", source, "base"]);
  const all = ["clone", "base", "--count", String(value), "--prefix", "c", "--no-lxc"];
  keep(point, "all in one command", "clone", delta0(store, all));
  keep(point, IN_OUT, "import of one layer more", delta0(store, ["import", source, "more"]));
  await others(point, "base");
}

/** Beside a copy that is made of the source. */
async function exported(point: Point, ref: string): Promise<void> {
  const { directory, source, store } = point;
  const out = `${directory}/out`;
  for (const [what, work] of [
    ["export", () => delta0(store, ["export", "--no-sync", ref, out])],
    [COPY, () => measure("cp", ["-a", source, out])],
  ] as const) {
    await run("sync", ["-f", directory]);
    keep(point, IN_OUT, what, work());
    await run("rm", ["-r", out]);
  }
}

async function others(point: Point, ref: string): Promise<void> {
  const { axis, samples, store, value } = point;
  const used = Number((await run("du", ["-s", "-B1", store])).split("\t")[0]);
  samples.add({ what: "disk of the store", who: "delta0", unit: "MB", at: { axis, value } }, used / 1e6);
  keep(point, SHORT, NODE, measure(process.execPath, ["-e", "0"]));
  for (const [group, what, args] of [
    [SHORT, "ls", () => ["ls"]],
    [WHOLE, "du", () => ["du"]],
    [WHOLE, "gc --dry-run", () => ["gc", "--dry-run"]],
    [WHOLE, "fsck", () => ["fsck"]],
    // It adds names, which du counts.
    [SHORT, "clone", (i: number) => ["clone", ref, `one${value}-${i}`, "--no-lxc"]],
  ] as const)
    for (let i = 0, taken = 0; i < RUNS && taken < ENOUGH_SECONDS; i++) {
      const measured = delta0(store, args(i));
      keep(point, group, what, measured);
      taken += measured.seconds;
    }
}

function keep({ axis, samples, value }: Point, group: string, what: string, measured: Measured): void {
  const { seconds, cpuSeconds, peakRssBytes } = measured;
  const of = { who: what.startsWith("floor") ? what : `delta0 ${what}`, at: { axis, value } };
  process.stdout.write(`${value} ${axis}, ${of.who}: ${seconds} s, CPU ${cpuSeconds} s, ${peakRssBytes / 1e6} MB\n`);
  samples.add({ ...of, what: group, unit: "s" }, seconds);
  samples.add({ ...of, what: `${group}: CPU`, unit: "s" }, cpuSeconds);
  samples.add({ ...of, what: `${group}: peak memory`, unit: "MB" }, peakRssBytes / 1e6);
}

function decades(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

function makeFiles(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(`${directory}/${i}`, randomBytes(FILE_BYTES));
}

function makeRoot(directory: string): void {
  mkdirSync(directory);
  const bytes = Buffer.alloc(ROOT_BYTES / ROOT_FILES);
  for (let i = 0; i < ROOT_FILES; i++) {
    const fd = openSync(`${directory}/${i}`, "w");
    writeSync(fd, randomFillSync(bytes));
    closeSync(fd);
  }
}

/** Of each of delta0's curves: what one more of the axis costs up to the last size but one, and from there on. */
function marginalCosts({ figures }: Samples): string[] {
  const curves = panels(figures.filter(({ who }) => !who.startsWith("floor"))).flatMap((panel) =>
    [...new Set(panel.map(({ who }) => who))].map((who) => panel.filter((figure) => figure.who === who)),
  );
  return curves.map((curve) => {
    const { what, who, unit, at } = curve[0]!;
    const points = curve.map(
      ({ at, samples }) => [at?.value ?? 0, median(samples) * (unit === "MB" ? 1e6 : 1)] as const,
    );
    const [first, middle, last] = [points[0]!, points.at(-2)!, points.at(-1)!];
    const of = `${what}, ${who}: one more of ${at?.axis}`;
    if (last[1] - first[1] < NOISE * first[1]) return `${of} costs nothing`;
    const [early, late] = [
      [first, middle],
      [middle, last],
    ].map(([a, b]) => (b![1] - a![1]) / (b![0] - a![0])) as [number, number];
    const cost = (value: number): string => quantity(value, unit === "MB" ? "bytes" : unit);
    if (middle[1] - first[1] < NOISE * first[1]) return `${of} costs ${cost(late)} at the end, before that nothing`;
    return `${of} costs ${cost(early)}, and at the end ${cost(late)}: ${(late / early).toFixed(2)} times`;
  });
}
