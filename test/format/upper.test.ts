import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { pack } from "../../src/format/packing.ts";
import { sealBytes } from "../../src/format/record.ts";
import {
  entryKey,
  headerKey,
  nameOfKey,
  numberKey,
  numberOfKey,
  openBlock,
  openEntry,
  openHeader,
  openNode,
  sealBlock,
  sealEntry,
  sealHeader,
  sealNode,
  UNIT_BYTES,
  UNITS,
} from "../../src/format/upper.ts";
import type { UpperBlock, UpperPiece, UpperRecord } from "../../src/format/upper.ts";
import { EMPTY_LISTING } from "../../src/model/node.ts";

const METADATA = { linked: false, mode: 0o644, uid: 1, gid: 2, mtimeSec: -3, mtimeNsec: 4, xattrs: [] } as const;

const PLAIN = { noNullPrototype: true } as const;

const piece: fc.Arbitrary<UpperPiece> = fc.nat(UNITS - 1).chain((unit) =>
  fc.record(
    {
      unit: fc.constant(unit),
      place: fc.maxSafeNat(),
      length: fc.integer({ min: 1, max: (UNITS - unit) * UNIT_BYTES }),
      check: fc.nat(2 ** 31 - 1),
    },
    PLAIN,
  ),
);
const block: fc.Arbitrary<UpperBlock> = fc.record(
  {
    fill: fc.constantFrom("base", "hole"),
    holes: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    pieces: fc.array(piece, { maxLength: 4 }),
  },
  PLAIN,
);
const record: fc.Arbitrary<UpperRecord> = fc.oneof(
  fc
    .record({ size: fc.nat(1000), extra: fc.nat(1000), links: fc.nat(), parts: fc.nat() })
    .map(({ size, extra, ...rest }) => ({
      ...rest,
      node: {
        type: "file" as const,
        ...METADATA,
        content: { size: size + extra, sparse: false, root: size + extra === 0 ? null : digestOf(Buffer.of(1)) },
      },
      origin: null,
      size: size + extra,
      shown: size,
    })),
  fc.record({ links: fc.nat(1), parts: fc.nat(), origin: fc.constantFrom(null, "", "a/\xff") }).map((rest) => ({
    ...rest,
    node: { type: "directory" as const, ...METADATA, listing: EMPTY_LISTING },
    size: 0,
    shown: 0,
  })),
);

const HEADER = headerKey("web");
const NODE = numberKey("node", 1, 2);
const BLOCK = numberKey("block", 1, 2, 3);
const ENTRY = entryKey(1, 2, "name\xff");

test("upper records: what was sealed comes back, and to the same bytes", () => {
  fc.assert(
    fc.property(record, block, fc.maxSafeNat(), (node, state, number) => {
      const header = { id: number, base: digestOf(Buffer.of(2)), version: "0123" };
      assert.deepEqual(openHeader(HEADER, sealHeader(HEADER, header)), header);
      assert.deepEqual(openNode(NODE, sealNode(NODE, node)), node);
      assert.deepEqual(openBlock(BLOCK, sealBlock(BLOCK, state)), state);
      assert.equal(openEntry(ENTRY, sealEntry(ENTRY, number)), number);
    }),
  );
});

test("upper keys: numbers and names come back; of a key that is too short none does", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), (upper, ino, number) => {
      const key = numberKey("block", upper, ino, number);
      assert.deepEqual(
        [0, 1, 2].map((i) => numberOfKey(key, i)),
        [upper, ino, number],
      );
      assert.ok(Number.isNaN(numberOfKey(key, 3)));
      const entry = entryKey(upper, ino, "\xe4/");
      assert.deepEqual([numberOfKey(entry, 1), nameOfKey(entry, 17)], [ino, "\xe4/"]);
    }),
  );
  for (const bytes of ["", "n", "n1234567", `n${"\xff".repeat(8)}`])
    assert.ok(Number.isNaN(numberOfKey(Buffer.from(bytes, "latin1"), 0)), bytes);
});

const DECODERS = [
  (bytes: Uint8Array): Uint8Array => sealHeader(HEADER, openHeader(HEADER, bytes)),
  (bytes: Uint8Array): Uint8Array => sealNode(NODE, openNode(NODE, bytes)),
  (bytes: Uint8Array): Uint8Array => sealBlock(BLOCK, openBlock(BLOCK, bytes)),
  (bytes: Uint8Array): Uint8Array => sealEntry(ENTRY, openEntry(ENTRY, bytes)),
];
const KEYS = [HEADER, NODE, BLOCK, ENTRY];

function assertRefusedOrSame(decoder: (bytes: Uint8Array) => Uint8Array, bytes: Uint8Array): void {
  try {
    assert.deepEqual(Buffer.from(decoder(bytes)), Buffer.from(bytes));
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID") && !isStoreError(error, "FORMAT_NEWER")) throw error;
  }
}

test("upper records: whatever the bytes, they are refused, or are those that would be written", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      for (const decoder of DECODERS) assertRefusedOrSame(decoder, bytes);
    }),
  );
});

test("upper records: whatever well-sealed values they hold, they are refused, or are those that would be written", () => {
  const value = fc.oneof(
    fc.maxSafeNat(),
    fc.nat(40),
    fc.integer(),
    fc.double(),
    fc.string(),
    fc.constantFrom(null, true, ""),
  );
  const tuple = fc.oneof(value, fc.array(fc.oneof(value, fc.array(value, { maxLength: 10 })), { maxLength: 10 }));
  const flawed = record.chain((node) =>
    fc.record({ size: fc.nat(2000), shown: fc.nat(2000), parts: fc.nat() }).map((change) => ({ ...node, ...change })),
  );
  fc.assert(
    fc.property(tuple, flawed, (junk, node) => {
      DECODERS.forEach((decoder, i) => assertRefusedOrSame(decoder, sealBytes(KEYS[i] ?? NODE, pack(junk))));
      assertRefusedOrSame(DECODERS[1]!, sealNode(NODE, node));
    }),
    { numRuns: 1000 },
  );
});

test("upper records: none stands in for another", () => {
  const bytes = sealEntry(ENTRY, 7);
  assert.throws(() => openEntry(entryKey(1, 2, "other"), bytes), { code: "FORMAT_INVALID" });
  assert.throws(() => openEntry(entryKey(2, 2, "name\xff"), bytes), { code: "FORMAT_INVALID" });
});
