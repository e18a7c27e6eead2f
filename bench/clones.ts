/** What a clone costs: time, bytes of store, inodes; beside lxc-copy -s. Run: npm run bench -- clones */
import { mkdirSync } from "node:fs";
import { rootfsTar } from "../test/support/rootfs.ts";
import { hasCommand, run } from "../test/support/run.ts";
import { benchDirectory, delta0, measure, reportText, seconds } from "./support.ts";

const CLONES = 1000;
const LXC_COPIES = 20;

await using at = await benchDirectory(2000);
const store = `${at.path}/store`;
const lxc = `${at.path}/lxc`;
mkdirSync(lxc);
delta0(store, ["import", await rootfsTar("bookworm"), "base"]);
delta0(store, ["create", "base", "first", "-P", lxc]);

const bytesBefore = await size(store);
const plain = delta0(store, ["clone", "base", "--count", String(CLONES), "--prefix", "p", "--no-lxc"]);
const bytes = (await size(store)) - bytesBefore;
const inodesBefore = await inodes(lxc);
const withLxc = delta0(store, ["clone", "base", "--count", String(CLONES), "--prefix", "c", "-P", lxc]);
const perClone = ((await inodes(lxc)) - inodesBefore) / CLONES;
const list = delta0(store, ["ls"]);

reportText(`${CLONES} clones of bookworm in one command`, [
  ["without LXC directories", seconds(plain)],
  ["with LXC directories", seconds(withLxc)],
  ["store per clone", `${(bytes / CLONES).toFixed(0)} bytes`],
  ["inodes per clone", String(perClone)],
  [`ls of ${2 * CLONES + 2} names`, seconds(list)],
  ["one command that does nothing (floor)", seconds(delta0(store, ["--version"]))],
  ...(await lxcCopies()),
]);

async function lxcCopies(): Promise<[string, string][]> {
  if (!hasCommand("lxc-copy")) return [];
  // It mounts what it copies: the export must be there.
  measure("lxc-start", ["-P", lxc, "-n", "first"]);
  measure("lxc-stop", ["-P", lxc, "-n", "first", "-k"]);
  const began = performance.now();
  for (let i = 0; i < LXC_COPIES; i++) measure("lxc-copy", ["-P", lxc, "-n", "first", "-N", `copy${i}`, "-s"]);
  return [["lxc-copy -s, each", `${((performance.now() - began) / LXC_COPIES).toFixed(0)} ms`]];
}

async function size(directory: string): Promise<number> {
  return Number((await run("du", ["-sb", directory])).split("\t")[0]);
}

async function inodes(directory: string): Promise<number> {
  return Number((await run("du", ["-s", "--inodes", directory])).split("\t")[0]);
}
