import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { exportTree, importLayer, list, Store } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { wholeStack } from "../../src/exports/export-stack.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const MEBIBYTE = 1 << 20;

async function withLayer(make: (source: string) => void, work: (context: Context, elsewhere: string) => Promise<void>) {
  await using elsewhere = await temporaryDirectory();
  const source = `${elsewhere.path}/source`;
  mkdirSync(source);
  make(source);
  await using store = await Store.open(`${elsewhere.path}/store`, { create: true });
  const context: Context = { store, command: "test" };
  await importLayer(context, { source, name: "layer" });
  await work(context, elsewhere.path);
}

/** What is used: nothing of it must change, not even for a while that is over. */
function usedBytes(path: string): number {
  const { blocks, bfree, bsize } = statfsSync(path);
  return (blocks - bfree) * bsize;
}

for (const target of ["directory", "file.tar"])
  test(`room: an export to a ${target} that cannot fit is refused before anything is written`, async (t) => {
    if (!requireLoop(t, "ext4")) return;
    await using small = await loopFilesystem("ext4", 64);
    await withLayer(
      (source) => {
        for (let i = 0; i < 10; i++) writeFileSync(`${source}/file${i}`, randomBytes(8 * MEBIBYTE));
      },
      async (context) => {
        const [before, names] = [usedBytes(small.path), readdirSync(small.path)];
        const began = performance.now();
        let isReading = false;
        const watched = { ...context, onProgress: () => (isReading = true) };
        await assert.rejects(exportTree(watched, { ref: "layer", target: `${small.path}/${target}` }), {
          code: "NO_SPACE",
        });
        assert.equal(isReading, false);
        assert.ok(performance.now() - began < 5000);
        assert.equal(usedBytes(small.path), before);
        assert.deepEqual(readdirSync(small.path), names);
      },
    );
  });

test("room: a shared export that cannot fit is refused, and leaves nothing", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await using elsewhere = await temporaryDirectory();
  const source = `${elsewhere.path}/source`;
  mkdirSync(source);
  // In the store they take next to nothing.
  for (let i = 0; i < 10; i++) writeFileSync(`${source}/file${i}`, `${i}`.repeat(8 * MEBIBYTE));
  await using store = await Store.open(`${small.path}/store`, { create: true });
  const { digest } = await importLayer({ store, command: "test" }, { source, name: "layer" });
  await assert.rejects(store.exports.ensure(wholeStack(digest, null)), { code: "NO_SPACE" });
  assert.deepEqual(store.exports.keys(), []);
});

test("room: what is a hole, or has several names, is not counted for more than it takes", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await withLayer(
    (source) => {
      writeFileSync(`${source}/file`, randomBytes(20 * MEBIBYTE));
      for (let i = 0; i < 5; i++) linkSync(`${source}/file`, `${source}/link${i}`);
      writeFileSync(`${source}/hole`, "");
      truncateSync(`${source}/hole`, 1000 * MEBIBYTE);
    },
    async (context) => {
      await exportTree(context, { ref: "layer", target: `${small.path}/out`, verify: true });
    },
  );
});

test("room: an export of more entries than there are inodes is refused before anything is written", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 16);
  const { ffree } = statfsSync(small.path);
  await withLayer(
    (source) => {
      for (let i = 0; i < 200; i++) writeFileSync(`${source}/file${i}`, "");
    },
    async (context) => {
      for (let i = 0; i < ffree - 100; i++) writeFileSync(`${small.path}/ballast${i}`, "");
      const names = readdirSync(small.path);
      await assert.rejects(exportTree(context, { ref: "layer", target: `${small.path}/out` }), { code: "NO_SPACE" });
      assert.deepEqual(readdirSync(small.path), names);
      await exportTree(context, { ref: "layer", target: `${small.path}/out.tar` });
    },
  );
});

test("room: an import ends while the store still has room to go on", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await using elsewhere = await temporaryDirectory();
  const source = `${elsewhere.path}/source`;
  mkdirSync(source);
  for (let i = 0; i < 100; i++) writeFileSync(`${source}/file${i}`, randomBytes(MEBIBYTE));
  await using store = await Store.open(`${small.path}/store`, { create: true });
  const context: Context = { store, command: "test" };
  await assert.rejects(importLayer(context, { source, name: "large" }), { code: "NO_SPACE" });
  const { bavail, bsize } = statfsSync(small.path);
  assert.ok(bavail * bsize >= 2 * MEBIBYTE, `${bavail * bsize} bytes are free`);
  assert.deepEqual(await list(context), []);
});
