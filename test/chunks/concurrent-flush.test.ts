import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestOf } from "../../src/format/blake3.ts";
import { openEngine } from "../support/engine.ts";
import { temporaryDirectory } from "../support/temporary.ts";

test("flush: what others put while it runs is neither lost nor taken for durable", async () => {
  await using directory = await temporaryDirectory();
  const chunks = Array.from({ length: 400 }, () => randomBytes(20_000));
  const nodes = Array.from({ length: 400 }, () => randomBytes(200));
  {
    await using engine = await openEngine(directory.path);
    const flushes: Promise<unknown>[] = [];
    for (const [i, bytes] of chunks.entries()) {
      engine.chunks.put(bytes);
      engine.nodes.put(nodes[i]!);
      if (i % 7 === 0) flushes.push(engine.chunks.flush(), engine.nodes.flush());
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(flushes);
    await engine.flush();
  }
  await using engine = await openEngine(directory.path);
  for (const bytes of chunks) assert.deepEqual(Buffer.from(engine.chunks.get(digestOf(bytes))), bytes);
  for (const bytes of nodes) assert.deepEqual(Buffer.from(engine.nodes.get(digestOf(bytes))), bytes);
});
