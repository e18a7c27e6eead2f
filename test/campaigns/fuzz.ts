import { parseArgs } from "node:util";
import { fuzz } from "../fuzz/fuzz.ts";
import { temporaryDirectory } from "../support/temporary.ts";

// Gives changed bytes to all that reads bytes from outside. A failure says the seed of its case:
//   npm run campaign:fuzz -- --cases 1000000 [--seed 1]
const { values } = parseArgs({ options: { cases: { type: "string" }, seed: { type: "string" } } });
const cases = Number(values.cases ?? 1_000_000);
const seed = Number(values.seed ?? 1);
if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) throw new Error("--cases and --seed are integers");

await using directory = await temporaryDirectory();
const began = performance.now();
const onProgress = (done: number): void => {
  if (done % 50_000 === 0) console.error(`${done} of ${cases}, ${Math.round((performance.now() - began) / 1000)} s`);
};
const report = await fuzz({ cases, seed, directory: directory.path, onProgress });
for (const { target, seed, error } of report.failures) console.error(`\n${target}, --seed ${seed} --cases 1:`, error);
const { slowestMs, maxRssBytes, largestGrowth } = report;
console.table(report.cases);
console.log(
  `slowest case ${Math.round(slowestMs)} ms; at most ${maxRssBytes >> 20} MiB; one case grew by ${largestGrowth.bytes >> 20} MiB`,
);
console.log(`${Math.round((performance.now() - began) / 1000)} s, ${report.failures.length} failures`);
process.exitCode = report.failures.length > 0 ? 1 : 0;
