/**
 * What an export of a near tree costs beside the first one, on ext4 and on xfs, a chain of clones that are started, and how deep a stack
 * may be. Run: npm run bench -- near-exports
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { clone, commit, importLayer, listExports, put, Store, warmExport } from "../src/index.ts";
import { wholeStack } from "../src/exports/export-stack.ts";
import { makeReady } from "../src/operations/start.ts";
import { requireRunnable } from "../src/operations/running.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, megabytes, report, Samples, sized, timed } from "./support.ts";

const GENERATIONS = sized(20, 4);
const FILES = 512;
const BYTES = 20 << 20;
const ROUNDS = sized(5, 1);
const DEPTHS = [1, 2, 4, 8, 16, 24, 32].slice(0, sized(7, 2));

for (const kind of ["ext4", "xfs"] as const) await near(kind);
await depths();

async function near(kind: "ext4" | "xfs"): Promise<void> {
  await using at = await benchDirectory(9000, kind);
  const lxcPath = `${at.path}/lxc`;
  mkdirSync(lxcPath);
  const { context, store } = await opened(`${at.path}/store`);
  await using _store = store;
  await importLayer(context, { source: await rootfsTar("bookworm"), name: "base" });
  const samples = new Samples();
  const exporting = { what: "an export: decompressed, written, synced", unit: "s" } as const;
  const warm = (ref: string): Promise<number> => timed(() => warmExport(context, { ref }));
  samples.add({ ...exporting, who: "delta0, the first" }, await warm("base"));
  for (let i = 1; i < ROUNDS; i++) {
    const other = await opened(`${at.path}/store${i}`);
    await using _other = other.store;
    await importLayer(other.context, { source: await rootfsTar("bookworm"), name: "base" });
    const again = await timed(() => warmExport(other.context, { ref: "base" }));
    samples.add({ ...exporting, who: "delta0, the first" }, again);
  }
  for (let i = 0; i < ROUNDS; i++) {
    await clone(context, { ref: "base", names: [`near${i}`], noLxc: true });
    await put(context, { sources: ["src", "package.json"], target: `near${i}:/srv` });
    await commit(context, { name: `near${i}`, layer: `layer${i}` });
    samples.add({ ...exporting, who: "delta0, of a near tree: a few hundred files more" }, await warm(`layer${i}`));
  }
  await clone(context, { ref: "base", names: ["c0"], lxcPath, identity: "keep" });
  const small = {
    what: "990 files of 4 KB in a clone's own delta, made at its first start",
    who: "delta0",
    unit: "s",
  } as const;
  samples.add(small, ...(await smallUppers(context, at.path, lxcPath)));
  for (let i = 0; i < GENERATIONS; i++) {
    const change = `${at.path}/change${i}`;
    writeChange(change, i);
    await put(context, { sources: [change], target: `c${i}:/srv` });
    const of = {
      who: "delta0",
      unit: "s",
      at: { axis: "clones of clones", value: Math.floor(i / 4) * 4 + 4 },
    } as const;
    const cloned = await timed(() => clone(context, { ref: `c${i}`, names: [`c${i + 1}`], lxcPath, identity: "keep" }));
    samples.add({ what: "clone of a changed clone", ...of }, cloned);
    const [runnable] = await requireRunnable(context, [`c${i + 1}`]);
    if (runnable === undefined) continue;
    samples.add({ what: "its export: what it changed", ...of }, await timed(() => makeReady(context, runnable)));
  }
  const digest = (await warmExport(context, { ref: `c${GENERATIONS}` })).digest;
  const disk = (await listExports(context)).reduce((sum, { diskBytes }) => sum + (diskBytes ?? 0), 0);
  samples.add({ what: "exports on disk", who: "delta0", unit: "bytes" }, disk);
  const whole = await timed(() => store.exports.ensure(wholeStack(digest, null)));
  samples.add({ ...exporting, who: `delta0, the last whole${kind === "xfs" ? ", blocks shared" : ""}` }, whole);
  await report(
    `A Debian on ${kind}, and ${GENERATIONS} clones of clones with ${megabytes(BYTES)} in ${FILES} files more each`,
    samples.figures,
  );
}

/** Each delta changes /etc, /usr/bin, /usr/lib and dpkg's directory, where all lookups go: the worst there is. */
async function depths(): Promise<void> {
  await using at = await benchDirectory(3000);
  const lower = `${at.path}/base`;
  mkdirSync(lower);
  await run("tar", ["-xpf", await rootfsTar("bookworm"), "-C", lower]);
  for (const name of ["upper", "work", "mounted"]) mkdirSync(`${at.path}/${name}`);
  const layers = [lower];
  const samples = new Samples();
  for (const depth of DEPTHS) {
    for (; layers.length < depth; layers.unshift(`${at.path}/d${layers.length}`))
      for (const directory of ["etc", "usr/bin", "usr/lib", "var/lib/dpkg/info"]) {
        const made = `${at.path}/d${layers.length}/${directory}`;
        mkdirSync(made, { recursive: true });
        for (let i = 0; i < 20; i++) writeFileSync(`${made}/${layers.length}-${i}`, "changed");
      }
    const options = `lowerdir=${layers.map((layer) => basename(layer)).join(":")},upperdir=upper,workdir=work`;
    const of = { unit: "s", at: { axis: "lowers", value: depth } } as const;
    const walking = { what: "find in a Debian", ...of };
    for (let round = 0; round < ROUNDS; round++) {
      await run("sh", ["-c", "sync; echo 3 >/proc/sys/vm/drop_caches"]);
      await run("mount", ["-t", "overlay", "overlay", "-o", options, "mounted"], { cwd: at.path });
      const walk = (): Promise<string> => run("find", ["mounted", "-xdev", "-newer", "/"], { cwd: at.path });
      const read = (): Promise<string> => run("tar", ["cf", "/dev/null", "mounted/usr/bin"], { cwd: at.path });
      samples.add({ ...walking, who: "the kernel's overlay, nothing cached" }, await timed(walk));
      samples.add({ ...walking, who: "the kernel's overlay, again" }, await timed(walk));
      samples.add({ what: "tar of /usr/bin", who: "the kernel's overlay", ...of }, await timed(read));
      await run("umount", [`${at.path}/mounted`]);
    }
  }
  await report("A Debian through deep stacks of overlay", samples.figures);
}

async function opened(path: string) {
  const store = await Store.open(path, { create: true });
  return { store, context: { store, command: "bench" } };
}

/** What a clone gets in a delta of its own, at most: written at its first start. */
async function smallUppers(
  context: { store: Store; command: string },
  path: string,
  lxcPath: string,
): Promise<number[]> {
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
  return times;
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
