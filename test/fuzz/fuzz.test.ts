import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryDirectory } from "../support/temporary.ts";
import { fuzz } from "./fuzz.ts";

/** `npm run campaign:fuzz` does as many as it is told. */
const CASES = 20_000;

test("fuzz: whatever bytes decoders and readers get, they read them or refuse them by a typed error, soon and in little memory", async () => {
  await using directory = await temporaryDirectory();
  const { failures, cases } = await fuzz({ cases: CASES, seed: 1, directory: directory.path });
  assert.deepEqual(failures, []);
  for (const [target, count] of Object.entries(cases)) assert.ok(count > 0, target);
});
