import assert from "node:assert/strict";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { writeDirectory } from "../../src/sinks/directory.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { openEngine } from "../support/engine.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { expectedManifest, makeTree, plain, putContent, steps, wholeTree, withParents } from "./support.ts";

test("directory sink: a tree of what a user may make is on disk as it was, without losses", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const target = `${directory.path}/target`;
  await fc.assert(
    fc.asyncProperty(steps({ privileged: false }), async (found) => {
      await remove(target);
      const changes = wholeTree(engine, makeTree(engine, withParents(found)));
      const written = await writeDirectory(target, changes, engine.content);
      assert.deepEqual(written.losses, []);
      assert.equal(written.entries, changes.length - 1);
      const expected = expectedManifest(changes, engine.content);
      await openUp(target);
      const ignore = process.geteuid?.() === 0 ? (["blocks"] as const) : (["blocks", "mode"] as const);
      assert.deepEqual(compareEntries(expected, await readManifest(target), { ignore }), []);
    }),
    { numRuns: 40 },
  );
});

test("directory sink: a sparse file has a hole for each page of zeros, a dense one has none", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const page = Buffer.alloc(4096, "x");
  const MiB = 1024 * 1024;
  const contents = {
    sparse: [MiB, page, Buffer.alloc(MiB), page, MiB + 5],
    dense: [Buffer.alloc(MiB), page, Buffer.alloc(MiB), page, Buffer.alloc(MiB + 5)],
    empty: [5 * 1024 * MiB],
  };
  const found = Object.entries(contents).map(([path, pieces]) => ({
    kind: "file" as const,
    path,
    metadata: plain,
    pieces,
  }));
  const changes = wholeTree(engine, makeTree(engine, withParents(found)));
  await writeDirectory(`${directory.path}/target`, changes, engine.content);
  const blocks = (name: string): number => statSync(`${directory.path}/target/${name}`).blocks;
  assert.equal(blocks("sparse"), 16);
  assert.ok(blocks("dense") >= (3 * MiB) / 512);
  assert.equal(blocks("empty"), 0);
  assert.equal(statSync(`${directory.path}/target/empty`).size, 5 * 1024 * MiB);
});

test("directory sink: takes names deeper than PATH_MAX, and hard links across them", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const deep = Array.from({ length: 300 }, () => "d".repeat(100)).join("/");
  const changes = wholeTree(
    engine,
    makeTree(
      engine,
      withParents([
        { kind: "file", path: `${deep}/file`, metadata: plain, pieces: ["x"] },
        { kind: "link", path: "a", target: `${deep}/file` },
        { kind: "link", path: `${deep}/z`, target: "a" },
      ]),
    ),
  );
  await writeDirectory(`${directory.path}/target`, changes, engine.content);
  const expected = expectedManifest(changes, engine.content);
  const differences = compareEntries(expected, await readManifest(`${directory.path}/target`), { ignore: ["blocks"] });
  assert.deepEqual(differences, []);
});

test("directory sink: a target that exists is left alone", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  mkdirSync(`${directory.path}/target`);
  const changes = wholeTree(engine, makeTree(engine, withParents([])));
  await assert.rejects(writeDirectory(`${directory.path}/target`, changes, engine.content), { code: "EXISTS" });
});

test("directory sink: nothing is inherited from the default ACL of the directory it is in", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  await run("setfacl", ["-d", "-m", "u:1:rwx", directory.path]);
  const file = { kind: "file" as const, path: "d/f", metadata: plain, pieces: ["x"] };
  const changes = wholeTree(engine, makeTree(engine, withParents([file])));
  await writeDirectory(`${directory.path}/target`, changes, engine.content);
  const expected = expectedManifest(changes, engine.content);
  const differences = compareEntries(expected, await readManifest(`${directory.path}/target`), { ignore: ["blocks"] });
  assert.deepEqual(differences, []);
});

test("directory sink: reports progress while it writes, and stops when it is told to", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const content = putContent(engine, Buffer.alloc(128 * 1024, "x"));
  const endless = {
    *frames() {
      while (true) yield* engine.content.frames(content);
    },
  };
  const abort = new AbortController();
  let reported = 0;
  const options = {
    signal: abort.signal,
    onProgress: ({ bytes }: { bytes: number }) => {
      reported = bytes;
      abort.abort();
    },
  };
  const file = { kind: "file" as const, path: "f", metadata: plain, pieces: [2 ** 40] };
  const changes = wholeTree(engine, makeTree(engine, withParents([file])));
  const writing = writeDirectory(`${directory.path}/target`, changes, endless, options);
  await assert.rejects(writing, { name: "AbortError" });
  assert.ok(reported > 0);
});

/** Lets a reader that is not root into everything; nothing but modes changes. */
async function openUp(target: string): Promise<void> {
  if (process.geteuid?.() !== 0) await run("chmod", ["-R", "u+rwX", target]);
}

async function remove(target: string): Promise<void> {
  await openUp(target).catch(() => undefined);
  rmSync(target, { recursive: true, force: true });
}
