import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import { DigestMap } from "../../src/model/digest-map.ts";

test("digest map: it answers as a Map does, also for digests that begin alike", () => {
  // Of a few first words, so that many meet in one place.
  const digest = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3000 }))
    .map(
      ([head, tail]) => `0000000${head}${digestOf(Buffer.from(String(tail))).slice(8)}` as ReturnType<typeof digestOf>,
    );
  fc.assert(
    fc.property(fc.array(fc.tuple(digest, fc.nat(2 ** 31 - 2)), { maxLength: 3000, size: "max" }), (pairs) => {
      const map = new DigestMap();
      const model = new Map<string, number>();
      for (const [key, value] of pairs) {
        assert.equal(map.get(key), model.get(key));
        map.set(key, value);
        model.set(key, value);
      }
      assert.equal(map.size, model.size);
      for (const [key] of pairs) assert.equal(map.get(key), model.get(key));
      assert.deepEqual(new Map(map), model);
      assert.equal(map.add(digestOf(Buffer.from("another"))), true);
      assert.equal(map.add(digestOf(Buffer.from("another"))), false);
    }),
    { numRuns: 20 },
  );
});
