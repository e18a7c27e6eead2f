import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Change, RawChange, RawNode } from "../../src/model/change.ts";
import { comparePaths, parentPath, ROOT } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import { openEngine } from "../support/engine.ts";
import { flatten, namesOf, rawChanges, rawOf, visible, visibleNode } from "../support/random-tree.ts";
import type { Model } from "../support/random-tree.ts";
import { build } from "./support.ts";

/** The paths that must be listed, worked out entry by entry. */
function changedPaths(before: Model, after: Model): TreePath[] {
  const changed = (path: TreePath): boolean => {
    const [a, b] = [before.get(path), after.get(path)];
    if (b === undefined) return after.get(parentPath(path))?.node.type === "directory";
    return (
      a === undefined ||
      JSON.stringify([visibleNode(a.node), namesOf(before, path)]) !==
        JSON.stringify([visibleNode(b.node), namesOf(after, path)])
    );
  };
  return [...new Set([...before.keys(), ...after.keys()])].filter(changed).sort(comparePaths);
}

function applyChanges(before: Model, changes: readonly Change[]): Model {
  const model: Model = new Map(before);
  const inodes = new Map<TreePath, object>();
  for (const { path, after, link } of changes) {
    if (after?.type !== "directory")
      for (const other of model.keys()) if (other === path || other.startsWith(`${path}/`)) model.delete(other);
    if (after === undefined) continue;
    const first = link?.[0] ?? path;
    if (first === path) inodes.set(path, {});
    model.set(path, { inode: inodes.get(first)!, node: rawOf(after) });
  }
  return model;
}

test("diff: it lists what changed, in order, each once and nothing else, and makes the one of the other", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  fc.assert(
    fc.property(rawChanges(), rawChanges({ overBase: true }), fc.boolean(), (below, changes, related) => {
      const old = build(trees, below).tree;
      const now = build(trees, changes, related ? old : undefined).tree;
      const [before, after] = [flatten(trees, old), flatten(trees, now)];
      const listed = [...diffTrees(trees, old, now)];
      const paths = listed.map(({ path }) => path);
      assert.deepEqual(paths, changedPaths(before, after));
      assert.deepEqual(visible(applyChanges(before, listed)), visible(after));
      for (const change of listed) {
        assert.deepEqual(change.before, trees.lookup(old, change.path));
        assert.deepEqual(change.after, trees.lookup(now, change.path));
        const names = namesOf(after, change.path);
        assert.deepEqual(change.link, names.length > 1 ? names : undefined);
      }

      const above = new Set<TreePath>();
      for (let path of paths) while (path !== ROOT) above.add((path = parentPath(path)));
      const withParents = [...diffTrees(trees, old, now, { parents: true })];
      assert.deepEqual(
        withParents.map(({ path }) => path),
        [...new Set([...paths, ...above])].sort(comparePaths),
      );
      for (const change of withParents) {
        const plain = listed.find(({ path }) => path === change.path);
        if (plain) assert.deepEqual(change, plain);
        else assert.ok(change.before === change.after && change.after?.type === "directory");
      }
    }),
    { numRuns: 1000 },
  );
});

test("diff: from nothing it is the whole tree in canonical order, with link groups; from itself it is empty", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  fc.assert(
    fc.property(rawChanges(), (changes) => {
      const { tree } = build(trees, changes);
      const model = flatten(trees, tree);
      const listed = [...diffTrees(trees, undefined, tree)];
      assert.deepEqual(
        listed.map(({ path, link }) => [path, link]),
        visible(model).map(({ path, names }) => [path, names.length > 1 ? names : undefined]),
      );
      assert.deepEqual(visible(applyChanges(new Map(), listed)), visible(model));
      assert.deepEqual([...diffTrees(trees, tree, tree)], []);
    }),
    { numRuns: 300 },
  );
});

test("diff: what it lists, put over the one tree, has the other's digest", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  fc.assert(
    fc.property(rawChanges(), rawChanges({ overBase: true }), (below, changes) => {
      const old = build(trees, below).tree;
      const now = build(trees, changes, old).tree;
      const stream = [...diffTrees(trees, old, now)].flatMap(({ path, before, after, link }): RawChange[] => {
        if (after === undefined) return [{ kind: "whiteout", path }];
        const hidden: RawChange[] = before && before.type !== after.type ? [{ kind: "whiteout", path }] : [];
        const [first = path] = link ?? [];
        if (first !== path) return [...hidden, { kind: "link", path, target: first }];
        return [...hidden, { kind: "put", path, node: rawOf(after) }];
      });
      assert.equal(build(trees, stream, old).tree.digest, now.digest);
    }),
    { numRuns: 500 },
  );
});

test("diff: 10 000 levels, also when a link table makes it go down all of them", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  const node: RawNode = { type: "directory", ...IMPLIED_DIRECTORY };
  const deepest = Array.from({ length: 10_000 }, (_, i) => `${i % 10}`).join("/");
  const builder = new TreeBuilder(trees);
  builder.apply({ kind: "put", path: deepest, node });
  const file: RawNode = { type: "fifo", ...IMPLIED_DIRECTORY };
  for (const name of ["x", "y"]) builder.apply({ kind: "put", path: `${deepest}/${name}`, node: file });
  for (const [path, target] of [
    ["x2", "x"],
    ["y2", "y"],
  ] as const)
    builder.apply({ kind: "link", path, target: `${deepest}/${target}` });
  const old = builder.finish();
  const now = build(
    trees,
    [
      { kind: "whiteout", path: "y2" },
      { kind: "put", path: "y2", node: file },
      { kind: "put", path: `${deepest}/y`, node: file },
      { kind: "link", path: "y3", target: "y2" },
      { kind: "link", path: "x2", target: `${deepest}/y` },
    ],
    old,
  ).tree;
  const start = performance.now();
  const listed = [...diffTrees(trees, old, now)].map(({ path }) => (path.length > 10 ? path.slice(-1) : path));
  assert.deepEqual(listed, ["x", "y", "x2", "y2", "y3"]);
  assert.equal([...diffTrees(trees, old, now, { parents: true })].length, 10_001 + listed.length);
  assert.equal([...diffTrees(trees, undefined, now)].length, 10_001 + 5);
  assert.ok(performance.now() - start < 10_000);
});
