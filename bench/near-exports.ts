/**
 * What an export of a near tree costs beside the first one, on ext4 and on xfs, a chain of clones that are started, and how deep a stack
 * may be. Run: npm run bench -- near-exports
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { clone, commit, importLayer, listExports, put, Store, warmExport } from "../src/index.ts";
import { wholeStack } from "../src/exports/export-stack.ts";
import { makeReady } from "../src/operations/start.ts";
import { requireRunnable } from "../src/operations/running.ts";
import { loopFilesystem } from "../test/support/loop.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { median, megabytes, reportText } from "./support.ts";

const GENERATIONS = 20;
const FILES = 512;
const BYTES = 20 << 20;
const ROUNDS = 5;
const DEPTHS = [1, 2, 4, 8, 16, 24, 32];

for (const kind of ["ext4", "xfs"] as const) await near(kind);
await depths();

async function near(kind: "ext4" | "xfs"): Promise<void> {
  await using at = await loopFilesystem(kind, 6000);
  const lxcPath = `${at.path}/lxc`;
  mkdirSync(lxcPath);
  const { context, store } = await opened(at.path);
  await using _store = store;
  await importLayer(context, { source: await rootfsTar("bookworm"), name: "base" });
  const first = await timed(() => warmExport(context, { ref: "base" }));
  const second: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    await clone(context, { ref: "base", names: [`near${i}`], noLxc: true });
    await put(context, { sources: ["src", "package.json"], target: `near${i}:/srv` });
    await commit(context, { name: `near${i}`, layer: `layer${i}` });
    second.push(await timed(() => warmExport(context, { ref: `layer${i}` })));
  }
  await clone(context, { ref: "base", names: ["c0"], lxcPath, identity: "keep" });
  const small = await smallUppers(context, at.path, lxcPath);
  const [clones, starts]: [number[], number[]] = [[], []];
  for (let i = 0; i < GENERATIONS; i++) {
    const change = `${at.path}/change${i}`;
    writeChange(change, i);
    await put(context, { sources: [change], target: `c${i}:/srv` });
    clones.push(await timed(() => clone(context, { ref: `c${i}`, names: [`c${i + 1}`], lxcPath, identity: "keep" })));
    const [runnable] = await requireRunnable(context, [`c${i + 1}`]);
    if (runnable !== undefined) starts.push(await timed(() => makeReady(context, runnable)));
  }
  const digest = (await warmExport(context, { ref: `c${GENERATIONS}` })).digest;
  const items = await listExports(context);
  const whole = await timed(() => store.exports.ensure(wholeStack(digest, null)));
  const [early, late] = [median(starts.slice(0, 5)), median(starts.slice(-5))];
  reportText(
    `a Debian on ${kind}, and ${GENERATIONS} clones of clones with ${megabytes(BYTES)} in ${FILES} files more each`,
    [
      ["first export (decompressed, written, synced)", ms(first)],
      [
        `of a near tree (a few hundred files more)`,
        `${ms(median(second))}: ${((median(second) / first) * 100).toFixed(0)} % of the first`,
      ],
      ["990 files of 4 KB in a clone's own delta", ms(small)],
      ["clone of a changed clone", `first ${ms(median(clones.slice(0, 5)))}, last ${ms(median(clones.slice(-5)))}`],
      [
        "its export (what it changed)",
        `first ${ms(early)}, last ${ms(late)}: ${((late / first) * 100).toFixed(0)} % of the first`,
      ],
      ["on disk", items.map(({ diskBytes }) => megabytes(diskBytes ?? 0)).join(" ")],
      ["the last one flattened to a whole export", `${ms(whole)}${kind === "xfs" ? ", blocks shared" : ""}`],
    ],
  );
}

/** Each delta changes /etc, /usr/bin, /usr/lib and dpkg's directory, where all lookups go: the worst there is. */
async function depths(): Promise<void> {
  await using at = await loopFilesystem("ext4", 3000);
  const lower = `${at.path}/base`;
  mkdirSync(lower);
  await run("tar", ["-xpf", await rootfsTar("bookworm"), "-C", lower]);
  for (const name of ["upper", "work", "mounted"]) mkdirSync(`${at.path}/${name}`);
  const layers = [lower];
  const rows: [string, string][] = [];
  for (const depth of DEPTHS) {
    for (; layers.length < depth; layers.unshift(`${at.path}/d${layers.length}`))
      for (const directory of ["etc", "usr/bin", "usr/lib", "var/lib/dpkg/info"]) {
        const made = `${at.path}/d${layers.length}/${directory}`;
        mkdirSync(made, { recursive: true });
        for (let i = 0; i < 20; i++) writeFileSync(`${made}/${layers.length}-${i}`, "changed");
      }
    const options = `lowerdir=${layers.map((layer) => basename(layer)).join(":")},upperdir=upper,workdir=work`;
    const figures: number[][] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      await run("sh", ["-c", "sync; echo 3 >/proc/sys/vm/drop_caches"]);
      await run("mount", ["-t", "overlay", "overlay", "-o", options, "mounted"], { cwd: at.path });
      const walk = (): Promise<string> => run("find", ["mounted", "-xdev", "-newer", "/"], { cwd: at.path });
      figures[0]?.push(await timed(walk));
      figures[1]?.push(await timed(walk));
      figures[2]?.push(await timed(() => run("tar", ["cf", "/dev/null", "mounted/usr/bin"], { cwd: at.path })));
      await run("umount", [`${at.path}/mounted`]);
    }
    const [cold, warm, read] = figures.map(median);
    const range = `${ms(Math.min(...(figures[0] ?? [])))} to ${ms(Math.max(...(figures[0] ?? [])))}`;
    rows.push([`${depth} lowers`, `find cold ${ms(cold)} (${range}), warm ${ms(warm)}; tar of /usr/bin ${ms(read)}`]);
  }
  reportText(
    `a Debian of ${readdirSync(lower).length} names at its root through deep stacks (medians of ${ROUNDS})`,
    rows,
  );
}

async function opened(path: string) {
  const store = await Store.open(`${path}/store`, { create: true });
  return { store, context: { store, command: "bench" } };
}

/** What a clone gets in a delta of its own, at most: written at its first start. */
async function smallUppers(context: { store: Store; command: string }, path: string, lxcPath: string): Promise<number> {
  const change = `${path}/small`;
  mkdirSync(change);
  for (let i = 0; i < 990; i++) writeFileSync(`${change}/${i}`, Buffer.alloc(4000, i));
  await clone(context, { ref: "c0", names: ["small"], lxcPath, identity: "keep" });
  await put(context, { sources: [change], target: "small:/srv" });
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    await clone(context, { ref: "small", names: [`small${i}`], lxcPath, identity: "keep" });
    const [runnable] = await requireRunnable(context, [`small${i}`]);
    if (runnable !== undefined) times.push(await timed(() => makeReady(context, runnable)));
  }
  return median(times);
}

function writeChange(directory: string, generation: number): void {
  mkdirSync(directory);
  for (let i = 0; i < FILES; i++) {
    const bytes = Buffer.alloc(BYTES / FILES);
    for (let at = 0; at < bytes.length; at += 4)
      bytes.writeUInt32LE(Math.imul(at + 1, 2654435761 ^ (generation * FILES + i)) >>> 0, at);
    writeFileSync(`${directory}/${i}`, bytes);
  }
}

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function ms(value = Number.NaN): string {
  return `${value.toFixed(0)} ms`;
}
