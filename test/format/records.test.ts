import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { digestKey, historyKey, idKey, idOfKey, kindRange, nameKey } from "../../src/format/keys.ts";
import { pack, unpack } from "../../src/format/packing.ts";
import { FORMAT_VERSION, isIntact, openBytes, openRecord, sealBytes, sealRecord } from "../../src/format/record.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { openEngine } from "../support/engine.ts";
import { nastyChanges } from "./nasty-tree.ts";
import { canonical, sealed } from "./samples.ts";
import { build } from "../trees/support.ts";

/** Bytes and digests of format 1. They never change: a store that was written once is read for good. */
const golden = JSON.parse(readFileSync(new URL("format-1.golden.json", import.meta.url), "utf8")) as {
  records: Record<string, string>;
  trees: Record<string, string>;
};
const samples = { ...canonical, ...sealed };

const key = nameKey("ref", "web");

test("format 1: every record has the bytes it always had, and reads", () => {
  const records = Object.fromEntries(Object.entries(samples).map(([name, { bytes }]) => [name, hex(bytes)]));
  records["sealed record"] = sealRecord(key, ["layer", 1, null]).toString("hex");
  records["keys"] = [digestKey("chunk", digestOf(key)), key, nameKey("setting", "s"), historyKey(258), idKey(2 ** 40)]
    .map((bytes) => bytes.toString("hex"))
    .join(" ");
  assert.deepEqual(records, golden.records);
  for (const { bytes, again } of Object.values(samples)) assert.equal(hex(again(bytes)), hex(bytes));
});

test("format 1: a fixed tree of everything nasty has the digest it always had", async () => {
  await using engine = await openEngine();
  const { tree, refused } = build(engine.trees, nastyChanges());
  assert.deepEqual(refused, []);
  const trees = { empty: engine.trees.emptyTree().digest, nasty: tree.digest };
  assert.deepEqual(trees, golden.trees);
});

/** One byte changed, some taken out, some put in, or two pieces swapped. */
const mutation = fc.record({
  at: fc.nat(),
  remove: fc.constantFrom(0, 1, 1, 2, 5, 33),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 3 }),
    fc.constantFrom(
      [0xcc],
      [0xcd, 0],
      [0xce, 0, 0, 0],
      [0xd9, 1],
      [0xda, 0],
      [0xc4],
      [0xdc, 0],
      [0xdd],
      [0xcb],
      [0xd4, 0x72],
    ),
  ),
});

function mutated(
  bytes: Uint8Array,
  changes: readonly { at: number; remove: number; insert: Iterable<number> }[],
): Buffer {
  return changes.reduce((before, { at, remove, insert }) => {
    const start = at % (before.length + 1);
    return Buffer.concat([before.subarray(0, start), Uint8Array.from(insert), before.subarray(start + remove)]);
  }, Buffer.from(bytes));
}

