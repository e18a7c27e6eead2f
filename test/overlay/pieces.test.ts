import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, statSync, writeSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { clone, openContainer, status } from "../../src/index.ts";
import { openTestStore } from "../support/store.ts";
import { importEmpty } from "./support.ts";

const BLOCK = 128 * 1024;
const anyPlace = fc.oneof(
  fc.integer({ min: 0, max: 3 * BLOCK }),
  fc.constantFrom(0, 1, 4095, 4096, 4097, 8192, BLOCK - 4096, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK),
);
const anyStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("write" as const), at: anyPlace, length: anyPlace }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("truncate" as const), at: anyPlace, length: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("punch" as const), at: anyPlace, length: anyPlace }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("sync" as const, "fold" as const, "reopen" as const, "copy" as const),
      at: fc.constant(0),
      length: fc.constant(0),
    }),
  },
);

test("bytes: what is written, cut, punched, copied, synced, folded and opened anew reads as it would of an array", async () => {
  await using opened = await openTestStore();
  const { context } = opened;
  await importEmpty(opened, "base");
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), async (steps) => {
      const name = `c${count++}`;
      await clone(context, { ref: "base", names: [name], noLxc: true });
      let view = await openContainer(context, { name });
      let handle = await view.promises.open("/file", "w+");
      let expected: Buffer = Buffer.alloc(0);
      for (const [i, { do: what, at, length }] of steps.entries()) {
        if (what === "write" && length > 0) {
          const bytes = Buffer.alloc(length, String.fromCharCode(97 + (i % 26)));
          await handle.write(bytes, 0, length, at);
          expected = resized(expected, Math.max(expected.length, at + length));
          expected.set(bytes, at);
        } else if (what === "truncate") {
          await handle.truncate(at);
          expected = resized(expected, at);
        } else if (what === "punch" && length > 0) {
          await handle.punchHole(at, length);
          expected.fill(0, Math.min(at, expected.length), Math.min(at + length, expected.length));
        } else if (what === "sync") await handle.sync();
        else if (what === "fold") await status(context, { name });
        else if (what === "copy") {
          await view.promises.copyFile("/file", "/copy");
          await view.promises.rename("/copy", "/file");
          await handle.close();
          handle = await view.promises.open("/file", "r+");
        } else if (what === "reopen") {
          await handle.close();
          await view[Symbol.asyncDispose]();
          view = await openContainer(context, { name });
          handle = await view.promises.open("/file", "r+");
        }
        assert.ok(expected.equals(await view.promises.readFile("/file")), `after step ${i}`);
      }
      await handle.close();
      await view[Symbol.asyncDispose]();
    }),
    { numRuns: 60 },
  );
});

test("bytes: what is overwritten again and again takes no more room once it is synced", async () => {
  await using opened = await openTestStore();
  const { context, store } = opened;
  await importEmpty(opened, "base");
  await clone(context, { ref: "base", names: ["c"], noLxc: true });
  await using view = await openContainer(context, { name: "c" });
  await using handle = await view.promises.open("/file", "w");
  const size = (): number => pieceFiles(store.paths.uppers).reduce((sum, path) => sum + statSync(path).size, 0);
  const sizes: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (const length of [BLOCK, 4096, 10_000, 60_000]) await handle.write(Buffer.alloc(length, round), 0, length, 0);
    await handle.sync();
    sizes.push(size());
  }
  assert.equal(sizes[4], sizes[2]);
  await status(context, { name: "c" });
  assert.equal(size(), 0);
});

test("bytes: damaged ones are an EIO of their file, and everything else reads", async () => {
  await using opened = await openTestStore();
  const { context, store } = opened;
  await importEmpty(opened, "base");
  await clone(context, { ref: "base", names: ["c"], noLxc: true });
  await using view = await openContainer(context, { name: "c" });
  await view.promises.writeFile("/good", "good");
  await view.promises.writeFile("/bad", Buffer.alloc(5000, "x"));
  const [path = ""] = pieceFiles(store.paths.uppers);
  const fd = openSync(path, "r+");
  writeSync(fd, "y", 4096 + 4500);
  closeSync(fd);
  await assert.rejects(view.promises.readFile("/bad"), { code: "EIO", syscall: "read", path: "/bad" });
  assert.equal(await view.promises.readFile("/good", "utf8"), "good");
  await assert.rejects(status(context, { name: "c" }), { code: "FORMAT_INVALID" });
  await view.promises.writeFile("/bad", "mended");
  await status(context, { name: "c" });
  assert.equal(await view.promises.readFile("/bad", "utf8"), "mended");
});

function pieceFiles(uppers: string): string[] {
  return readdirSync(`${uppers}.pieces`).map((name) => `${uppers}.pieces/${name}`);
}

function resized(bytes: Buffer, length: number): Buffer {
  const result = Buffer.alloc(length);
  bytes.copy(result, 0, 0, length);
  return result;
}
