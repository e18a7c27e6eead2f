import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RawChange, RawNode } from "../../src/model/change.ts";
import { IMPLIED_DIRECTORY, sumOf, totalsOf } from "../../src/model/node.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import type { Tree, TreeStore } from "../../src/trees/tree-store.ts";
import { openEngine } from "../support/engine.ts";
import { applyNaively, changesOf, emptyModel, flatten, rawChanges, visible } from "../support/random-tree.ts";
import type { Model } from "../support/random-tree.ts";
import { build } from "./support.ts";

function buildModel(trees: TreeStore, model: Model, paths?: readonly string[]): Tree {
  return build(trees, changesOf(model, paths)).tree;
}

function requireTotals(trees: TreeStore, tree: Tree): void {
  const stack = [tree.root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    const nodes = Array.from(trees.entries(node.listing), ([, entry]) => entry);
    const { entries, bytes } = node.listing;
    assert.deepEqual({ entries, bytes }, sumOf(nodes.map(totalsOf)));
    stack.push(...nodes.filter((entry) => entry.type === "directory"));
  }
}

test("builder: over nothing, any stream makes what it would make on a file system", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(rawChanges(), (changes) => {
      const expected = applyNaively(changes);
      const { tree, refused } = build(engine.trees, changes);
      assert.deepEqual(refused, expected.refused);
      assert.deepEqual(visible(flatten(engine.trees, tree)), visible(expected.model));
      requireTotals(engine.trees, tree);
    }),
    { numRuns: 500 },
  );
});

test("builder: over a base, whiteouts, opaque marks, redirects and contents of the base make the union", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(rawChanges(), rawChanges({ overBase: true }), (below, changes) => {
      const base = build(engine.trees, below).tree;
      const expected = applyNaively(changes, flatten(engine.trees, base));
      const { tree, refused } = build(engine.trees, changes, base);
      assert.deepEqual(refused, expected.refused);
      assert.deepEqual(visible(flatten(engine.trees, tree)), visible(expected.model));
      requireTotals(engine.trees, tree);
    }),
    { numRuns: 1500 },
  );
});

test("builder: marks on the base say the same before and after what is put", async () => {
  await using engine = await openEngine();
  fc.assert(
    fc.property(rawChanges(), rawChanges({ overBase: true }), (below, changes) => {
      const base = build(engine.trees, below).tree;
      const marks = changes.filter(({ kind }) => kind === "whiteout" || kind === "opaque");
      // Of these, later ones never undo what earlier ones said.
      const puts = changes.filter((change) => change.kind === "put" && change.node.type === "directory");
      const before = build(engine.trees, [...marks, ...puts], base);
      const after = build(engine.trees, [...puts, ...marks], base);
      assert.equal(after.tree.digest, before.tree.digest);
    }),
    { numRuns: 300 },
  );
});

test("builder: the same visible state has the same digest, whatever the order and the history", async () => {
  await using engine = await openEngine();
  const order = fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(
    fc.property(rawChanges(), rawChanges({ overBase: true }), order, (below, changes, random) => {
      const base = build(engine.trees, below).tree;
      const { tree } = build(engine.trees, changes, base);
      const model = flatten(engine.trees, tree);
      const keys = new Map([...model.keys()].map((path) => [path, random.next().value]));
      const shuffled = [...model.keys()].sort((a, b) => keys.get(a)! - keys.get(b)!);
      assert.equal(buildModel(engine.trees, model, shuffled).digest, tree.digest);
      const replaced = build(engine.trees, [{ kind: "opaque", path: "" }, ...changesOf(model, shuffled)], base);
      assert.equal(replaced.tree.digest, tree.digest);
      const again = build(engine.trees, changesOf(model, shuffled), tree);
      assert.equal(again.tree.digest, tree.digest);
      assert.equal(build(engine.trees, [], tree).tree.digest, tree.digest);
    }),
    { numRuns: 500 },
  );
});

const file: RawNode = { type: "file", ...IMPLIED_DIRECTORY, content: { size: 1, sparse: false, root: null } };
const directory: RawNode = { type: "directory", ...IMPLIED_DIRECTORY, mode: 0o700 };

const cases: readonly { name: string; below?: RawChange[]; changes: RawChange[]; paths: string[] }[] = [
  {
    name: "a whiteout of a directory hides all that the base has below, though the stream went in before",
    below: [{ kind: "put", path: "d/e/old", node: file }],
    changes: [
      { kind: "put", path: "d/e/new", node: file },
      { kind: "whiteout", path: "d" },
    ],
    paths: ["", "d", "d/e", "d/e/new"],
  },
  {
    name: "a whiteout below a file of the base leaves the file",
    below: [{ kind: "put", path: "f", node: file }],
    changes: [
      { kind: "whiteout", path: "f/x/y" },
      { kind: "opaque", path: "f/x" },
    ],
    paths: ["", "f"],
  },
  {
    name: "a whiteout makes no directory",
    changes: [{ kind: "whiteout", path: "d/e/f" }],
    paths: [""],
  },
  {
    name: "a file of the base that was linked to and then whited out has its new name alone",
    below: [{ kind: "put", path: "f", node: file }],
    changes: [
      { kind: "link", path: "g", target: "f" },
      { kind: "whiteout", path: "f" },
    ],
    paths: ["", "g"],
  },
  {
    name: "a renamed directory shows under its new name, entries put before and after it was renamed too",
    below: [
      { kind: "put", path: "old/x", node: file },
      { kind: "put", path: "old/gone", node: file },
    ],
    changes: [
      { kind: "whiteout", path: "new/gone" },
      { kind: "put", path: "new", node: directory },
      { kind: "put", path: "new/y", node: file },
      { kind: "redirect", path: "new", from: "old" },
      { kind: "whiteout", path: "old" },
      { kind: "put", path: "new/z", node: file },
    ],
    paths: ["", "new", "new/x", "new/y", "new/z"],
  },
];

