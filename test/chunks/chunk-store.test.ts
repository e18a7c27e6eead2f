import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, truncate } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import { decodeChunkValue, decodePlace, encodeChunkValue, encodePlace } from "../../src/format/chunk-value.ts";
import { digestKey, idKey, idOfKey, kindRange } from "../../src/format/keys.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { openEngine } from "../support/engine.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Compressible or not, in proportions that make frames of both codecs. */
const chunk = fc
  .tuple(fc.integer({ min: 1, max: 40_000 }), fc.nat(3), fc.nat(255))
  .map(([length, kind, byte]) => (kind === 0 ? randomBytes(length) : Buffer.alloc(length, byte)));

test("chunk store: what was put reads back, before a flush, after it, and after opening again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 60 }), async (chunks) => {
      await using directory = await temporaryDirectory();
      const digests = [];
      {
        await using engine = await openEngine(directory.path);
        for (const bytes of chunks) digests.push(engine.chunks.put(bytes));
        for (const [i, digest] of digests.entries())
          assert.deepEqual(Buffer.from(engine.chunks.get(digest)), chunks[i]);
        await engine.flush();
        for (const [i, digest] of digests.entries())
          assert.deepEqual(Buffer.from(engine.chunks.get(digest)), chunks[i]);
        assert.equal(engine.chunks.stats().newChunks, new Set(digests).size);
      }
      await using engine = await openEngine(directory.path);
      for (const [i, digest] of digests.entries()) assert.deepEqual(Buffer.from(engine.chunks.get(digest)), chunks[i]);
      for (const bytes of chunks) engine.chunks.put(bytes);
      await engine.flush();
      assert.equal(engine.chunks.stats().newChunks, 0);
    }),
    { numRuns: 15 },
  );
});

test("chunk store: a chunk whose bytes changed on disk fails with its digest, and the rest reads on", async () => {
  await using engine = await openEngine();
  const [good, bad] = [engine.chunks.put(Buffer.from("good")), engine.chunks.put(Buffer.alloc(5000, 1))];
  await engine.flush();
  for await (const [key, value] of engine.values.iterate({})) {
    const changed = Buffer.from(value);
    changed[changed.length - 1]! ^= 1;
    await engine.values.write([{ type: "put", key, value: changed }]);
  }
  assert.throws(() => engine.chunks.get(bad), { code: "CHUNK_CORRUPT" });
  assert.equal(Buffer.from(engine.chunks.get(good)).toString(), "good");
});

test("chunk store: a chunk in a table that was cut short is damaged, and the rest reads on", async () => {
  await using directory = await temporaryDirectory();
  const [bad, good] = [randomBytes(50_000), randomBytes(50_000)];
  {
    await using engine = await openEngine(directory.path);
    for (const bytes of [bad, good]) {
      engine.chunks.put(bytes);
      await engine.flush();
    }
  }
  const tables = (await readdir(`${directory.path}/chunks`)).filter((name) => name.endsWith(".ldb")).sort();
  await truncate(`${directory.path}/chunks/${tables[0]!}`, 20_000);
  await using engine = await openEngine(directory.path);
  assert.throws(() => engine.chunks.get(digestOf(bad)), { code: "CHUNK_CORRUPT" });
  assert.deepEqual(Buffer.from(engine.chunks.get(digestOf(good))), good);
});

test("chunk store: a chunk that is not there, or whose value is gone, is missing", async () => {
  await using engine = await openEngine();
  assert.throws(() => engine.chunks.get(digestOf(Buffer.from("never"))), { code: "CHUNK_MISSING" });
  const digest = engine.chunks.put(Buffer.from("lost"));
  await engine.flush();
  await engine.values.write([{ type: "del", key: idKey(0) }]);
  assert.throws(() => engine.chunks.get(digest), { code: "CHUNK_MISSING" });
});