/** msgpackr leaves properties on buffers, which `deepEqual` would see. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function isFormatError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("FORMAT_");
}

for (const [name, { bytes, again }] of Object.entries(samples)) {
  test(`${name}: changed bytes are refused with a code, or are read and written as they are`, () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (changes) => {
        const other = mutated(bytes, changes);
        let written: Buffer;
        try {
          written = again(other);
        } catch (error) {
          if (isFormatError(error)) return;
          throw error;
        }
        if (name in canonical) assert.equal(hex(written), hex(other));
      }),
      { numRuns: 1500 },
    );
    assert.equal(hex(again(bytes)), hex(bytes), "reading bad bytes must leave nothing behind");
  });
}

test("packing: what unpacks at all packs to the same bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        assert.equal(hex(pack(unpack(bytes, "any"))), hex(bytes));
      } catch (error) {
        if (!isFormatError(error)) throw error;
      }
    }),
    { numRuns: 5000 },
  );
});

for (const [what, hex] of [
  ["1 in two bytes", "cc01"],
  ["1 in three bytes", "cd0001"],
  ["1 as a float", "cb3ff0000000000000"],
  ["-1 in two bytes", "d0ff"],
  ["a string of one byte with a long head", "d90161"],
  ["an array of none with a long head", "dc0000"],
  ["bytes with a long head", "c5000100"],
  ["an overlong UTF-8 character", "a2c180"],
  ["two values", "0101"],
  ["nothing", ""],
  ["a record definition of msgpackr's", "d4724091a16101"],
  ["arrays 100 000 deep", `${"91".repeat(100_000)}01`],
] as const) {
  test(`packing: ${what} is refused`, () => {
    assert.throws(() => unpack(Buffer.from(hex, "hex"), "sample"), { code: "FORMAT_INVALID" });
    assert.equal(unpack(pack(0x40), "sample"), 0x40);
  });
}

test("packing: integers up to 2^53 - 1 of both signs, strings, bytes and null come back", () => {
  const value = fc.oneof(
    fc.maxSafeInteger(),
    fc.string({ unit: "binary" }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.constant(null),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(value, fc.array(value))), (list) => {
      assert.deepEqual(unpack(pack(list), "any"), list);
    }),
  );
});

test("packing: texts, bytes and lists of all kinds of lengths come back", () => {
  for (const length of [0, 1, 15, 16, 31, 32, 255, 256, 0xffff, 0x1_0000]) {
    const list = ["x".repeat(length), "é".repeat(length), Buffer.alloc(length, 1), Array.from({ length }, () => null)];
    assert.deepEqual(unpack(pack(list), "any"), list);
  }
});

test("sealed records: a changed bit, another key or a later version is found", () => {
  const bytes = sealRecord(key, ["layer", 1]);
  assert.deepEqual(openRecord(key, bytes, "sample"), ["layer", 1]);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const changed = Buffer.from(bytes);
      changed[at]! ^= bits;
      assert.throws(() => openRecord(key, changed, "sample"), isFormatError);
    }),
  );
  assert.throws(() => openRecord(nameKey("ref", "wed"), bytes, "sample"), { code: "FORMAT_INVALID" });
  const later = Buffer.from(bytes);
  later[0] = FORMAT_VERSION + 1;
  assert.throws(() => openRecord(key, later, "sample"), { code: "FORMAT_NEWER" });
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => openRecord(key, bytes.subarray(0, length), "sample"), { code: "FORMAT_INVALID" });
});

test("keys: ids come back and sort as numbers; each kind's keys are in its range alone", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
      assert.equal(idOfKey(idKey(a)), a);
      assert.equal(idOfKey(historyKey(a), 1), a);
      assert.equal(Math.sign(Buffer.compare(idKey(a), idKey(b))), Math.sign(a - b));
    }),
  );
  const keys = { chunk: digestKey("chunk", digestOf(key)), ref: key, history: historyKey(2 ** 53 - 1) } as const;
  for (const kind of ["chunk", "ref", "history"] as const) {
    const { gte, lt } = kindRange(kind);
    for (const [other, bytes] of Object.entries(keys))
      assert.equal(Buffer.compare(bytes, gte) >= 0 && Buffer.compare(bytes, lt) < 0, other === kind);
  }
});

test("keys: what nobody made of an id is refused by a code, wherever it stands", () => {
  for (const hex of ["", "68", "6801", "68ffffffffffffffff", "680020000000000000"])
    assert.throws(() => idOfKey(Buffer.from(hex, "hex"), 1), { code: "FORMAT_INVALID" }, hex);
});

test("sealed records: those of which `isIntact` says so are those that `openBytes` takes", () => {
  const name = fc.string({ unit: "binary-ascii", maxLength: 40 });
  const change = fc.record({ at: fc.nat(), bits: fc.integer({ min: 0, max: 255 }), cut: fc.nat({ max: 1 }) });
  fc.assert(
    fc.property(name, fc.uint8Array({ maxLength: 300 }), change, (name, body, { at, bits, cut }) => {
      const key = Buffer.from(name, "latin1");
      const sealed = sealBytes(key, body);
      assert.ok(isIntact(name, sealed));
      const bytes = sealed.subarray(0, sealed.length - cut);
      bytes[at % bytes.length]! ^= bits;
      if (isIntact(name, bytes)) assert.deepEqual(openBytes(key, bytes, "it"), Buffer.from(body));
      else assert.throws(() => openBytes(key, bytes, "it"));
      const large = sealBytes(key, Buffer.alloc(5000));
      assert.equal(isIntact(name, large), false);
    }),
  );
});
