import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { Kv } from "../../src/kv/kv.ts";
import type { Operation, Range } from "../../src/kv/kv.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Short keys that share beginnings. LevelDB takes no empty one. */
const key = fc
  .array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 })
  .map((bytes) => Buffer.from(bytes));
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ type: fc.constant("put"), key, value: fc.uint8Array({ maxLength: 20 }) }),
  fc.record({ type: fc.constant("del"), key }),
);
const range: fc.Arbitrary<Range> = fc.record(
  { gte: key, lt: key, reverse: fc.boolean(), limit: fc.nat(5) },
  { requiredKeys: [] },
);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test("kv: it holds what a map would, and gives ranges in the order of bytes, also after opening again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(operation)), range, async (batches, asked) => {
      await using directory = await temporaryDirectory();
      const expected = new Map<string, string>();
      const check = async (kv: Kv): Promise<void> => {
        const { gte, lt, reverse = false, limit } = asked;
        let keys = [...expected.keys()].sort();
        keys = keys.filter((k) => (gte === undefined || k >= hex(gte)) && (lt === undefined || k < hex(lt)));
        if (reverse) keys.reverse();
        keys = keys.slice(0, limit);
        const rows = (await all(kv.iterate(asked))).map(([k, value]) => [hex(k), hex(value)]);
        assert.deepEqual(
          rows,
          keys.map((k) => [k, expected.get(k)]),
        );
        assert.deepEqual((await all(kv.keys(asked))).map(hex), keys);
        for (const [k, value] of expected) assert.equal(hex(kv.getSync(Buffer.from(k, "hex"))!), value);
      };
      {
        await using kv = await Kv.open(directory.path, { create: true });
        for (const batch of batches) {
          await kv.write(batch);
          for (const each of batch) {
            if (each.type === "put") expected.set(hex(each.key), hex(each.value));
            else expected.delete(hex(each.key));
          }
        }
        await check(kv);
        await kv.barrier();
        await check(kv);
      }
      await using kv = await Kv.open(directory.path, { create: false });
      await check(kv);
    }),
    { numRuns: 25 },
  );
});

test("kv: memory that large writes took does not wait for V8's collector", async () => {
  await using directory = await temporaryDirectory();
  await using kv = await Kv.open(`${directory.path}/kv`, { create: true });
  const value = Buffer.alloc(128 << 10, 1);
  const operations = Array.from({ length: 8 }, (_, i): Operation => ({ type: "put", key: Buffer.of(i), value }));
  await kv.write(operations);
  const before = process.memoryUsage().rss;
  let grown = 0;
  for (let i = 0; i < 200; i++) {
    await kv.write(operations);
    grown = Math.max(grown, process.memoryUsage().rss - before);
  }
  assert.ok(grown < 64 << 20, `${grown >> 20} MiB`);
});

test("kv: an iteration shows the state at its start, and may be left early", async () => {
  await using directory = await temporaryDirectory();
  await using kv = await Kv.open(directory.path, { create: true });
  const put = (n: number): Operation => ({ type: "put", key: Buffer.of(n >> 8, n), value: Buffer.of(1) });
  await kv.write(Array.from({ length: 3000 }, (_, n) => put(2 * n)));
  let count = 0;
  for await (const _ of kv.keys({}))
    if (++count === 1) await kv.write(Array.from({ length: 3000 }, (_, n) => put(2 * n + 1)));
  assert.equal(count, 3000);
  for await (const _ of kv.keys({})) break;
});

test("kv: a second opening is told that it is locked, in this process and in another", async () => {
  await using directory = await temporaryDirectory();
  await using _kv = await Kv.open(directory.path, { create: true });
  await assert.rejects(Kv.open(directory.path, { create: false }), { code: "STORE_LOCKED" });
  const writer = startWriter(directory.path);
  let said = "";
  for await (const line of createInterface(writer.stdout)) said += line;
  assert.equal(said, "STORE_LOCKED");
});

test("kv: one that is there is not made again, and one that is not, or lost its CURRENT file, is not made anew", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/db`;
  await mkdir(path);
  const invalid = { code: "FORMAT_INVALID" };
  await assert.rejects(Kv.open(path, { create: false }), invalid);
  {
    await using kv = await Kv.open(path, { create: true });
    await kv.write([{ type: "put", key: Buffer.of(1), value: Buffer.of(2) }]);
  }
  await assert.rejects(Kv.open(path, { create: true }), invalid);
  await rm(`${path}/CURRENT`);
  await assert.rejects(Kv.open(path, { create: false }), invalid);
  await writeFile(`${path}/CURRENT`, "MANIFEST-999999\n");
  await assert.rejects(Kv.open(path, { create: false }), invalid);
});

test("kv: closing twice is fine, and what is asked of a closed one fails", async () => {
  await using directory = await temporaryDirectory();
  const kv = await Kv.open(directory.path, { create: true });
  await kv[Symbol.asyncDispose]();
  await kv[Symbol.asyncDispose]();
  assert.throws(() => kv.getSync(Buffer.of(1)));
  await assert.rejects(kv.write([{ type: "del", key: Buffer.of(1) }]));
});

for (const acknowledgements of [1, 10, 100]) {
  test(`kv: a writer killed after batch ${acknowledgements} leaves each batch whole or not there, those acknowledged whole`, async () => {
    await using directory = await temporaryDirectory();
    const writer = startWriter(directory.path);
    let acknowledged = 0;
    for await (const line of createInterface(writer.stdout)) {
      acknowledged = Number(line);
      if (acknowledged === acknowledgements) writer.kill("SIGKILL");
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
    assert.equal(writer.signalCode, "SIGKILL");

    await using kv = await Kv.open(directory.path, { create: false });
    const counts = new Map<number, number>();
    for await (const [k, value] of kv.iterate({})) {
      const batch = Buffer.from(k).readUInt32BE(0);
      counts.set(batch, (counts.get(batch) ?? 0) + 1);
      assert.equal(Buffer.from(value).readUInt32BE(0), batch);
    }
    assert.ok(counts.size >= acknowledged && acknowledged >= acknowledgements);
    for (let batch = 1; batch <= counts.size; batch++) assert.equal(counts.get(batch), 50);
  });
}

function startWriter(directory: string): ReturnType<typeof spawn> & { stdout: NodeJS.ReadableStream } {
  const script = fileURLToPath(new URL("batch-writer.ts", import.meta.url));
  return spawn(process.execPath, ["--import", "tsx", script, directory], { stdio: ["ignore", "pipe", "inherit"] });
}
