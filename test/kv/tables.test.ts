import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, truncate } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { isUnreadable, Kv } from "../../src/kv/kv.ts";
import { tablesIn } from "../../src/kv/table-format.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** LevelDB's least, so that there are many tables. */
const WRITE_BUFFER_BYTES = 64 * 1024;
const LENGTHS = [0, 1, 300, 4000, 5000, 20_000, 130_000];

function keyOf(id: number): Buffer {
  const key = Buffer.alloc(8);
  // `\x41` as text, or quotes: LevelDB's list of tables does not escape them.
  key.writeUInt32BE(id % 2 === 0 ? 0x5c783431 : 0x27205c27, 0);
  key.writeUInt32BE(id, 4);
  return key;
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ put: fc.nat(30), length: fc.constantFrom(...LENGTHS), byte: fc.nat(255) }) },
  fc.record({ del: fc.nat(30) }),
  fc.constant("barrier"),
  fc.constant("reopen"),
);

test("kv: a part of a value is that of the whole value, whatever was written, replaced and deleted since", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.nat(140_000),
      fc.nat(140_000),
      async (steps, start, length) => {
        await using directory = await temporaryDirectory();
        const path = `${directory.path}/kv`;
        const expected = new Map<number, Buffer>();
        let kv = await Kv.open(path, { create: true, writeBufferBytes: WRITE_BUFFER_BYTES });
        const room = Buffer.alloc(70_000);
        const check = (): void => {
          for (let id = 0; id <= 30; id++) {
            const part = kv.getPartSync(keyOf(id), start, length, room);
            const value = expected.get(id)?.subarray(start, start + length);
            assert.ok(value === undefined ? part === undefined : part !== undefined && value.equals(part), `${id}`);
          }
        };
        try {
          for (const each of steps) {
            if (each === "barrier") await kv.barrier();
            else if (each === "reopen") {
              await kv[Symbol.asyncDispose]();
              kv = await Kv.open(path, { create: false, writeBufferBytes: WRITE_BUFFER_BYTES });
            } else if ("del" in each) {
              await kv.write([{ type: "del", key: keyOf(each.del) }]);
              expected.delete(each.del);
            } else {
              const value = Buffer.alloc(each.length, each.byte);
              await kv.write([{ type: "put", key: keyOf(each.put), value }]);
              expected.set(each.put, value);
            }
            check();
          }
        } finally {
          await kv[Symbol.asyncDispose]();
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("kv: parts come from table files, without LevelDB, once a barrier put the values there; also after many barriers", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40 }), async (valuesPerBarrier) => {
      await using directory = await temporaryDirectory();
      const path = `${directory.path}/kv`;
      const values = Array.from({ length: 40 }, () => randomBytes(30_000));
      const check = (kv: Kv): void => {
        kv.getSync = () => assert.fail("asked LevelDB");
        for (const [id, value] of values.entries()) {
          assert.deepEqual(kv.getPartSync(keyOf(2 * id + 1), 0, Number.POSITIVE_INFINITY), value);
          assert.deepEqual(kv.getPartSync(keyOf(2 * id + 1), 29_000, 5000), value.subarray(29_000));
          assert.equal(kv.getPartSync(keyOf(2 * id + 1), 30_001, 5)?.length, 0);
        }
      };
      {
        await using kv = await Kv.open(path, { create: true, writeBufferBytes: WRITE_BUFFER_BYTES });
        await kv.barrier();
        for (const [id, value] of values.entries()) {
          await kv.write([{ type: "put", key: keyOf(2 * id + 1), value }]);
          if (id % valuesPerBarrier === 0) await kv.barrier();
        }
        await kv.barrier();
        check(kv);
      }
      await using kv = await Kv.open(path, { create: false });
      check(kv);
    }),
    { numRuns: 10 },
  );
});

test("kv: tables that were cut short are unreadable, and those beside them are not", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/kv`;
  const value = randomBytes(30_000);
  {
    await using kv = await Kv.open(path, { create: true, writeBufferBytes: WRITE_BUFFER_BYTES });
    for (let id = 1; id < 40; id += 2) await kv.write([{ type: "put", key: keyOf(id), value }]);
  }
  {
    // Opening writes the rest of the log to a table.
    await using _kv = await Kv.open(path, { create: false });
  }
  const tables = (await readdir(path)).filter((name) => name.endsWith(".ldb")).sort();
  await truncate(`${path}/${tables[0]!}`, 10_000);
  await using kv = await Kv.open(path, { create: false });
  let unreadable = 0;
  for (let id = 1; id < 40; id += 2) {
    try {
      assert.deepEqual(kv.getPartSync(keyOf(id), 0, 30_000), value);
    } catch (error) {
      assert.ok(isUnreadable(error));
      unreadable++;
    }
  }
  assert.ok(unreadable > 0 && unreadable < 20);
});

test("kv: of tables that overlap none is taken to know alone", () => {
  const range = fc.tuple(fc.nat(40), fc.nat(6));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const letter = (n: number): string => String.fromCharCode(0x30 + n);
      const lines = ranges.map(
        ([first, more], i) => ` ${i}:99['${letter(first)}' @ 1 : 1 .. '${letter(first + more)}' @ 2 : 1]`,
      );
      const alone = tablesIn(["--- level 0 ---", ...lines, "--- level 1 ---", ""].join("\n"));
      const overlaps = ([a, m]: [number, number], [b, n]: [number, number]): boolean => a <= b + n && b <= a + m;
      const expected = ranges.flatMap((one, i) =>
        ranges.some((other, j) => i !== j && overlaps(one, other)) ? [] : [String(i)],
      );
      assert.deepEqual(alone.map(({ number }) => number).sort(), expected.sort());
    }),
  );
});
