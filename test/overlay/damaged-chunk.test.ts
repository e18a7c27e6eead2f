import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { digestOf } from "../../src/format/blake3.ts";
import { isStoreError } from "../../src/errors.ts";
import { create, openContainer, openView, status, Store } from "../../src/index.ts";
import { Kv } from "../../src/kv/kv.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Flips a bit of the one chunk that has these bytes. */
async function damageChunk(directory: string, chunk: Buffer): Promise<void> {
  await using kv = await Kv.open(`${directory}/chunks`, { create: false });
  for await (const [key, value] of kv.iterate({})) {
    const at = Buffer.from(value).indexOf(chunk.subarray(0, 64));
    if (at < 0) continue;
    const damaged = Uint8Array.from(value);
    damaged[at + 10] = (damaged[at + 10] ?? 0) ^ 1;
    await kv.write([{ type: "put", key, value: damaged }]);
    await kv.barrier();
    return;
  }
  assert.fail("there is no such chunk");
}

test("damage: of a chunk, reads fail with its digest and the path, and so do writes that need it, wholly; others work", async () => {
  await using directory = await temporaryDirectory();
  const source = `${directory.path}/source`;
  const [large, sound] = [randomBytes(3 * BLOCK_BYTES + 1000), randomBytes(1000)];
  mkdirSync(source);
  writeFileSync(`${source}/large`, large);
  writeFileSync(`${source}/sound`, sound);
  const path = `${directory.path}/store`;
  {
    await using store = await Store.open(path, { create: true });
    await create({ store, command: "test" }, { source, name: "web", noLxc: true });
  }
  const block = large.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES);
  await damageChunk(path, block);

  await using store = await Store.open(path);
  const context = { store, command: "test" };
  await using view = await openContainer(context, { name: "web" });
  const { promises } = view;
  const handle = await promises.open("/large", "r+");
  const expected = Buffer.from(large);
  const assertDamaged = (call: () => Promise<unknown>, withPath: boolean): Promise<void> =>
    assert.rejects(call, (error: Error & { code?: string; path?: string }) => {
      assert.equal(error.code, "EIO", error.stack);
      if (withPath) assert.equal(error.path, "/large");
      assert.ok(isStoreError(error.cause, "CHUNK_CORRUPT"));
      assert.equal(error.cause.details.digest, digestOf(block));
      return true;
    });
  const assertRest = async (): Promise<void> => {
    for (const [from, to] of [
      [0, BLOCK_BYTES],
      [2 * BLOCK_BYTES, large.length],
    ] as const) {
      const { buffer } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
      assert.ok(buffer.equals(expected.subarray(from, to)), `from ${from}`);
    }
    assert.deepEqual(await promises.readFile("/sound"), sound);
    assert.equal((await handle.stat()).size, large.length);
  };

  await assertDamaged(() => promises.readFile("/large"), true);
  await assertRest();
  await promises.chmod("/large", 0o600);
  for (const write of [
    () => handle.write(Buffer.of(1), 0, 1, BLOCK_BYTES + 10),
    // Its first block is sound, and must stay as it is.
    () => handle.write(Buffer.alloc(BLOCK_BYTES, 7), 0, BLOCK_BYTES, 10),
    () => handle.write(Buffer.alloc(BLOCK_BYTES, 7), 0, BLOCK_BYTES, 2 * BLOCK_BYTES - 10),
    () => handle.punchHole(10, BLOCK_BYTES),
  ]) {
    await assertDamaged(write, false);
    await assertRest();
  }
  assert.equal(view.statSync("/large").mode & 0o777, 0o600, "what was done before is still done");

  await handle.write("elsewhere", 5);
  expected.write("elsewhere", 5);
  await assertRest();
  await promises.copyFile("/large", "/copy");
  await handle.write(Buffer.alloc(BLOCK_BYTES, 9), 0, BLOCK_BYTES, BLOCK_BYTES);
  expected.fill(9, BLOCK_BYTES, 2 * BLOCK_BYTES);
  await handle.close();
  assert.ok((await promises.readFile("/large")).equals(expected));
  await assert.rejects(promises.readFile("/copy"), { code: "EIO", path: "/copy" });
  await status(context, { name: "web" });
  const folded = await openView(context, { ref: "web" });
  assert.ok(folded.readFileSync("/large").equals(expected));
  assert.throws(() => folded.readFileSync("/copy"), { code: "EIO" });
});
