import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Content } from "../../src/model/node.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { type Engine, openEngine } from "../support/engine.ts";

type Piece = { readonly byte: number; readonly length: number; readonly hole: boolean };

const piece: fc.Arbitrary<Piece> = fc.record({
  byte: fc.constantFrom(0, 0, 1, 2),
  length: fc.oneof(
    fc.nat(300),
    fc.constantFrom(BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 5 * BLOCK_BYTES),
  ),
  hole: fc.boolean(),
});

function plainOf(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(({ byte, length, hole }) => Buffer.alloc(length, hole ? 0 : byte)));
}

function write({ content }: Engine, pieces: readonly Piece[]): Content {
  const writer = content.writer();
  for (const { byte, length, hole } of pieces) {
    if (hole) writer.hole(length);
    else void writer.write(Buffer.alloc(length, byte));
  }
  return writer.end();
}

function joined(pieces: Iterable<Uint8Array | number>): Buffer {
  return Buffer.concat(Array.from(pieces, (p) => (typeof p === "number" ? Buffer.alloc(p) : Buffer.from(p))));
}

test("content: any writes and holes read back as one file, and its digest depends on the bytes alone", async () => {
  await using engine = await openEngine();
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const plain = plainOf(pieces);
      const content = write(engine, pieces);
      assert.equal(content.size, plain.length);
      assert.equal(
        content.sparse,
        pieces.some((p) => p.hole && p.length > 0),
      );
      assert.ok(joined(engine.content.pieces(content)).equals(plain));
      const whole = engine.content.writer();
      await whole.write(plain);
      assert.equal(whole.end().root, content.root);
    }),
    { numRuns: 60 },
  );
});

test("content: a range is what the whole has there", async () => {
  await using engine = await openEngine();
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { minLength: 1, maxLength: 6 }),
      fc.float({ min: 0, max: 1, noNaN: true }),
      fc.float({ min: 0, max: Math.fround(1.1), noNaN: true }),
      async (pieces, a, b) => {
        const plain = plainOf(pieces);
        const [start, end] = [Math.floor(a * plain.length), Math.floor(b * plain.length)];
        const got = joined(engine.content.range(write(engine, pieces), start, end));
        assert.ok(got.equals(plain.subarray(start, Math.max(start, end))));
      },
    ),
    { numRuns: 60 },
  );
});

test("content: a file of several levels of pages, zeros in any place, reads back by ranges", async () => {
  await using engine = await openEngine();
  // 256 refs to a page: these sizes stand at, before and after a new level.
  for (const blocks of [255, 256, 257, 65_535, 65_536, 65_537, 256 ** 3 + 1, 2 ** 33]) {
    const writer = engine.content.writer();
    writer.hole((blocks - 1) * BLOCK_BYTES);
    await writer.write(Buffer.from("end"));
    const content = writer.end();
    const size = (blocks - 1) * BLOCK_BYTES + 3;
    assert.equal(content.size, size);
    assert.equal(joined(engine.content.range(content, size - 5, size)).toString(), "\0\0end");
    assert.deepEqual(Array.from(engine.content.range(content, 0, size - 3)), size > 3 ? [size - 3] : []);
    assert.notEqual(content.root, null);
  }
});

test("content: zeros alone have no root, however they were written", async () => {
  await using engine = await openEngine();
  for (const size of [0, 1, BLOCK_BYTES, 300 * BLOCK_BYTES + 7]) {
    const dense = engine.content.writer();
    await dense.write(Buffer.alloc(size));
    assert.deepEqual(dense.end(), { size, sparse: false, root: null });
    const sparse = engine.content.writer();
    sparse.hole(size);
    assert.deepEqual(sparse.end(), { size, sparse: size > 0, root: null });
  }
  assert.equal(engine.chunks.stats().newChunks, 0);
});

test("content: a page that does not fit its file's size is refused", async () => {
  await using engine = await openEngine();
  const writer = engine.content.writer();
  await writer.write(Buffer.alloc(3 * BLOCK_BYTES, 5));
  const content = writer.end();
  for (const size of [content.size + BLOCK_BYTES, content.size - BLOCK_BYTES, content.size * 300])
    assert.throws(() => joined(engine.content.range({ ...content, size }, 0, 10 * BLOCK_BYTES)), {
      code: "FORMAT_INVALID",
    });
});
