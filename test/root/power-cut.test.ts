import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { cutMany } from "../campaigns/cut-power.ts";
import { copyOfCheckout, whileBroken } from "../support/mutants.ts";
import { requireLoop } from "../support/requirements.ts";

/** Of each filesystem; more of them: npm run campaign:power */
const CUTS = Number(process.env["DELTA0_CUTS"] ?? 15);

for (const filesystem of ["ext4", "xfs"] as const) {
  test(`power cut: after each of ${CUTS} on ${filesystem} all that was acknowledged is there, and what has a name is whole`, async (t) => {
    if (!requireLoop(t, filesystem)) return;
    const seed = Date.now() % 1_000_000;
    t.diagnostic(`seed ${seed}`);
    await cutMany({ filesystem, count: CUTS, from: seed });
  });
}

test("power cut: without the barrier a name can outlive what it stands for", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using copy = await copyOfCheckout();
  // If this never fails, the tests above prove nothing.
  const mutation = {
    file: "src/kv/kv.ts",
    text: "    await this.requireWritable();\n    await this.#barrier();\n",
    instead: "",
  };
  const { stderr } = await whileBroken(copy, mutation, () => {
    const args = ["--cuts", "16", "--filesystem", "ext4", "--verb", "import"];
    return spawnSync(process.execPath, ["--import", "tsx", "test/campaigns/power.ts", ...args], {
      cwd: copy.path,
      encoding: "utf8",
    });
  });
  assert.match(stderr, /"(CHUNK|NODE)_MISSING"|'(CHUNK|NODE)_MISSING'/);
});
