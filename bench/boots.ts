/** Whether Debians on shared files boot as fast as one on its own directory, and 200 of them do. Run: npm run bench -- boots */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { traces } from "../test/lxc/traces.ts";
import { rootfsTar } from "../test/support/rootfs.ts";
import { benchDirectory, delta0, hasPeer, measure, report, Samples, sized, timed } from "./support.ts";

const ROUNDS = sized(15, 1);
const IN_ALL = sized(200, 3);
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

// The record has its version.
hasPeer("lxc-start");
await sideBySide();
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
async function sideBySide(): Promise<void> {
  const samples = new Samples();
  for (let round = 0; round < ROUNDS; round++) {
    const name = names[round] ?? "";
    for (const [who, container] of [
      ["LXC, of a dir: rootfs", "plain"],
      ["delta0, a clone's first start, with a new identity", name],
      ["delta0, the same clone again", name],
    ] as const) {
      const { start, running, stop } = await boot(container);
      samples.add({ what: "lxc-start", who, unit: "s" }, start);
      samples.add({ what: "from then until systemd has started all", who, unit: "s" }, running);
      samples.add({ what: "lxc-stop", who, unit: "s" }, stop);
    }
  }
  samples.add({ what: "writing the shared files, once", who: "delta0", unit: "s" }, exported.seconds);
  await report("One Debian with systemd at a time", samples.figures);
}

interface Boot {
  readonly start: number;
  readonly running: number;
  readonly stop: number;
}

async function boot(name: string): Promise<Boot> {
  const args = ["-P", lxc, "-n", name];
  const start = measure("lxc-start", args).seconds;
  const running = await timed(() => requireBooted(name));
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
  const took = await timed(() => {
    for (let i = 0; i < rest.length; i += AT_ONCE) {
      const some = rest.slice(i, i + AT_ONCE);
      delta0(store, ["start", "-j", String(AT_ONCE), ...some]);
      for (const name of some) requireBooted(name);
      delta0(store, ["stop", "-t", "20", "-j", String(AT_ONCE), ...some]);
    }
  });
  delta0(store, ["rm", ...names]);
  delta0(store, ["unexport"]);
  const left = (await traces(at.path, PREFIX)).filter((place) => place !== `${store}/exports`);
  const leftovers = "mounts, loop devices, cgroups, interfaces, processes, exports left";
  await report(`${rest.length} more Debians, ${AT_ONCE} at a time`, [
    { what: "each booted, was stopped and captured", who: "delta0", unit: "s", samples: [took] },
    { what: leftovers, who: "delta0", unit: "count", samples: [left.length + readdirSync(`${store}/exports`).length] },
  ]);
}
