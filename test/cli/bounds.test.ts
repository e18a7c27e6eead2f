import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { archive, entry, longName } from "../sources/tar-support.ts";
import { cliStore } from "../support/cli.ts";
import { isRoot } from "../support/run.ts";

/** What is above is an abort of V8, with a page of its own on standard error. */
const LITTLE_MEMORY = { NODE_OPTIONS: "--max-old-space-size=160" };

test("cli: a tree 20 000 levels deep goes in and out in little memory", async () => {
  await using cli = await cliStore();
  const path = `${"d/".repeat(20_000)}f`;
  writeFileSync(`${cli.path}/deep.tar`, archive(longName("L", path), entry({ name: "f" }, "x")));
  for (const args of [
    ["import", "-q", "deep.tar", "deep"],
    ["export", "-q", "deep", "out", ...(isRoot() ? [] : ["--as-user"])],
    ["import", "-q", "out", "again"],
  ]) {
    const { code, stderr } = await cli.delta0(args, { env: LITTLE_MEMORY });
    assert.deepEqual([args[0], code, stderr], [args[0], 0, ""]);
  }
});
