import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compress, decompress, decompressStream } from "../../src/sys/zstd.ts";
import { loadNodeZstd } from "../../src/sys/zstd-node.ts";

const plain = fc.oneof(
  fc.uint8Array({ maxLength: 4000 }),
  fc.tuple(fc.nat(300_000), fc.nat(255)).map(([length, value]) => new Uint8Array(length).fill(value)),
);
const BLOCK = Uint8Array.from({ length: 131_072 }, (_, i) => (i * i) >>> 9);
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9);

test("zstd: what is compressed comes back, at any level, in room of its own or in room that it is given", () => {
  fc.assert(
    fc.property(plain, fc.integer({ min: -5, max: 19 }), (bytes, level) => {
      const frame = compress(bytes, level);
      const room = new Uint8Array(bytes.length + 65_536);
      const inRoom = compress(bytes, level, room);
      assert.equal(inRoom.buffer, room.buffer);
      assert.deepEqual(inRoom, frame);
      assert.deepEqual(decompress(frame, bytes.length), bytes);
    }),
    { numRuns: 50 },
  );
});

test("zstd: a frame of more or fewer bytes than expected fails, whatever it claims", () => {
  const frame = compress(BLOCK, 3);
  for (const length of [0, 1, BLOCK.length - 1, BLOCK.length + 1, 2 * BLOCK.length]) {
    assert.throws(() => decompress(frame, length), Error);
  }
  // One segment, says 4 GiB - 1 plain bytes, holds "abc" as a raw last block.
  const liar = Uint8Array.of(...MAGIC, 0xa0, 0xff, 0xff, 0xff, 0xff, (3 << 3) | 1, 0, 0, 0x61, 0x62, 0x63);
  assert.throws(() => decompress(liar, 3), Error);
  assert.throws(() => decompress(new Uint8Array(), 1), Error);
});

test("zstd: cut anywhere, a frame fails, as block and as stream", async () => {
  const frame = compress(BLOCK.subarray(0, 3000), 3);
  for (let length = 0; length < frame.length; length += 37) {
    assert.throws(() => decompress(frame.subarray(0, length), 3000), Error);
    await assert.rejects(collect(pieces(frame.subarray(0, length), 100)), { code: "FORMAT_INVALID" });
  }
});

test("zstd stream: several frames and skippable ones, cut into pieces of any size, give all plain bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(plain, fc.constant("skip" as const)), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 5000 }),
      async (parts, pieceBytes) => {
        const input = Buffer.concat(parts.map((part) => (part === "skip" ? SKIPPABLE : compress(part, 1))));
        const expected = Buffer.concat(parts.map((part) => (part === "skip" ? new Uint8Array() : part)));
        assert.ok((await collect(pieces(input, pieceBytes))).equals(expected));
      },
    ),
    { numRuns: 40 },
  );
});

test("zstd stream: far more plain bytes than input come in pieces of at most 256 KiB", async () => {
  const length = 50_000_000;
  let seen = 0;
  for await (const piece of decompressStream(pieces(compress(new Uint8Array(length), 3), 1000))) {
    assert.ok(piece.length > 0 && piece.length <= 256 * 1024);
    assert.ok(piece.every((byte) => byte === 0));
    seen += piece.length;
  }
  assert.equal(seen, length);
});

test("zstd stream: windows up to 2^27 are taken, larger ones are not", async () => {
  const withWindow = (log: number) => Uint8Array.of(...MAGIC, 0, (log - 10) << 3, (3 << 3) | 1, 0, 0, 0x61, 0x62, 0x63);
  assert.equal((await collect(pieces(withWindow(27), 5))).toString(), "abc");
  await assert.rejects(collect(pieces(withWindow(28), 5)), { code: "FORMAT_INVALID" });
});

test("zstd stream: garbage, before or after a frame, and nothing at all fail", async () => {
  const frame = compress(BLOCK, 3);
  const garbage = Buffer.from("garbage garbage");
  const flipped = Uint8Array.from(frame);
  flipped[200]! ^= 0xff;
  for (const input of [garbage, Buffer.concat([frame, garbage]), Buffer.concat([garbage, frame]), new Uint8Array()]) {
    await assert.rejects(collect(pieces(input, 1000)), { code: "FORMAT_INVALID" });
  }
  const result = await collect(pieces(flipped, 1000)).catch((error: unknown) => error);
  // Without a checksum a flip may decode; then to other bytes, which their digest tells.
  assert.ok(result instanceof Error || !Buffer.from(BLOCK).equals(result as Buffer));
});

test("zstd stream: an error of the input reaches the consumer, and a consumer that stops closes the input", async () => {
  let closed = 0;
  async function* input(fails: boolean) {
    try {
      while (true) {
        yield compress(BLOCK, 1);
        if (fails) throw new RangeError("from the input");
      }
    } finally {
      closed++;
    }
  }
  await assert.rejects(collect(input(true)), RangeError);
  for await (const piece of decompressStream(input(false))) {
    assert.ok(piece.length > 0);
    break;
  }
  assert.equal(closed, 2);
});

const node = loadNodeZstd();
test(
  "zstd of Node: reads what libzstd wrote and the other way round",
  { skip: node ? false : "needs Node 22.15" },
  () => {
    assert.ok(node);
    assert.deepEqual(Uint8Array.from(node.decompress(compress(BLOCK, 3), BLOCK.length)), BLOCK);
    assert.deepEqual(decompress(node.compress(BLOCK, 3), BLOCK.length), BLOCK);
    assert.equal(node.decompress(compress(new Uint8Array(), 3), 0).length, 0);
    for (const length of [0, 1, BLOCK.length - 1, BLOCK.length + 1]) {
      assert.throws(() => node.decompress(compress(BLOCK, 3), length), Error);
    }
    assert.throws(() => node.decompressStream(pieces(compress(BLOCK, 3), 1)), { code: "UNSUPPORTED" });
  },
);

async function* pieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function collect(input: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of decompressStream(input)) parts.push(piece);
  return Buffer.concat(parts);
}
