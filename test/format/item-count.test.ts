import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countItems } from "../../src/format/item-count.ts";
import { pack, unpack } from "../../src/format/packing.ts";

type Value = number | string | Buffer | boolean | null | Value[];

const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.maxSafeInteger(),
    fc.integer({ min: -200, max: 200 }),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("x".repeat(70_000), Buffer.alloc(70_000)),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 15, maxLength: 17 }),
  ),
}));

function itemsOf(value: Value): number {
  return Array.isArray(value) ? value.reduce((sum: number, item) => sum + itemsOf(item), value.length) : 0;
}

test("item count: is what any value has, without unpacking it", () => {
  fc.assert(
    fc.property(value, (value) => {
      assert.equal(countItems(pack(value)), itemsOf(value));
    }),
    { numRuns: 500 },
  );
  assert.equal(countItems(pack(new Array<null>(70_000).fill(null))), 70_000);
});

test("item count: of any bytes it ends, and is no less than what can be unpacked of them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const count = countItems(bytes);
      let unpacked: unknown;
      try {
        unpacked = unpack(bytes, "it");
      } catch {
        return;
      }
      assert.equal(count, itemsOf(unpacked as Value));
    }),
    { numRuns: 2000 },
  );
});
