/** Whether Debians on shared files boot as fast as one on its own directory, and 200 of them do. Run: npm run bench -- boots */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { traces } from "../test/lxc/traces.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, measure, median, reportText, seconds } from "./support.ts";

const ROUNDS = 15;
const IN_ALL = 200;
const AT_ONCE = 10;
const PREFIX = `b${process.pid}x`;

await using at = await benchDirectory(3000);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
mkdirSync(lxc);
const tar = await rootfsTar("bookworm");
delta0(store, ["import", tar, "base"]);
delta0(store, ["config", "lxc.path", lxc]);
const exported = delta0(store, ["export", "--for-start", "base"]);
delta0(store, ["clone", "base", "--count", String(IN_ALL), "--prefix", PREFIX]);
const names = Array.from({ length: IN_ALL }, (_, i) => `${PREFIX}${i + 1}`);
makePlain();

sideBySide();
await all();

/** A container as LXC's own users have it, with the same config but for its root filesystem. */
function makePlain(): void {
  mkdirSync(`${lxc}/plain/rootfs`, { recursive: true });
  measure("tar", ["-xpf", tar, "-C", `${lxc}/plain/rootfs`, "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
  const config = readFileSync(`${lxc}/${names[0] ?? ""}/config`, "utf8")
    .replace(/^lxc\.include.*\n/m, "")
    .replace(/^lxc\.rootfs\.path.*$/m, `lxc.rootfs.path = dir:${lxc}/plain/rootfs`)
    .replace(/^lxc\.uts\.name.*$/m, "lxc.uts.name = plain");
  writeFileSync(`${lxc}/plain/config`, config);
}

/** In turns: the machine is others' too. */
function sideBySide(): void {
  const plain: Boot[] = [];
  const first: Boot[] = [];
  const again: Boot[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const name = names[round] ?? "";
    plain.push(boot("plain"));
    first.push(boot(name));
    again.push(boot(name));
  }
  reportText(`one Debian at a time, ${ROUNDS} rounds: lxc-start, until systemd has started all, lxc-stop (medians)`, [
    ["plain lxc-start of a dir: rootfs", figures(plain)],
    ["a clone, its first start, with a new identity", figures(first)],
    ["the same clone again", figures(again)],
    ["writing the shared files, once", seconds(exported)],
  ]);
}

interface Boot {
  readonly start: number;
  readonly running: number;
  readonly stop: number;
}

function boot(name: string): Boot {
  const args = ["-P", lxc, "-n", name];
  const start = measure("lxc-start", args).seconds;
  const began = performance.now();
  requireBooted(name);
  const running = (performance.now() - began) / 1000;
  return { start, running, stop: measure("lxc-stop", [...args, "-t", "20"]).seconds };
}

/** Until systemd has done all; fails if anything of it did. */
function requireBooted(name: string): void {
  for (;;) {
    const args = ["-P", lxc, "-n", name, "--", "systemctl", "is-system-running", "--wait"];
    const { stdout } = spawnSync("lxc-attach", args, { encoding: "utf8" });
    if (stdout.trim() === "running") return;
    // Until there is a bus it says nothing.
    if (!["", "offline"].includes(stdout.trim())) throw new Error(`${name}: ${stdout}`);
  }
}

async function all(): Promise<void> {
  const rest = names.slice(ROUNDS);
  const began = performance.now();
  for (let i = 0; i < rest.length; i += AT_ONCE) {
    const some = rest.slice(i, i + AT_ONCE);
    delta0(store, ["start", "-j", String(AT_ONCE), ...some]);
    for (const name of some) requireBooted(name);
    delta0(store, ["stop", "-t", "20", "-j", String(AT_ONCE), ...some]);
  }
  const took = (performance.now() - began) / 1000;
  delta0(store, ["rm", ...names]);
  delta0(store, ["unexport"]);
  const left = (await traces(at.path, PREFIX)).filter((place) => place !== `${store}/exports`);
  reportText(`${rest.length} more Debians, ${AT_ONCE} at a time`, [
    ["each booted, was stopped and captured", `in ${took.toFixed(0)} s`],
    [
      "mounts, loop devices, cgroups, interfaces, processes, exports left",
      String(left.length + readdirSync(`${store}/exports`).length),
    ],
  ]);
}

function figures(boots: readonly Boot[]): string {
  const of = (part: keyof Boot): string => `${(median(boots.map((boot) => boot[part])) * 1000).toFixed(0)} ms`;
  return `${of("start")}, ${of("running")}, ${of("stop")}`;
}
