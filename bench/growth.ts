/**
 * What work costs as it grows: time, memory and disk over files, stored bytes, layers and clones. After each curve stands what one more
 * of them costs at its beginning and at its end. The floor of import and export is cp -a, which syncs nothing. It takes 20 minutes and 40 GB.
 * Run: npm run bench -- growth; one curve, up to a size: node --import tsx bench/growth.ts files 100000
 */
import { randomBytes, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { run } from "../test/support/run.ts";
import { panels, quantity } from "./record/figure.ts";
import { benchDirectory, built, delta0, measure, median, report, Samples, sized, timed } from "./support.ts";
import type { Measured } from "./support.ts";

/** Of a directory, and random bytes of each. */
const FILES = 1000;
const FILE_BYTES = 200;
/** A root of random bytes, of which the store gets one after the other. */
const ROOT_BYTES = sized(2 ** 30, 2 ** 24);
const ROOT_FILES = 64;
/** Of a command, unless less is enough. */
const RUNS = 5;
const ENOUGH_SECONDS = 2;
/** What rises less does not rise. */
const NOISE = 0.2;
/** What is plotted together. */
const [IN_OUT, SHORT, WHOLE] = ["in and out", "short commands", "what looks through the store"];
const FLOOR = "floor: cp -a";

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
  bytes: { axis: "GiB", sizes: [1, 2, 5, 10, sized(20, 10)], imageMegabytes: 40_000, measure: roots },
  layers: { axis: "layers", sizes: decades(0, sized(4, 2)), imageMegabytes: 10_000, measure: layers },
  clones: { axis: "clones", sizes: decades(0, sized(5, 3)), imageMegabytes: 10_000, measure: clones },
};

const library = await built();
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
    delta0(store, ["clone", "layer0", "container", "--no-lxc"]);
  }
  const commits: number[] = [];
  {
    await using opened = await library.Store.open(store);
    const context = { store: opened, command: "bench" };
    for (let i = before + 1; i <= value; i++) {
      {
        await using view = await library.openContainer(context, { name: "container" });
        await view.promises.writeFile(`/${i % FILES}`, randomBytes(FILE_BYTES));
      }
      commits.push(await timed(() => library.commit(context, { name: "container", layer: `layer${i}` })));
    }
  }
  const last = commits.slice(-100).map((seconds) => seconds * 1000);
  samples.add({ what: "commit", who: "delta0 inside a process", unit: "ms", at: { axis, value } }, ...last);
  const onTop = ["import", source, `more${value}`, "--parent", `layer${value}`];
  keep(point, IN_OUT, "import of one more", delta0(store, onTop));
  keep(point, SHORT, "log of the last", delta0(store, ["log", `layer${value}`]));
  await others(point, `layer${value}`);
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
    ["export", () => delta0(store, ["export", ref, out])],
    [FLOOR, () => measure("cp", ["-a", source, out])],
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
  const of = { who: what === FLOOR ? what : `delta0 ${what}`, at: { axis, value } };
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

/** Of each of delta0's curves: what one more of the axis costs where it begins to rise, and at the end. */
function marginalCosts({ figures }: Samples): string[] {
  const ours = figures.filter(({ who }) => who !== FLOOR);
  const curves = panels(ours).flatMap((panel) =>
    [...new Set(panel.map(({ who }) => who))].map((who) => panel.filter((figure) => figure.who === who)),
  );
  return curves.map((curve) => {
    const { what, who, unit, at } = curve[0]!;
    const sizes = curve.map((figure) => figure.at?.value ?? 0);
    const costs = curve.map(({ samples }) => median(samples) * (unit === "MB" ? 1e6 : 1));
    const [first, last] = [costs[0]!, costs.at(-1)!];
    if (last - first < NOISE * first) return `${what}, ${who}: does not rise`;
    const rises = costs.findIndex((cost) => cost - first >= NOISE * first);
    const [early, late] = [rises, costs.length - 1].map(
      (i) => (costs[i]! - costs[i - 1]!) / (sizes[i]! - sizes[i - 1]!),
    );
    const each = [early!, late!].map((cost) => quantity(cost, unit === "MB" ? "bytes" : unit)).join(", then ");
    return `${what}, ${who}: one more of ${at?.axis} costs ${each}: ${(late! / early!).toFixed(2)} times`;
  });
}
