import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Change } from "../../src/model/change.ts";
import { tarStream } from "../../src/sinks/tar.ts";
import type { TarOptions } from "../../src/sinks/tar.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import { makeTree, plain, type Step, steps, wholeTree, withParents } from "./support.ts";

async function tarOf(engine: Engine, changes: readonly Change[], options: TarOptions = {}): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of tarStream(changes, engine.content, options)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

test("tar sink: the same tree gives the same bytes, in whole records", async () => {
  await using engine = await openEngine();
  await fc.assert(
    fc.asyncProperty(steps({ privileged: true }), async (found) => {
      const tar = await tarOf(engine, wholeTree(engine, makeTree(engine, found)));
      const again = await tarOf(engine, wholeTree(engine, makeTree(engine, found)));
      assert.ok(tar.equals(again));
      assert.equal(tar.length % 10240, 0);
      assert.ok(tar.subarray(-1024).every((byte) => byte === 0));
    }),
    { numRuns: 50 },
  );
});

const fixed = { ...plain, uid: 0, gid: 0, mtimeNsec: 0 };

test("tar sink: its bytes stay as they are", async () => {
  await using engine = await openEngine();
  const found: Step[] = [
    { kind: "put", path: "", node: { type: "directory", ...fixed } },
    { kind: "file", path: "file", metadata: fixed, pieces: ["content"] },
    { kind: "link", path: "link", target: "file" },
    { kind: "file", path: "sparse", metadata: { ...fixed, mtimeNsec: 5 }, pieces: [8192, "end", 1024 * 1024] },
    {
      kind: "put",
      path: "l".repeat(150),
      node: { type: "symlink", ...fixed, mode: 0o777, target: "\xe9".repeat(200) },
    },
    { kind: "put", path: "n", node: { type: "fifo", ...fixed, uid: 4_000_000_000, mtimeSec: -2, mtimeNsec: 5e8 } },
    {
      kind: "put",
      path: "x",
      node: {
        type: "character",
        ...fixed,
        major: 1,
        minor: 3,
        xattrs: [{ name: "user.a=b%3D", value: Buffer.from([0, 10, 255]) }],
      },
    },
  ];
  const tar = await tarOf(engine, wholeTree(engine, makeTree(engine, found)));
  const text = tar.toString("latin1");
  for (const record of [
    "21 hdrcharset=BINARY\n",
    "30 mtime=1700000000.000000005\n",
    "14 mtime=-1.5\n",
    "18 uid=4000000000\n",
    "SCHILY.xattr.user.a%3Db%253D=\0\n\xff\n",
    "GNU.sparse.realsize=1056771\n",
    "2\n8192\n4096\n1056771\n0\n",
  ])
    assert.ok(text.includes(record), record);
  assert.equal(text.slice(0, 3), "./\0");
  assert.equal(createHash("sha256").update(tar).digest("hex"), GOLDEN);
});

const GOLDEN = "00f8bc93fce89eb328ccbf4307d9186e46ba1bbe605c01779db9591d89643620";

test("tar sink: sockets are losses, all names of them", async () => {
  await using engine = await openEngine();
  const found: Step[] = withParents([
    { kind: "put", path: "a/socket", node: { type: "socket", ...plain } },
    { kind: "link", path: "b", target: "a/socket" },
  ]);
  const lost: string[] = [];
  const onLoss = (path: string, kind: string): number => lost.push(`${kind} ${path}`);
  await tarOf(engine, wholeTree(engine, makeTree(engine, found)), { onLoss });
  assert.deepEqual(lost, ["socket a/socket", "socket b"]);
});

test("tar sink: stops when it is told to", async () => {
  await using engine = await openEngine();
  const abort = new AbortController();
  const file: Step = { kind: "file", path: "f", metadata: plain, pieces: [Buffer.alloc(4 * 1024 * 1024, "x")] };
  const changes = wholeTree(engine, makeTree(engine, withParents([file])));
  const endless = {
    *pieces() {
      while (true) yield Buffer.alloc(128 * 1024);
    },
  };
  const options = { signal: abort.signal, onProgress: () => abort.abort() };
  const drain = async (): Promise<void> => {
    for await (const _ of tarStream(changes, endless, options));
  };
  await assert.rejects(drain(), { name: "AbortError" });
});
