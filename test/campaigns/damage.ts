import { parseArgs } from "node:util";
import { temporaryDirectory } from "../support/temporary.ts";
import { runDamageCampaign } from "./damage-run.ts";

// Flips, zeroes, truncates and deletes in each kind of file and of record:
//   npm run campaign:damage -- --cases 1000 [--seed 1]
const { values } = parseArgs({ options: { cases: { type: "string" }, seed: { type: "string" } } });
const cases = Number(values.cases ?? 1000);
const seed = Number(values.seed ?? 1);
if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) throw new Error("--cases and --seed are integers");

await using directory = await temporaryDirectory();
const began = performance.now();
const byKind: Record<string, { cases: number; matter: number; detected: number; healed: number; failed: number }> = {};
let done = 0;
await runDamageCampaign(
  directory.path,
  { cases, seed },
  ({ seed, done: { kind, action, what, matters }, ...result }) => {
    const sums = (byKind[kind] ??= { cases: 0, matter: 0, detected: 0, healed: 0, failed: 0 });
    sums.cases++;
    if (matters) sums.matter++;
    if (result.detected) sums.detected++;
    if (result.healed) sums.healed++;
    if (result.failures.length > 0) {
      sums.failed++;
      console.error(`\nseed ${seed}: ${kind}: ${action} ${what}\n  ${result.failures.join("\n  ")}`);
    }
    if (++done % 100 === 0) console.error(`${done} of ${cases}, ${Math.round((performance.now() - began) / 1000)} s`);
  },
);
console.table(byKind);
const failed = Object.values(byKind).reduce((sum, { failed }) => sum + failed, 0);
console.log(`${cases} cases, ${Math.round((performance.now() - began) / 1000)} s, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
