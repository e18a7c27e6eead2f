import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { Dialect } from "../../src/format/overlay-xattrs.ts";
import { writeDelta } from "../../src/sinks/delta.ts";
import { writeDirectory } from "../../src/sinks/directory.ts";
import type { Written } from "../../src/sinks/written.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import {
  changeSteps,
  delta,
  expectedManifest,
  isWhiteout,
  makeTree,
  plain,
  type Step,
  steps,
  wholeTree,
  withParents,
} from "../sinks/support.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import type { ManifestEntry } from "../support/compare.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Layers {
  readonly written: Written;
  readonly delta: ReadonlyMap<string, ManifestEntry>;
}

/** Writes `before` and the delta, mounts them in both ways, and asserts that the kernel shows `after`. */
async function assertShows(engine: Engine, before: Tree, after: Tree, dialect: Dialect = "trusted"): Promise<Layers> {
  await using directory = await temporaryDirectory();
  const at = (name: string): string => `${directory.path}/${name}`;
  await writeDirectory(at("lower"), wholeTree(engine, before), engine.content, { lower: dialect });
  const written = await writeDelta(at("delta"), delta(engine, before, after), engine.content, { dialect });
  await writeDelta(at("upper"), delta(engine, before, after), engine.content, { dialect });
  for (const name of ["merged", "work"]) mkdirSync(at(name));
  const expected = expectedManifest(wholeTree(engine, after), engine.content, (_, node) => !isWhiteout(node));
  const layers = [
    `lowerdir=${at("delta")}:${at("lower")}`,
    `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")}`,
  ];
  for (const options of layers) {
    const userxattr = dialect === "user" ? ",userxattr" : "";
    await run("mount", ["-t", "overlay", "overlay", "-o", `${options}${userxattr}`, at("merged")]);
    const merged = await readManifest(at("merged"));
    await run("umount", [at("merged")]);
    assert.deepEqual(compareEntries(expected, merged, { ignore: ["blocks"] }), []);
  }
  return { written, delta: await readManifest(at("delta")) };
}

test("delta sink: over the tree before, the kernel shows any tree after it", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  const options = { privileged: true };
  await fc.assert(
    fc.asyncProperty(steps(options), changeSteps(options), async (first, second) => {
      const before = makeTree(engine, first);
      await assertShows(engine, before, makeTree(engine, second, before));
    }),
    { numRuns: 40 },
  );
});

test("delta sink: between any two trees likewise", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  const options = { privileged: true };
  await fc.assert(
    fc.asyncProperty(steps(options), steps(options), async (first, second) => {
      await assertShows(engine, makeTree(engine, first), makeTree(engine, second));
    }),
    { numRuns: 15 },
  );
});

const file = (path: string, ...pieces: (string | number)[]): Step => ({ kind: "file", path, metadata: plain, pieces });

test("delta sink: whiteouts are names of one inode, and stand only where something was", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  const before = makeTree(
    engine,
    withParents([file("a/x"), file("b/x"), file("c"), file("d/e/x"), file("l"), file("k")]),
  );
  const after = makeTree(
    engine,
    [
      { kind: "whiteout", path: "a/x" },
      { kind: "whiteout", path: "b" },
      file("b", "now a file"),
      { kind: "whiteout", path: "c" },
      { kind: "put", path: "c", node: { type: "directory", ...plain } },
      file("c/new"),
      { kind: "opaque", path: "d" },
      file("d/f"),
      { kind: "link", path: "m", target: "l" },
    ],
    before,
  );
  const { delta: entries, written } = await assertShows(engine, before, after);
  assert.deepEqual([...entries.keys()], ["", "a", "a/x", "b", "c", "c/new", "d", "d/e", "d/f", "l", "m"]);
  assert.equal(written.entries, entries.size - 1);
  for (const path of ["a/x", "d/e"]) {
    const { type, rdev, link } = entries.get(path)!;
    assert.deepEqual([type, rdev, Buffer.from(link ?? "", "base64").toString()], ["char", "0:0", "a/x"]);
  }
  assert.ok([...entries.values()].every(({ xattrs }) => Object.keys(xattrs).length === 0));
});

for (const dialect of ["trusted", "user"] as const) {
  test(`delta sink: a file's own ${dialect}.overlay attributes show as what they are`, async (t) => {
    if (!requireRoot(t)) return;
    await using engine = await openEngine();
    const marks = ["opaque", "overlay.x", "whiteout"].map((mark) => ({
      name: `${dialect}.overlay.${mark}`,
      value: Buffer.from("y"),
    }));
    const marked = { ...plain, xattrs: marks };
    const before = makeTree(engine, withParents([file("d/x"), file("f")]));
    const after = makeTree(
      engine,
      [
        { kind: "put", path: "d", node: { type: "directory", ...marked } },
        { kind: "file", path: "f", metadata: marked, pieces: [] },
      ],
      before,
    );
    await assertShows(engine, before, after, dialect);
  });
}

test("delta sink: a device 0:0 of the tree itself is a loss, and what it replaced does not show", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  const before = makeTree(engine, withParents([file("replaced")]));
  const device = (path: string): Step => ({
    kind: "put",
    path,
    node: { type: "character", ...plain, major: 0, minor: 0 },
  });
  const after = makeTree(engine, [device("new"), device("replaced")], before);
  const { written, delta: entries } = await assertShows(engine, before, after);
  assert.deepEqual(written.losses, [{ kind: "whiteout", count: 2, examples: ["new", "replaced"] }]);
  assert.deepEqual([...entries.keys()], ["", "replaced"]);
});
