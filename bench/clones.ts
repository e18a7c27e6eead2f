/** What a clone costs: time, bytes of store, inodes; beside lxc-copy -s. Run: npm run bench -- clones */
import { mkdirSync } from "node:fs";
import { rootfsTar } from "../test/support/rootfs.ts";
import { run } from "../test/support/run.ts";
import { benchDirectory, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";

const CLONES = sized(1000, 50);
const ROUNDS = sized(5, 1);
const LXC_COPIES = sized(20, 2);

await using at = await benchDirectory(3000);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
mkdirSync(lxc);
delta0(store, ["import", await rootfsTar("bookworm"), "base"]);
delta0(store, ["create", "base", "first", "-P", lxc]);

const samples = new Samples();
const together = `${CLONES} clones of bookworm in one command`;
const one = "a clone";
for (let round = 0; round < ROUNDS; round++) {
  const many = (prefix: string, ...args: readonly string[]): number =>
    delta0(store, ["clone", "base", "--count", String(CLONES), "--prefix", `${prefix}${round}x`, ...args]).seconds;
  const bytesBefore = await du(store, "-b");
  const plain = many("p", "--no-lxc");
  const bytes = (await du(store, "-b")) - bytesBefore;
  const inodesBefore = await du(lxc, "--inodes");
  const withLxc = many("c", "-P", lxc);
  const inodes = (await du(lxc, "--inodes")) - inodesBefore;
  samples.add(
    { what: together, who: "floor: node that does nothing", unit: "s" },
    measure(process.execPath, ["-e", "0"]).seconds,
  );
  samples.add({ what: together, who: "delta0 --version", unit: "s" }, delta0(store, ["--version"]).seconds);
  samples.add({ what: together, who: "delta0, without LXC directories", unit: "s" }, plain);
  samples.add({ what: together, who: "delta0, with LXC directories", unit: "s" }, withLxc);
  samples.add({ what: one, who: "delta0, of those without LXC directories", unit: "s" }, plain / CLONES);
  samples.add({ what: one, who: "delta0, of those with LXC directories", unit: "s" }, withLxc / CLONES);
  samples.add(
    { what: one, who: "delta0, a command of its own, with an LXC directory", unit: "s" },
    delta0(store, ["clone", "base", `alone${round}`, "-P", lxc]).seconds,
  );
  samples.add({ what: "store of a clone", who: "delta0", unit: "bytes" }, bytes / CLONES);
  samples.add({ what: "inodes of a clone before its first start", who: "delta0", unit: "count" }, inodes / CLONES);
}
if (hasPeer("lxc-copy")) {
  // It mounts what it copies: the export must be there.
  measure("lxc-start", ["-P", lxc, "-n", "first"]);
  measure("lxc-stop", ["-P", lxc, "-n", "first", "-k"]);
  for (let i = 0; i < LXC_COPIES; i++) {
    const { seconds } = measure("lxc-copy", ["-P", lxc, "-n", "first", "-N", `copy${i}`, "-s"]);
    samples.add({ what: one, who: "lxc-copy -s", unit: "s" }, seconds);
  }
}
await report("What a clone costs", samples.figures);

async function du(directory: string, of: string): Promise<number> {
  return Number((await run("du", ["-s", of, directory])).split("\t")[0]);
}