test("chunk store: no id is used twice, though all values be lost", async () => {
  await using directory = await temporaryDirectory();
  const used = new Set<number>();
  for (let round = 0; round < 4; round++) {
    await using engine = await openEngine(directory.path);
    engine.chunks.put(randomBytes(100));
    await engine.flush();
    for await (const key of engine.values.keys({})) {
      assert.ok(!used.has(idOfKey(key)));
      used.add(idOfKey(key));
      if (round % 2 === 0) await engine.values.write([{ type: "del", key }]);
    }
    if (round % 2 === 1) used.clear();
  }
});

test("chunk store: the index can be made anew from the values alone", async () => {
  await using engine = await openEngine();
  for (let i = 0; i < 200; i++) engine.chunks.put(randomBytes(1 + 100 * i));
  await engine.flush();
  const rebuilt = new Map<string, string>();
  for await (const [key, value] of engine.values.iterate({})) {
    const id = idOfKey(key);
    const frames = decodeChunkValue(id, value);
    const { places } = encodeChunkValue(id, frames);
    for (const [i, { digest }] of frames.entries()) rebuilt.set(digest, encodePlace(places[i]!).toString("hex"));
  }
  const index = new Map<string, string>();
  for await (const [key, value] of engine.meta.iterate(kindRange("chunk")))
    index.set(Buffer.from(key).toString("hex", 1), Buffer.from(value).toString("hex"));
  assert.equal(index.size, 200);
  assert.deepEqual(rebuilt, index);
});

test("chunk store: an entry of the index never comes before its value is through the barrier", async () => {
  await using engine = await openEngine();
  const digest = engine.chunks.put(Buffer.from("x"));
  assert.equal(engine.meta.getSync(digestKey("chunk", digest)), undefined);
  await engine.flush();
  assert.equal(decodePlace(engine.meta.getSync(digestKey("chunk", digest))!, digest).plainBytes, 1);
});

test("chunk store: whenever a process is killed, the index leads to all chunks of a value or to none", async () => {
  await using engine = await openEngine();
  for (let i = 0; i < 10_000; i++) {
    engine.chunks.put(randomBytes(600));
    await engine.chunks.backpressure();
  }
  const write = engine.meta.write.bind(engine.meta);
  let writes = 0;
  engine.meta.write = async (...what) => {
    await write(...what);
    writes++;
    for await (const [key, value] of engine.values.iterate({})) {
      const frames = decodeChunkValue(idOfKey(key), value);
      const found = frames.filter(({ digest }) => engine.meta.getSync(digestKey("chunk", digest)) !== undefined);
      assert.ok(found.length === 0 || found.length === frames.length, `${found.length} of ${frames.length}`);
    }
  };
  await engine.flush();
  assert.ok(writes > 0);
});

test("chunk store: a frame that says it is larger than a block is refused, not decompressed", async () => {
  await using engine = await openEngine();
  const digest = engine.chunks.put(Buffer.alloc(9000, 7));
  await engine.flush();
  const place = decodePlace(engine.meta.getSync(digestKey("chunk", digest))!, digest);
  const bomb = encodePlace({ ...place, plainBytes: BLOCK_BYTES + 1 });
  await engine.meta.write([{ type: "put", key: digestKey("chunk", digest), value: bomb }]);
  assert.throws(() => engine.chunks.get(digest), { code: "CHUNK_CORRUPT" });
});

test("chunk values: bytes that are none are refused, whatever they are", () => {
  const { value } = encodeChunkValue(1, [
    { digest: digestOf(Buffer.from("a")), codec: 0, plainBytes: 1, stored: Buffer.from("a") },
  ]);
  fc.assert(
    fc.property(fc.nat(value.length - 1), (length) => {
      assert.throws(() => decodeChunkValue(1, value.subarray(0, length)), { code: "FORMAT_INVALID" });
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        decodeChunkValue(1, bytes);
      } catch (error) {
        assert.match((error as { code: string }).code, /^FORMAT_/);
      }
    }),
  );
});
