/** Whether memory depends on the size of a file: one of random bytes in and out. Run: npm run bench -- large-file */
import { mkdirSync } from "node:fs";
import { benchDirectory, delta0, measure, report, Samples, sized } from "./support.ts";

const SIZES_GIB = [0.25, 1, 4].slice(0, sized(3, 1));
const ROUNDS = sized(3, 1);

await using at = await benchDirectory(14_000);
const samples = new Samples();
for (const size of SIZES_GIB) {
  const source = `${at.path}/source`;
  mkdirSync(source);
  measure("sh", ["-c", `head -c ${size * 2 ** 30} /dev/urandom >${source}/file; sync`]);
  for (let round = 0; round < ROUNDS; round++) {
    const store = `${at.path}/store`;
    for (const args of [
      ["import", source, "large"],
      ["export", "large", `${at.path}/out`],
    ]) {
      const { seconds, peakRssBytes } = delta0(store, args);
      const of = { who: `delta0 ${args[0] ?? ""}`, at: { axis: "GiB", value: size } };
      samples.add({ what: "peak memory", unit: "bytes", ...of }, peakRssBytes);
      samples.add({ what: "one file in, or out and synced", unit: "s", ...of }, seconds);
    }
    measure("sh", ["-c", `rm -r ${store} ${at.path}/out; sync`]);
  }
  measure("rm", ["-r", source]);
}
await report("A large file of random bytes", samples.figures);
