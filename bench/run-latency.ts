/** What a run in a container made for it costs beside LXC's own start, attach and stop of one that is there. Run: npm run bench -- run-latency */
import { mkdirSync, writeFileSync } from "node:fs";
import { busyboxRootfs } from "../test/lxc/support.ts";
import { benchDirectory, delta0, measure, median, reportText } from "./support.ts";

const ROUNDS = 30;

await using at = await benchDirectory(500);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
await busyboxRootfs(`${at.path}/rootfs`);
mkdirSync(`${lxc}/plain`, { recursive: true });
writeFileSync(`${lxc}/plain/config`, config(`dir:${at.path}/rootfs`));
delta0(store, ["import", `${at.path}/rootfs`, "base"]);
delta0(store, ["config", "lxc.path", lxc]);
delta0(store, ["export", "--for-start", "base"]);

const series = {
  plain: [] as number[],
  run: [] as number[],
  runWithDiff: [] as number[],
  nothing: [] as number[],
  list: [] as number[],
};
// In turns: the machine is others' too, and not the same from one minute to the next.
for (let round = 0; round < ROUNDS; round++) {
  series.plain.push(plain());
  series.run.push(delta0(store, ["run", "base", "--", "/bin/busybox", "true"]).seconds);
  series.runWithDiff.push(delta0(store, ["run", "--diff", "base", "--", "/bin/busybox", "true"]).seconds);
  series.nothing.push(delta0(store, ["--version"]).seconds);
  series.list.push(delta0(store, ["ls"]).seconds);
}
reportText(`one command in a container, ${ROUNDS} rounds (median, the slowest)`, [
  ["lxc-start, lxc-attach true, lxc-stop -k of a dir: rootfs", figures(series.plain)],
  ["delta0 run base -- true", figures(series.run)],
  ["the same with --diff", figures(series.runWithDiff)],
  ["delta0 ls: Node, native parts, the store (floor)", figures(series.list)],
  ["delta0 --version: Node alone (floor)", figures(series.nothing)],
]);

function plain(): number {
  const args = ["-P", lxc, "-n", "plain"];
  return [
    measure("lxc-start", args),
    measure("lxc-attach", [...args, "--", "/bin/busybox", "true"]),
    measure("lxc-stop", [...args, "-k"]),
  ].reduce((sum, { seconds }) => sum + seconds, 0);
}

function config(rootfs: string): string {
  const lines = [
    `lxc.rootfs.path = ${rootfs}`,
    "lxc.uts.name = plain",
    "lxc.net.0.type = empty",
    "lxc.apparmor.profile = unconfined",
    "lxc.init.cmd = /bin/sleep 1000",
    "lxc.autodev = 1",
    "lxc.mount.auto = proc:mixed sys:ro cgroup:mixed",
  ];
  return `${lines.join("\n")}\n`;
}

function figures(seconds: readonly number[]): string {
  return `${(median(seconds) * 1000).toFixed(0)} ms, ${(Math.max(...seconds) * 1000).toFixed(0)} ms`;
}
