import assert from "node:assert/strict";
import { after, test } from "node:test";
import { plainStream } from "../../src/sources/decompress.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import { BuilderRoom } from "../../src/trees/builder-room.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { walkBelow } from "../../src/trees/walk.ts";
import { openEngine } from "../support/engine.ts";
import { attributeBomb, cutGzip, entryBomb, gzipBomb, HOSTILE_TARS } from "../support/hostile-tars.ts";
import { archive, entry } from "./tar-support.ts";

const engine = await openEngine();
after(() => engine[Symbol.asyncDispose]());

async function built(stream: AsyncIterable<Uint8Array>, room?: BuilderRoom): Promise<Tree> {
  const builder = new TreeBuilder(engine.trees, undefined, room);
  const plain = plainStream(stream, { source: "x.tar" });
  for await (const batch of tarChanges(plain, engine.content.writer(), { source: "x.tar" }))
    for (const change of batch) builder.apply(change);
  return builder.finish();
}

function pathsOf(tree: Tree): string[] {
  return Array.from(walkBelow(engine.trees, "", tree.root), ([path]) => path);
}

for (const { name, bytes, paths } of HOSTILE_TARS) {
  test(`hostile tar: ${name} ${paths === undefined ? "is refused" : "makes what it says, inside"}`, async () => {
    for (const pieceBytes of [511, 1 << 20]) {
      const attempt = built(streamOf(cut(bytes, pieceBytes)));
      if (paths === undefined) await assert.rejects(attempt, { code: "SOURCE_INVALID" });
      else assert.deepEqual(pathsOf(await attempt), [...paths].sort());
    }
  });
}

test("hostile tar: zeros by the gigabyte behind the end are read through, and kept nowhere", async () => {
  const before = process.memoryUsage().arrayBuffers;
  const tree = await built(streamOf(cut(gzipBomb(1 << 28), 1 << 16)));
  assert.deepEqual(pathsOf(tree), ["good"]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 200 << 20);
});

test("hostile tar: a gzip stream that ends too early in its middle is refused", async () => {
  const bytes = cutGzip(archive(entry({ name: "f" }, Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251)))));
  await assert.rejects(built(streamOf([bytes])), { code: "SOURCE_INVALID" });
});

test("hostile tar: attributes and entries without end are refused at the bound, not by the machine", async () => {
  const room = (): BuilderRoom => new BuilderRoom({ heapBytes: 8 << 20, totalBytes: 256 << 20 });
  for (const stream of [streamOf([attributeBomb(1000)]), streamOf(entryBomb(1e6)), streamOf(entryBomb(1e6, "5"))])
    await assert.rejects(built(stream, room()), { code: "UNSUPPORTED" });
});

function* cut(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function* streamOf(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield await Promise.resolve(piece);
}
