import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { errnoOf, isStoreError } from "../../src/errors.ts";
import { Kv } from "../../src/kv/kv.ts";
import { nextFileNumber } from "../../src/kv/manifest.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";

async function keysOf(directory: string): Promise<string[]> {
  await using kv = await Kv.open(directory, { create: false });
  return await keysIn(kv);
}

async function keysIn(kv: Kv): Promise<string[]> {
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
    fill(small.path);
    for (const round of [1, 2])
      for (const attempt of await Promise.allSettled(NUMBERS.map((i) => write(`full-${round}-${i}`))))
        assert.ok(attempt.status === "rejected" && isStoreError(attempt.reason, "NO_SPACE"));
    rmSync(`${small.path}/ballast`);
    for (const i of NUMBERS) await write(`after-${i}`);
  }
  assert.deepEqual(await keysOf(directory), acknowledged.sort());
  assert.ok(acknowledged.length > NUMBERS.length);
});

test("kv: a database on a full disk can be read, and written once there is room", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/db`;
  const acknowledged: string[] = [];
  {
    await using kv = await Kv.open(directory, { create: true });
    for (const i of NUMBERS) await put(kv, `before-${i}`).then(() => acknowledged.push(`before-${i}`));
    fill(small.path);
    await assert.rejects(put(kv, "full"), { code: "NO_SPACE" });
  }
  {
    await using kv = await Kv.open(directory, { create: false });
    assert.ok(isStoreError(kv.refusal, "NO_SPACE"));
    assert.deepEqual(await keysIn(kv), acknowledged.toSorted());
    for (const name of acknowledged) assert.equal(kv.getPartSync(Buffer.from(name), 0, 30_000)?.length, 20_000);
    for (const attempt of [put(kv, "full"), put(kv, "full too"), kv.barrier()])
      await assert.rejects(attempt, { code: "NO_SPACE" });
    assert.deepEqual(await keysIn(kv), acknowledged.toSorted());
    const reading = kv.keys({});
    await reading.next();
    rmSync(`${small.path}/ballast`);
    await put(kv, "room");
    acknowledged.push("room");
    assert.equal(kv.refusal, undefined);
    assert.ok((await reading.next()).done === false, "what was being read goes on");
    await reading.return(undefined);
  }
  assert.deepEqual(await keysOf(directory), acknowledged.toSorted());
});

test("kv: when LevelDB takes no write any more, what is written once there is room is there", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/db`;
  const acknowledged: string[] = [];
  {
    await using kv = await Kv.open(directory, { create: true });
    const write = (name: string): Promise<unknown> => put(kv, name).then(() => acknowledged.push(name));
    // A log fits, and no table of what it holds.
    const leave = Buffer.alloc(5_500_000, 1);
    writeFileSync(`${small.path}/leave`, leave);
    fill(small.path);
    rmSync(`${small.path}/leave`);
    for (let i = 0; i < 500; i++)
      if (
        !(await write(`filling-${i}`).then(
          () => true,
          (error: unknown) => {
            assert.ok(isStoreError(error, "NO_SPACE"));
            return false;
          },
        ))
      )
        break;
    await assert.rejects(put(kv, "full"), { code: "NO_SPACE" });
    assert.deepEqual(await keysIn(kv), acknowledged.toSorted());
    rmSync(`${small.path}/ballast`);
    for (const i of NUMBERS) await write(`after-${i}`);
    assert.deepEqual(await keysIn(kv), acknowledged.toSorted());
  }
  assert.deepEqual(await keysOf(directory), acknowledged.toSorted());
  assert.ok(acknowledged.length > 200);
});

test("kv: a database on a read-only filesystem can be read, and written once it is not", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 32);
  const directory = `${small.path}/db`;
  {
    await using kv = await Kv.open(directory, { create: true });
    for (const i of NUMBERS) await put(kv, `${i}`);
  }
  // What a killed process has left, with the number that LevelDB is about to use.
  const next = String(nextFileNumber(directory)).padStart(6, "0");
  for (const name of [`${next}.ldb`, `MANIFEST-${next}`]) writeFileSync(`${directory}/${name}`, "not whole");
  const files = readdirSync(directory).sort();
  await run("mount", ["-o", "remount,ro", small.path]);
  {
    await using kv = await Kv.open(directory, { create: false });
    await assert.rejects(put(kv, "read-only"), { code: "NOT_PERMITTED" });
    assert.deepEqual(await keysIn(kv), NUMBERS.map(String).sort());
    assert.deepEqual(readdirSync(directory).sort(), files);
    await run("mount", ["-o", "remount,rw", small.path]);
    await put(kv, "writable");
  }
  assert.deepEqual(await keysOf(directory), [...NUMBERS.map(String), "writable"].sort());
  assert.deepEqual(
    readdirSync("/dev/shm").filter((name) => name.startsWith("delta0-shadow-")),
    [],
  );
});

function fill(directory: string): void {
  for (const size of [1_000_000, 4096])
    try {
      for (;;) appendFileSync(`${directory}/ballast`, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal(errnoOf(error), "ENOSPC");
    }
}

const NUMBERS = Array.from({ length: 20 }, (_, i) => i);
