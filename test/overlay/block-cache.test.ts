import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Content } from "../../src/model/node.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { BlockCache } from "../../src/overlay/block-cache.ts";
import { openEngine } from "../support/engine.ts";

test("block cache: memory goes from chunk to chunk, and never are one's bytes another's, written to disk yet or not", async () => {
  await using engine = await openEngine();
  const write = async (): Promise<readonly [Content, Buffer]> => {
    const compressible = Buffer.alloc(3 * BLOCK_BYTES, randomBytes(20_000));
    const bytes = Buffer.concat([randomBytes(3 * BLOCK_BYTES), compressible, randomBytes(9000)]);
    const writer = engine.content.writer();
    await writer.write(bytes);
    return [writer.end(), bytes];
  };
  const files = [await write(), await write()];
  await engine.flush();
  files.push(await write(), await write());
  const read = (room: number): void => {
    const cache = new BlockCache(engine.chunks, engine.nodes, room);
    fc.assert(
      fc.property(fc.nat(3), fc.nat(6 * BLOCK_BYTES), fc.nat(2 * BLOCK_BYTES), (file, position, length) => {
        const [content, bytes] = files[file]!;
        const target = Buffer.alloc(length);
        const count = cache.read(content, position, target);
        assert.ok(target.subarray(0, count).equals(bytes.subarray(position, position + length)));
      }),
    );
  };
  for (const blocks of [0, 1, 3, 10]) read(blocks * BLOCK_BYTES);
  await engine.flush();
  read(3 * BLOCK_BYTES);
});
