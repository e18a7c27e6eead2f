import { test } from "node:test";
import type { KernelOptions } from "../differential/kernel-overlay.ts";
import { assertAgreement, testSeed } from "../differential/property.ts";
import { Scratch } from "../differential/scratch.ts";
import { requireRoot } from "../support/requirements.ts";

const KERNELS: readonly KernelOptions[] = ["", "redirect_dir=on", "index=on,redirect_dir=on"];

for (const kernel of KERNELS) {
  const mount = kernel === "" ? "by default" : `with ${kernel}`;
  test(`differential: a container, a plain directory and an overlay mounted ${mount} agree, also on deltas`, async (t) => {
    if (!requireRoot(t)) return;
    await using scratch = await Scratch.make();
    await assertAgreement(scratch, { seed: testSeed(), sequences: 100, length: 100, kernel });
  });
}
