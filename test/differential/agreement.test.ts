import { test } from "node:test";
import { assertAgreement, testSeed } from "./property.ts";
import { Scratch } from "./scratch.ts";

test("differential: a container does what a plain directory and a table do, whatever is done to it", async () => {
  await using scratch = await Scratch.make();
  await assertAgreement(scratch, { seed: testSeed(), sequences: 60, length: 100 });
});
