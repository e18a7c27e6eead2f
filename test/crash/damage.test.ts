import assert from "node:assert/strict";
import { test } from "node:test";
import { DAMAGE_KINDS } from "../campaigns/damage-cases.ts";
import { runDamageCampaign } from "../campaigns/damage-run.ts";
import { requireRoot } from "../support/requirements.ts";
import { temporaryDirectory } from "../support/temporary.ts";

// The whole campaign: npm run campaign:damage -- --cases 1000
test("damage: one thing of each kind is damaged: noticed, never read as something else, mended from what has it", async (t) => {
  // Exports are made where they are mounted.
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const failures: string[] = [];
  await runDamageCampaign(directory.path, { cases: DAMAGE_KINDS.length, seed: 7 }, (result) => {
    for (const failure of result.failures) failures.push(`seed ${result.seed}, ${result.done.kind}: ${failure}`);
  });
  assert.deepEqual(failures, []);
});
