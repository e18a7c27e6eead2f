/**
 * Many containers at once: what hooks cost a start, how long lxc-stop waits for captures, and what 200 of them leave behind.
 * Run: npm run bench -- many-containers
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { busyboxRootfs, SLEEP } from "../test/lxc/support.ts";
import { traces } from "../test/lxc/traces.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, delta0, median, reportText, seconds } from "./support.ts";

const ROUNDS = 5;
const AT_ONCE = 10;
const STOPPED_AT_ONCE = 50;
const IN_ALL = 200;
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
  const [without, withHooks, ours]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    without.push((await timedAll("lxc-start", plain)).all);
    await timedAll("lxc-stop", plain, "-k");
    withHooks.push((await timedAll("lxc-start", some)).all);
    delta0(store, ["stop", "-t", "0", "-j", String(AT_ONCE), ...some]);
    ours.push(delta0(store, ["start", "-j", String(AT_ONCE), ...some]).seconds);
    delta0(store, ["stop", "-t", "0", "-j", String(AT_ONCE), ...some]);
  }
  reportText(`${AT_ONCE} starts at once, ${ROUNDS} rounds (medians)`, [
    ["lxc-start without our hooks (floor)", ms(median(without))],
    [
      "lxc-start with them",
      `${ms(median(withHooks))}, ${(median(withHooks) / median(without)).toFixed(2)} times as long`,
    ],
    ["delta0 start", ms(median(ours))],
  ]);
}

async function stops(): Promise<void> {
  const some = names.slice(0, STOPPED_AT_ONCE);
  delta0(store, ["start", "-j", String(AT_ONCE), ...some]);
  delta0(store, ["exec", "-j", String(AT_ONCE), ...some, "--", "touch", "/made"]);
  const { each, all } = await timedAll("lxc-stop", some, "-k");
  const uncaptured = await leftToCapture(some);
  const list = delta0(store, ["ls"]);
  reportText(`${STOPPED_AT_ONCE} stopped at once by lxc-stop`, [
    ["p50, p95, the slowest", [0.5, 0.95, 1].map((part) => ms(quantile(each, part))).join(", ")],
    ["all", ms(all)],
    ["left to the next command", `${uncaptured} of ${STOPPED_AT_ONCE}`],
    ["ls, which captures them", seconds(list)],
    ["left then", String(await leftToCapture(some))],
  ]);
}

async function all(): Promise<void> {
  const started = delta0(store, ["start", "-j", String(AT_ONCE), ...names]);
  const executed = delta0(store, ["exec", "-j", String(AT_ONCE), ...names, "--", "touch", "/made"]);
  const stopped = delta0(store, ["stop", "-t", "0", "-j", String(AT_ONCE), ...names]);
  const removed = delta0(store, ["rm", ...names]);
  await run("rm", ["-r", ...names.slice(0, AT_ONCE).map((name) => `${lxc}/plain${name}`)]);
  delta0(store, ["unexport"]);
  const left = (await traces(at.path, PREFIX)).filter((place) => place !== `${store}/exports`);
  const exports = readdirSync(`${store}/exports`);
  reportText(`${IN_ALL} clones, ${AT_ONCE} at a time`, [
    ["clone", seconds(cloned)],
    ["start", seconds(started)],
    ["exec", seconds(executed)],
    ["stop and capture", seconds(stopped)],
    ["rm", seconds(removed)],
    ["mounts, loop devices, cgroups, exports left", String(left.length + exports.length)],
  ]);
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

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN;
}

function ms(value: number): string {
  return `${(value * 1000).toFixed(0)} ms`;
}
