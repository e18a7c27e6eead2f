import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { digestOf } from "../../src/format/blake3.ts";
import { CODEC } from "../../src/format/chunk-value.ts";
import type { Name } from "../../src/model/name.ts";
import type { FileNode } from "../../src/model/node.ts";
import { writeFiles } from "../../src/sinks/write-files.ts";
import type { FilesJob, FilesWritten } from "../../src/sinks/write-files.ts";
import { compressRows, LEFT, RAW } from "../../src/sys/compress-rows.ts";
import type { Rows } from "../../src/sys/compress-rows.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { Threads } from "../../src/sys/threads.ts";
import { decompress } from "../../src/sys/zstd.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const PIECES = [
  Buffer.alloc(5000, "text "),
  Buffer.from(digestOf(Buffer.alloc(1))),
  Buffer.alloc(131_072),
  Buffer.of(7),
];

function shared(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes));
}

function rowsOf(pieces: readonly Uint8Array[]): Rows {
  const plain = shared(200_000);
  const lengths = new Int32Array(new SharedArrayBuffer(64));
  let at = 0;
  for (const [i, piece] of pieces.entries()) {
    plain.set(piece, at);
    at += piece.length;
    lengths[2 * i] = piece.length;
    lengths[2 * i + 1] = i === 1 ? LEFT : RAW;
  }
  return { count: pieces.length, level: 3, plain, frames: shared(270_000), lengths };
}

test("threads: many jobs at once are each done, in memory that is shared", async () => {
  using threads = new Threads<Rows, void>("sys/compress-thread", compressRows, 2);
  const jobs = Array.from({ length: 20 }, (_, i) => rowsOf(PIECES.slice(i % 2)));
  assert.equal(threads.areRunning, false);
  await Promise.all(jobs.slice(0, 10).map((rows) => threads.run(rows)));
  while (!threads.areRunning) await setTimeout(10);
  await Promise.all(jobs.slice(10).map((rows) => threads.run(rows)));
  for (const [i, rows] of jobs.entries()) {
    let at = 0;
    for (const [j, piece] of PIECES.slice(i % 2).entries()) {
      const length = rows.lengths[2 * j + 1]!;
      assert.equal(length === LEFT, j === 1);
      if (length <= 0) continue;
      assert.ok(Buffer.compare(decompress(rows.frames.subarray(at, at + length), piece.length), piece) === 0);
      at += length;
    }
    assert.equal(at > 0, i % 2 === 0, "the others gain nothing");
  }
});

test("threads: what a job fails with is what it would be here, and others go on", async () => {
  await using directory = await temporaryDirectory();
  using root = DirectoryHandle.open(directory.path);
  using threads = new Threads<FilesJob, FilesWritten>("sinks/write-files-thread", writeFiles, 1);
  const stored = Buffer.from("bytes");
  const content = { size: stored.length, sparse: false, root: digestOf(stored) };
  const metadata = {
    mode: 0o640,
    uid: process.getuid!(),
    gid: process.getgid!(),
    mtimeSec: 1,
    mtimeNsec: 0,
    xattrs: [],
  };
  const node: FileNode = { type: "file", linked: false, ...metadata, content };
  const job = (name: string, bytes: Uint8Array): FilesJob => {
    const frames = shared(bytes.length);
    frames.set(bytes);
    const piece = { digest: content.root, codec: CODEC.raw, plainBytes: 5, offset: 0, length: bytes.length };
    const file = { directory: root.fd, name: name as Name, path: `in/${name}`, node, pieces: [piece] };
    return {
      target: directory.path,
      rules: { asUser: true, overlay: undefined },
      pageBytes: 4096,
      frames,
      files: [file],
    };
  };
  const here = await threads.run(job("here", stored));
  assert.deepEqual(here, { losses: [], omitted: [] });
  while (!threads.areRunning) await setTimeout(10);
  await threads.run(job("one", stored));
  await assert.rejects(threads.run(job("one", stored)), { name: "PosixError", code: "EEXIST", path: "in/one" });
  await assert.rejects(threads.run(job("two", Buffer.from("other"))), { name: "StoreError", code: "CHUNK_CORRUPT" });
  const written = await threads.run(job("three", stored));
  assert.deepEqual(written, { losses: [], omitted: [] });
  assert.equal(root.stat("three").mode, 0o640);
});
