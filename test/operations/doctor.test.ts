import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { doctor } from "../../src/index.ts";
import { isRoot } from "../support/run.ts";
import { openTestHost } from "./support.ts";

test("doctor: looks at a store that is open, is damaged or is not there, and leaves nothing in it", async () => {
  await using at = await openTestHost();
  const { paths } = at.store;
  const resultOf = (directory: string, name: string): string | undefined =>
    doctor(directory).find((check) => check.name === name)?.result;
  const before = readdirSync(paths.directory);
  assert.notEqual(resultOf(paths.directory, "store"), undefined);
  assert.equal(resultOf(paths.directory, "exports"), "missing", "nothing is mounted yet");
  await at.store.exports.protect();
  if (isRoot()) assert.equal(resultOf(paths.directory, "exports"), "ok");
  await writeFile(paths.format, "nonsense");
  doctor(paths.directory);
  assert.deepEqual(readdirSync(paths.directory), before);
  for (const none of [`${at.path}/nowhere`, `${paths.format}/below`]) {
    assert.equal(resultOf(none, "store"), "missing");
    assert.equal(resultOf(none, "reflink"), undefined);
  }
});
