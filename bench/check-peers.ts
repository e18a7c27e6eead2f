/**
 * What reading and proving all that a store of four root filesystems holds takes, beside the peers that are installed. The floor reads all files of
 * the store. Run: npm run bench -- check-peers
 */
import { peerPlace, PEERS, tell, unpackRoots } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { benchDirectory, delta0, hasPeer, measure, report, Samples, sized } from "./support.ts";
import type { Measured } from "./support.ts";

const ROUNDS = sized(5, 1);

await using at = await benchDirectory(8000);
const roots = await unpackRoots(`${at.path}/roots`);
const store = `${at.path}/store`;
for (const [n, root] of roots.entries()) delta0(store, ["import", root, `n${n}`]);
const peers = PEERS.filter(({ program, check }) => check !== undefined && hasPeer(program)).map(prepared);

const samples = new Samples();
for (let round = 0; round < ROUNDS; round++) {
  keep("floor: cat of all files of delta0's store", measure("find", [store, "-type", "f", "-exec", "cat", "{}", "+"]));
  keep("delta0 fsck --deep", delta0(store, ["fsck", "--deep"]));
  for (const { name, check } of peers) keep(name, check());
}
await report("Checking a store of four root filesystems, all data", samples.figures);

/** Its store, made. */
function prepared({ name, make, put, check = "" }: Peer, i: number): { name: string; check: () => Measured } {
  const place = peerPlace(`${at.path}/peers/${i}`);
  if (make !== undefined) tell(make, place, { root: roots[0]! });
  for (const [n, root] of roots.entries()) tell(put, place, { root, n });
  return { name, check: () => tell(check, place, { root: roots[0]! }) };
}

function keep(who: string, { seconds, cpuSeconds, peakRssBytes }: Measured): void {
  samples.add({ what: "all data read and proven", who, unit: "s" }, seconds);
  samples.add({ what: "CPU of that", who, unit: "s" }, cpuSeconds);
  samples.add({ what: "peak memory of that", who, unit: "bytes" }, peakRssBytes);
}
