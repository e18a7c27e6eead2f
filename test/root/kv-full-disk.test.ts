import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { errnoOf, isStoreError } from "../../src/errors.ts";
import { Kv } from "../../src/kv/kv.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";

async function keysOf(directory: string): Promise<string[]> {
  await using kv = await Kv.open(directory, { create: false });
  const keys: string[] = [];
  for await (const key of kv.keys({})) keys.push(Buffer.from(key).toString("latin1"));
  return keys;
}

function put(kv: Kv, name: string): Promise<void> {
  return kv.write([{ type: "put", key: Buffer.from(name), value: randomBytes(20_000) }], { sync: true });
}

test("kv: what is written after writes that found no room is there when it is opened anew, and nothing else", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/db`;
  const acknowledged: string[] = [];
  {
    await using kv = await Kv.open(directory, { create: true });
    const write = (name: string): Promise<unknown> => put(kv, name).then(() => acknowledged.push(name));
    await write("before");
    const ballast = `${small.path}/ballast`;
    try {
      for (;;) appendFileSync(ballast, Buffer.alloc(4096, 1));
    } catch (error) {
      assert.equal(errnoOf(error), "ENOSPC");
    }
    for (const round of [1, 2])
      for (const attempt of await Promise.allSettled(NUMBERS.map((i) => write(`full-${round}-${i}`))))
        assert.ok(attempt.status === "rejected" && isStoreError(attempt.reason, "NO_SPACE"));
    rmSync(ballast);
    for (const i of NUMBERS) await write(`after-${i}`);
  }
  assert.deepEqual(await keysOf(directory), acknowledged.sort());
  assert.ok(acknowledged.length > NUMBERS.length);
});

test("kv: a filesystem that became read-only is NOT_PERMITTED, and what is written once it is not is there", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/db`;
  {
    await using kv = await Kv.open(directory, { create: true });
    await put(kv, "before");
  }
  await run("mount", ["-o", "remount,ro", small.path]);
  await assert.rejects(Kv.open(directory, { create: false }));
  await run("mount", ["-o", "remount,rw", small.path]);
  assert.deepEqual(await keysOf(directory), ["before"]);
});

const NUMBERS = Array.from({ length: 20 }, (_, i) => i);