for (const { name, below = [], changes, paths } of cases) {
  test(`builder: ${name}`, async () => {
    await using engine = await openEngine();
    const base = build(engine.trees, below).tree;
    const { tree, refused } = build(engine.trees, changes, base);
    assert.deepEqual(refused, []);
    assert.deepEqual(
      visible(flatten(engine.trees, tree)).map(({ path }) => path),
      paths,
    );
  });
}

test("builder: a group that shrank to one name is an ordinary file, with the digest of one that never was linked", async () => {
  await using engine = await openEngine();
  const pair = build(engine.trees, [
    { kind: "put", path: "d/f", node: file },
    { kind: "link", path: "e/g", target: "d/f" },
  ]).tree;
  const shrunk = build(engine.trees, [{ kind: "whiteout", path: "e" }], pair).tree;
  assert.equal(shrunk.links, null);
  assert.equal(shrunk.digest, build(engine.trees, [{ kind: "put", path: "d/f", node: file }]).tree.digest);
});

test("builder: names and nodes that no file system has are refused, and the tree can be read", async () => {
  await using engine = await openEngine();
  const put = (path: string, changed: Partial<RawNode & { type: "file" }>): RawChange => ({
    kind: "put",
    path,
    node: { ...file, ...changed },
  });
  const changes: RawChange[] = [
    ...["a//b", "../a", "a/.", "a/", "/a", "n".repeat(256), "a\0", "a/../b"].map((path) => put(path, {})),
    { kind: "whiteout", path: "a/.." },
    put("f", { mode: 0o100644 }),
    put("f", { uid: -1 }),
    put("f", { gid: 2 ** 32 }),
    put("f", { mtimeNsec: 1e9 }),
    put("f", { mtimeSec: 0.5 }),
    put("f", { xattrs: [{ name: "", value: new Uint8Array() }] }),
    put("f", { xattrs: ["user.b", "user.a"].map((name) => ({ name, value: new Uint8Array() })) }),
    put("f", { content: { size: -1, sparse: false, root: null } }),
    { kind: "put", path: "l", node: { type: "symlink", ...IMPLIED_DIRECTORY, target: "" } },
    { kind: "put", path: "l", node: { type: "symlink", ...IMPLIED_DIRECTORY, target: "t".repeat(4096) } },
    { kind: "put", path: "", node: file },
    { kind: "whiteout", path: "" },
    { kind: "link", path: "x", target: "nothing" },
    { kind: "link", path: "nothing", target: "nothing" },
    { kind: "redirect", path: "x", from: "nothing" },
  ];
  const { tree, refused } = build(engine.trees, changes);
  assert.deepEqual(refused, changes);
  assert.deepEqual(
    [...flatten(engine.trees, tree).keys()].filter((path) => path !== "a"),
    [...emptyModel().keys()],
  );
});

test("builder: 10 000 levels are built, looked up and read in time that is linear in them", async () => {
  await using engine = await openEngine();
  const seconds: number[] = [];
  for (const levels of [2_500, 10_000]) {
    const start = performance.now();
    const names = Array.from({ length: levels }, (_, i) => `${i % 10}`);
    const deepest = names.join("/");
    const builder = new TreeBuilder(engine.trees);
    for (let end = 1; end <= deepest.length; end += 2)
      builder.apply({ kind: "put", path: deepest.slice(0, end), node: directory });
    // Back up again: a walk that gives what stands beside a directory only after what is below it.
    for (let end = deepest.length; end > 0; end -= 2)
      builder.apply({ kind: "put", path: `${deepest.slice(0, end)}/file beside it`, node: file });
    builder.apply({ kind: "link", path: "top", target: `${deepest}/file beside it` });
    const tree = builder.finish();
    assert.equal(tree.root.listing.entries, 2 * levels + 1);
    assert.ok(engine.trees.lookup(tree, `${deepest}/file beside it`)?.linked);
    const changed = build(engine.trees, [{ kind: "whiteout", path: "top" }], tree).tree;
    assert.equal(changed.links, null);
    seconds.push((performance.now() - start) / 1000);
  }
  // Four times as deep: paths are four times as long too, and somebody must read them.
  assert.ok(seconds[1]! < 15 && seconds[1]! < 16 * seconds[0]! + 2, `took ${seconds.join(" and ")} s`);
});

test("builder: a path above 65 535 bytes is refused", async () => {
  await using engine = await openEngine();
  const builder = new TreeBuilder(engine.trees);
  const put = (path: string) => builder.apply({ kind: "put", path, node: { type: "fifo", ...IMPLIED_DIRECTORY } });
  put("d/".repeat(32_767) + "f");
  assert.throws(() => put("d/".repeat(32_767) + "ff"), { code: "SOURCE_INVALID" });
});
