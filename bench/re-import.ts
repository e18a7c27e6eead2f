/**
 * What importing a root filesystem of 5.5k entries again costs, of which nothing changed, and ten files: inside a process that goes on and as a
 * command, beside the peers that are installed. The floor looks at each file, and reads none. Run: npm run bench -- re-import
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../test/support/run.ts";
import { CASYNC, peerPlace, PEERS, tell, unpackRoots } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { benchDirectory, built, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";

const ROUNDS = sized(9, 2);
const CHANGED = 10;
/** Until then no tool may trust a ctime. */
const SETTLING_MS = 3000;

const { importLayer, Store } = await built();

const TOOLS: readonly Peer[] = [
  ...PEERS,
  {
    ...CASYNC,
    name: "casync with its cache",
    put: CASYNC.put.replace("--with=best", "--with=best --cache=$HOME/cache"),
  },
  {
    ...CASYNC,
    name: "rsync -aHAX",
    program: "rsync",
    put: "rsync -aHAX $root/ $store/$n",
  },
];

await using at = await benchDirectory(8000);
const [root = ""] = await unpackRoots(`${at.path}/roots`, ["trixie"]);
const changing = (await run("find", [root, "-type", "f", "-size", "-64k"])).split("\n");
await sleep(SETTLING_MS);

const peers = TOOLS.filter(({ program }) => hasPeer(program)).map(({ name, program, make, put }, i) => {
  const place = peerPlace(`${at.path}/tools/${i}`);
  if (make !== undefined) tell(make, place, { root });
  tell(put, place, { root });
  return {
    name,
    again: (round: number) => tell(put, place, { root, round }),
    /** What it reads instead. */
    copy: program === "ostree" ? `${place.home}/plain/0` : undefined,
  };
});
const command = `${at.path}/command`;
delta0(command, ["import", root, "n0"]);
mkdirSync(`${at.path}/inside`);
await using store = await Store.open(`${at.path}/inside/store`, { create: true });
await importLayer({ store, command: "bench" }, { source: root, name: "n0" });

const samples = new Samples();
let imports = 0;
for (let round = 0; round < ROUNDS; round++) {
  await everyone("nothing changed");
  change(round);
  await sleep(SETTLING_MS);
  await everyone(`${CHANGED} files changed`);
  await sleep(SETTLING_MS);
}
await report(`importing a root filesystem of 5.5k entries again`, samples.figures);

async function everyone(what: string): Promise<void> {
  imports++;
  const began = performance.now();
  const cpu = process.cpuUsage();
  await importLayer({ store, command: "bench" }, { source: root, name: `n${imports}` });
  const { user, system } = process.cpuUsage(cpu);
  keep(what, "delta0 inside a process", (performance.now() - began) / 1000, (user + system) / 1e6);
  const ours = delta0(command, ["import", root, `n${imports}`]);
  keep(what, "delta0", ours.seconds, ours.cpuSeconds);
  for (const { name, again } of peers) {
    const theirs = again(imports);
    keep(what, name, theirs.seconds, theirs.cpuSeconds);
  }
  const floor = measure("find", [root, "-newer", root, "-printf", "%s %C@\\n"]);
  keep(what, "floor: find, which looks at each", floor.seconds, floor.cpuSeconds);
}

function keep(what: string, who: string, seconds: number, cpuSeconds: number): void {
  samples.add({ what, who, unit: "s" }, seconds);
  samples.add({ what: `${what}, CPU`, who, unit: "s" }, cpuSeconds);
}

/** In each round others, all over the tree. */
function change(round: number): void {
  for (let i = 0; i < CHANGED; i++) {
    const path = changing[(i * Math.floor(changing.length / CHANGED) + round) % changing.length] ?? "";
    appendFileSync(path, "x");
    for (const { copy } of peers) if (copy !== undefined) appendFileSync(path.replace(root, copy), "x");
  }
}
