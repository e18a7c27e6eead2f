/**
 * Many containers at once: what hooks cost a start, how long lxc-stop waits for captures, and what 200 of them leave behind.
 * Run: npm run bench -- many-containers
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { busyboxRootfs, SLEEP } from "../test/lxc/support.ts";
import { traces } from "../test/lxc/traces.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, delta0, hasPeer, report, Samples, sized } from "./support.ts";

const ROUNDS = sized(5, 1);
const AT_ONCE = 10;
const STOPPED_AT_ONCE = sized(50, 10);
const IN_ALL = sized(200, 20);
const PREFIX = `bench${process.pid}x`;

await using at = await benchDirectory(1000);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
mkdirSync(lxc);
await busyboxRootfs(`${at.path}/rootfs`);
delta0(store, ["import", `${at.path}/rootfs`, "base"]);
delta0(store, ["config", "lxc.path", lxc]);
delta0(store, ["export", "--for-start", "base"]);
const cloned = delta0(store, ["clone", "base", "--count", String(IN_ALL), "--prefix", PREFIX, ...SLEEP]);
const names = Array.from({ length: IN_ALL }, (_, i) => `${PREFIX}${i + 1}`);

// The record has its version.
hasPeer("lxc-start");
await starts();
await stops();
await all();

async function starts(): Promise<void> {
  const some = names.slice(0, AT_ONCE);
  const plain = some.map((name) => `plain${name}`);
  for (const [i, name] of plain.entries()) {
    mkdirSync(`${lxc}/${name}/delta0`, { recursive: true });
    const config = readFileSync(`${lxc}/${some[i] ?? ""}/config`, "utf8").replaceAll(`/${some[i] ?? ""}/`, `/${name}/`);
    writeFileSync(`${lxc}/${name}/config`, config.replace(/^lxc\.include.*\n/m, ""));
  }
  const samples = new Samples();
  const time = { what: `${AT_ONCE} starts at once`, unit: "s" } as const;
  const stop = (): unknown => delta0(store, ["stop", "-t", "0", "-j", String(AT_ONCE), ...some]);
  for (let round = 0; round < ROUNDS; round++) {
    samples.add({ ...time, who: "floor: lxc-start without our hooks" }, (await timedAll("lxc-start", plain)).all);
    await timedAll("lxc-stop", plain, "-k");
    samples.add({ ...time, who: "delta0's hooks, with lxc-start" }, (await timedAll("lxc-start", some)).all);
    stop();
    const { seconds } = delta0(store, ["start", "-j", String(AT_ONCE), ...some]);
    samples.add({ ...time, who: "delta0 start" }, seconds);
    stop();
  }
  await report(`Starts of busybox, ${AT_ONCE} at once`, samples.figures);
}

async function stops(): Promise<void> {
  const some = names.slice(0, STOPPED_AT_ONCE);
  const samples = new Samples();
  for (let round = 0; round < ROUNDS; round++) {
    delta0(store, ["start", "-j", String(AT_ONCE), ...some]);
    delta0(store, ["exec", "-j", String(AT_ONCE), ...some, "--", "touch", "/made"]);
    const { each, all } = await timedAll("lxc-stop", some, "-k");
    const uncaptured = await leftToCapture(some);
    const { seconds } = delta0(store, ["ls"]);
    const sorted = each.toSorted((a, b) => a - b);
    for (const [who, part] of [
      ["delta0, half are stopped", 0.5],
      ["delta0, 95 of 100 are stopped", 0.95],
    ] as const)
      samples.add({ what: "lxc-stop", who, unit: "s" }, sorted[Math.ceil(part * sorted.length) - 1]!);
    samples.add({ what: "lxc-stop", who: "delta0, all are stopped", unit: "s" }, all);
    samples.add({ what: "ls afterwards, which captures what is left", who: "delta0", unit: "s" }, seconds);
    samples.add({ what: "left to it", who: "delta0", unit: "count" }, uncaptured);
    samples.add({ what: "left then", who: "delta0", unit: "count" }, await leftToCapture(some));
  }
  await report(`${STOPPED_AT_ONCE} stopped at once by lxc-stop`, samples.figures);
}

async function all(): Promise<void> {
  const samples = new Samples();
  const step = (what: string, args: readonly string[]): void =>
    samples.add({ what, who: "delta0", unit: "s" }, delta0(store, args).seconds);
  samples.add({ what: "clone", who: "delta0", unit: "s" }, cloned.seconds);
  step("start", ["start", "-j", String(AT_ONCE), ...names]);
  step("exec", ["exec", "-j", String(AT_ONCE), ...names, "--", "touch", "/made"]);
  step("stop and capture", ["stop", "-t", "0", "-j", String(AT_ONCE), ...names]);
  step("rm", ["rm", ...names]);
  await run("rm", ["-r", ...names.slice(0, AT_ONCE).map((name) => `${lxc}/plain${name}`)]);
  delta0(store, ["unexport"]);
  const left = (await traces(at.path, PREFIX)).filter((place) => place !== `${store}/exports`);
  const leftovers = left.length + readdirSync(`${store}/exports`).length;
  samples.add({ what: "mounts, loop devices, cgroups, exports left", who: "delta0", unit: "count" }, leftovers);
  await report(`${IN_ALL} clones, ${AT_ONCE} at a time`, samples.figures);
}

interface Timed {
  readonly each: readonly number[];
  readonly all: number;
}

/** Seconds that a program of LXC's takes for each, all begun at once. */
async function timedAll(program: string, containers: readonly string[], ...args: string[]): Promise<Timed> {
  const began = performance.now();
  const since = (): number => (performance.now() - began) / 1000;
  const each = await Promise.all(
    containers.map(
      (name) =>
        new Promise<number>((resolve, reject) => {
          const child = spawn(program, ["-P", lxc, "-n", name, ...args], { stdio: "ignore" });
          child.on("exit", (code) => {
            if (code === 0) resolve(since());
            else reject(new Error(`${program} ${name}: ended with ${code ?? "a signal"}`));
          });
        }),
    ),
  );
  return { each, all: since() };
}

async function leftToCapture(containers: readonly string[]): Promise<number> {
  const found = await run("find", [lxc, "-maxdepth", "2", "(", "-name", "work", "-o", "-name", "capturing", ")"]);
  return containers.filter((name) => found.includes(`/${name}/`)).length;
}
