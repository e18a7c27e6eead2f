/** What a run in a container made for it costs beside LXC's own start, attach and stop of one that is there. Run: npm run bench -- run-latency */
import { mkdirSync, writeFileSync } from "node:fs";
import { busyboxRootfs } from "../test/lxc/support.ts";
import { benchDirectory, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";

const ROUNDS = sized(30, 2);

await using at = await benchDirectory(500);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
await busyboxRootfs(`${at.path}/rootfs`);
mkdirSync(`${lxc}/plain`, { recursive: true });
writeFileSync(`${lxc}/plain/config`, config(`dir:${at.path}/rootfs`));
delta0(store, ["import", `${at.path}/rootfs`, "base"]);
delta0(store, ["config", "lxc.path", lxc]);
delta0(store, ["export", "--for-start", "base"]);

const samples = new Samples();
const one = { what: "one command in a container", unit: "s" } as const;
// In turns: the machine is others' too, and not the same from one minute to the next.
for (let round = 0; round < ROUNDS; round++) {
  samples.add({ ...one, who: "floor: node that does nothing" }, measure(process.execPath, ["-e", "0"]).seconds);
  for (const args of [
    ["--version"],
    ["ls"],
    ["run", "base", "--", "/bin/busybox", "true"],
    ["run", "--diff", "base", "--", "/bin/busybox", "true"],
  ])
    samples.add({ ...one, who: `delta0 ${args.join(" ")}` }, delta0(store, args).seconds);
  if (hasPeer("lxc-start"))
    samples.add({ ...one, who: "lxc-start, lxc-attach true, lxc-stop -k of a dir: rootfs" }, plain());
}
await report("One command in a container that is made for it", samples.figures);

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
