import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import type { RawChange, RawNode } from "../../src/model/change.ts";
import { ROOT } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import type { Content } from "../../src/model/node.ts";
import { mergeTrees } from "../../src/trees/merge.ts";
import type { Sides } from "../../src/trees/merge-parts.ts";
import { TreeStore } from "../../src/trees/tree-store.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { openEngine } from "../support/engine.ts";
import { flatten, namesOf, rawChanges, visible, visibleNode } from "../support/random-tree.ts";
import type { Model } from "../support/random-tree.ts";
import { mergeNaively } from "./naive-merge.ts";
import { build } from "./support.ts";

/** What somebody does to a tree: mostly a part of one entry. */
type Edit = (model: Model) => readonly RawChange[];

const contents: readonly Content[] = ["x", "y", "z"].map((text) => ({
  size: 1,
  sparse: false,
  root: digestOf(Buffer.from(text)),
}));

/** Changes a file in place: all its names show it. */
function modified(change: (node: RawNode) => RawNode): (model: Model, path: TreePath) => RawChange[] {
  return (model, path) => {
    const entry = model.get(path)!;
    const put: RawChange = { kind: "put", path, node: change(entry.node) };
    const others = entry.node.type === "directory" ? [] : namesOf(model, path).filter((name) => name !== path);
    return [put, ...others.map((other): RawChange => ({ kind: "link", path: other, target: path }))];
  };
}

const modification = fc.oneof(
  fc.constantFrom(0o700, 0o711).map((mode) => modified((node) => ({ ...node, mode }))),
  fc.constantFrom(1, 2).map((uid) => modified((node) => ({ ...node, uid }))),
  fc.constantFrom(1, 2).map((mtimeSec) => modified((node) => ({ ...node, mtimeSec }))),
  fc
    .constantFrom("user.a", "user.b")
    .map((name) => modified((node) => ({ ...node, xattrs: [{ name, value: Uint8Array.of(1) }] }))),
  fc
    .constantFrom(...contents)
    .map((content) =>
      modified((node) => (node.type === "file" ? { ...node, content, mtimeSec: content.size + 5 } : node)),
    ),
);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(), modification).map(([n, change]): Edit => (model) => {
      const paths = [...model.keys()];
      return change(model, paths[n % paths.length] ?? ROOT);
    }),
  },
  {
    weight: 2,
    arbitrary: fc.nat().map((n): Edit => (model) => {
      const paths = [...model.keys()];
      const path = paths[n % paths.length] ?? ROOT;
      return path === ROOT ? [] : [{ kind: "whiteout", path }];
    }),
  },
  {
    weight: 3,
    arbitrary: rawChanges({ contents }).map(
      (changes): Edit =>
        () =>
          changes.slice(0, 2),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(), fc.constantFrom("a", "b", "c", "d", "a/l", "b/l"))
      .map(([n, path]): Edit => (model) => {
        const files = [...model].filter(([, { node }]) => node.type !== "directory").map(([name]) => name);
        const target = files[n % files.length];
        return target === undefined ? [] : [{ kind: "link", path, target }];
      }),
  },
);

function edited(trees: TreeStore, tree: Tree, edits: readonly Edit[]): Tree {
  return edits.reduce((now, edit) => build(trees, edit(flatten(trees, now)), now).tree, tree);
}

const edits = fc.array(edit, { minLength: 1, maxLength: 4 });

function apply(trees: TreeStore, { theirs }: Sides, changes: readonly RawChange[]): Tree {
  const { tree, refused } = build(trees, changes, theirs);
  assert.deepEqual(refused, []);
  return tree;
}

test("merge: it is as a merge of whole tables, entry by entry and pair by pair of names, with the same conflicts", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  let clean = 0;
  fc.assert(
    fc.property(rawChanges({ contents }), edits, edits, (below, one, other) => {
      const base = build(trees, below).tree;
      const sides = { base, ours: edited(trees, base, one), theirs: edited(trees, base, other) };
      const { changes, conflicts } = mergeTrees(trees, sides);
      const models = {
        base: flatten(trees, base),
        ours: flatten(trees, sides.ours),
        theirs: flatten(trees, sides.theirs),
      };
      const expected = mergeNaively(models);
      const paths = conflicts.map(({ path }) => path);
      assert.deepEqual(paths, expected.conflicts);
      if (paths.length > 0) return assert.deepEqual(changes, []);
      clean++;
      assert.deepEqual(visible(flatten(trees, apply(trees, sides, changes))), visible(expected.model));
    }),
    { numRuns: 3000 },
  );
  assert.ok(clean > 300, `${clean} merges without conflicts`);
});

test("merge: nothing with something is that; both sides with the same are that; conflicts do not depend on who is who", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  fc.assert(
    fc.property(rawChanges({ contents }), edits, edits, fc.boolean(), (below, one, other, related) => {
      const b = build(trees, below).tree;
      const [x, y] = [
        edited(trees, b, one),
        related
          ? edited(trees, b, other)
          : build(
              trees,
              other.flatMap((edit) => edit(flatten(trees, b))),
            ).tree,
      ];
      for (const [sides, result] of [
        [{ base: b, ours: x, theirs: b }, x],
        [{ base: b, ours: b, theirs: x }, x],
        [{ base: b, ours: x, theirs: x }, x],
        [{ base: b, ours: y, theirs: b }, y],
      ] as const) {
        const { changes, conflicts } = mergeTrees(trees, sides);
        assert.deepEqual(conflicts, []);
        assert.equal(apply(trees, sides, changes).digest, result.digest);
      }
      const there = mergeTrees(trees, { base: b, ours: x, theirs: y }).conflicts;
      const back = mergeTrees(trees, { base: b, ours: y, theirs: x }).conflicts;
      assert.deepEqual(
        there.map(({ path, aspects, changedBelow }) => [path, aspects, changedBelow]),
        back.map(({ path, aspects, changedBelow }) => [path, aspects, changedBelow]),
      );
    }),
    { numRuns: 1000 },
  );
});

test("merge: a preferred side settles all conflicts, each path that was in one is as that side has it", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  fc.assert(
    fc.property(
      rawChanges({ contents }),
      edits,
      edits,
      fc.constantFrom("ours" as const, "theirs" as const),
      (below, one, other, prefer) => {
        const base = build(trees, below).tree;
        const sides = { base, ours: edited(trees, base, one), theirs: edited(trees, base, other) };
        const { changes, conflicts } = mergeTrees(trees, sides, prefer);
        assert.deepEqual(
          conflicts.map(({ path }) => path),
          mergeTrees(trees, sides).conflicts.map(({ path }) => path),
        );
        const result = new Map(
          visible(flatten(trees, apply(trees, sides, changes))).map((entry) => [entry.path, entry.node]),
        );
        const wanted = new Map(visible(flatten(trees, sides[prefer])).map((entry) => [entry.path, entry.node]));
        for (const { path, changedBelow } of conflicts) {
          assert.deepEqual(result.get(path), wanted.get(path), path);
          if (changedBelow === undefined) continue;
          const below = (table: ReadonlyMap<TreePath, unknown>): [TreePath, unknown][] =>
            [...table].filter(([name]) => name.startsWith(`${path}/`));
          assert.deepEqual(below(result), below(wanted));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

const DIRECTORY: RawNode = { type: "directory", ...IMPLIED_DIRECTORY };

function file(text: "x" | "y" | "z", metadata: Partial<RawNode> = {}): RawNode {
  const content = contents["xyz".indexOf(text)]!;
  return { ...IMPLIED_DIRECTORY, type: "file", content, ...metadata } as RawNode;
}

function put(path: TreePath, node: RawNode): RawChange {
  return { kind: "put", path, node };
}

const EXAMPLES: readonly {
  readonly what: string;
  readonly base: readonly RawChange[];
  readonly ours: readonly RawChange[];
  readonly theirs: readonly RawChange[];
  /** What is there, or the conflicts. */
  readonly shows?: Readonly<Record<TreePath, RawNode>>;
  readonly conflicts?: readonly (readonly [path: TreePath, aspects: readonly string[]])[];
}[] = [
  {
    what: "a chmod and new bytes are both there",
    base: [put("a", file("x"))],
    ours: [put("a", file("x", { mode: 0o4755 }))],
    theirs: [put("a", file("y", { mtimeSec: 7 }))],
    shows: { a: file("y", { mode: 0o4755, mtimeSec: 7 }) },
  },
  {
    what: "other bytes on both sides conflict, other times do not",
    base: [put("a", file("x")), put("b", file("x"))],
    ours: [put("a", file("y")), put("b", file("x", { mtimeSec: 1 }))],
    theirs: [put("a", file("z")), put("b", file("x", { mtimeSec: 2 }))],
    conflicts: [["a", ["content"]]],
  },
  {
    what: "what is touched can be removed, what is changed cannot",
    base: [put("a", file("x")), put("b", file("x"))],
    ours: [{ kind: "whiteout", path: "a" }, put("b", file("x", { mode: 0o600 }))],
    theirs: [put("a", file("x", { mtimeSec: 2 })), { kind: "whiteout", path: "b" }],
    conflicts: [["b", []]],
  },
  {
    what: "a directory that one side removed and the other added to is one conflict",
    base: [put("d", DIRECTORY), put("d/a", file("x")), put("d/b", file("x"))],
    ours: [{ kind: "whiteout", path: "d" }],
    theirs: [put("d/c", file("x")), put("d/a", file("y"))],
    conflicts: [["d", []]],
  },
  {
    what: "extended attributes are merged by name",
    base: [put("a", file("x"))],
    ours: [put("a", file("x", { xattrs: [{ name: "user.a", value: Uint8Array.of(1) }] }))],
    theirs: [put("a", file("x", { xattrs: [{ name: "user.b", value: Uint8Array.of(2) }] }))],
    shows: {
      a: file("x", {
        xattrs: [
          { name: "user.a", value: Uint8Array.of(1) },
          { name: "user.b", value: Uint8Array.of(2) },
        ],
      }),
    },
  },
  {
    what: "a name that one side added to a file shows what the other side made of that",
    base: [put("a", file("x"))],
    ours: [{ kind: "link", path: "z", target: "a" }],
    theirs: [put("a", file("y")), { kind: "link", path: "m", target: "a" }],
    shows: { a: file("y"), m: file("y"), z: file("y") },
  },
  {
    what: "a directory that was renamed is one that was removed, where the other side changed something in it",
    base: [put("old", DIRECTORY), put("old/a", file("x"))],
    ours: [{ kind: "whiteout", path: "old" }, put("new", DIRECTORY), put("new/a", file("x"))],
    theirs: [put("old/a", file("y"))],
    conflicts: [["old", []]],
  },
  {
    what: "a link and a directory in the place of one file conflict",
    base: [put("a", file("x"))],
    ours: [{ kind: "whiteout", path: "a" }, put("a", DIRECTORY), put("a/b", file("x"))],
    theirs: [put("a", { ...IMPLIED_DIRECTORY, type: "symlink", target: "b" })],
    conflicts: [["a", ["type"]]],
  },
];

for (const { what, base: below, ours, theirs, shows, conflicts = [] } of EXAMPLES)
  test(`merge: ${what}`, async () => {
    await using engine = await openEngine();
    const { trees } = engine;
    const base = build(trees, below).tree;
    const sides = { base, ours: build(trees, ours, base).tree, theirs: build(trees, theirs, base).tree };
    const merge = mergeTrees(trees, sides);
    assert.deepEqual(
      merge.conflicts.map(({ path, aspects }) => [path, aspects]),
      conflicts,
    );
    if (shows === undefined) return;
    const model = flatten(trees, apply(trees, sides, merge.changes));
    model.delete(ROOT);
    assert.deepEqual(
      [...model].map(([path, { node }]) => [path, visibleNode(node)]),
      Object.entries(shows).map(([path, node]) => [path, visibleNode(node)]),
    );
    for (const path of model.keys()) assert.deepEqual(namesOf(model, path), [...model.keys()], "one file");
  });

test("merge: reads what ours changed, and nothing of what theirs or nobody did", async () => {
  await using engine = await openEngine();
  const numbers = Array.from({ length: 100 }, (_, i) => String(i));
  const base = build(
    engine.trees,
    numbers.flatMap((i) => [
      put(`d${i}`, DIRECTORY),
      ...numbers.map((j) => put(`d${i}/${j}`, file("x", { mtimeSec: Number(i) * 100 + Number(j) }))),
    ]),
  ).tree;
  const ours = build(engine.trees, [put("d7/7", file("y")), { kind: "whiteout", path: "d8" }], base).tree;
  const changes = numbers.flatMap((i) => (i === "8" ? [] : [put(`d${i}/new`, file("z"))]));
  const theirs = build(engine.trees, changes, base).tree;
  let reads = 0;
  const trees = new TreeStore({
    put: (bytes) => engine.nodes.put(bytes),
    get: (digest) => {
      reads++;
      return engine.nodes.get(digest);
    },
  });
  const merge = mergeTrees(trees, { base, ours, theirs });
  assert.deepEqual(merge.conflicts, []);
  assert.equal(merge.changes.length, 2);
  // The three roots, and one directory of each.
  assert.ok(reads <= 12, `${reads} nodes read`);
});

test("merge: 10 000 levels, with a change on each side at the bottom", async () => {
  await using engine = await openEngine();
  const { trees } = engine;
  const deepest = Array.from({ length: 10_000 }, (_, i) => `${i % 10}`).join("/");
  const base = build(trees, [put(`${deepest}/a`, file("x"))]).tree;
  const ours = build(trees, [put(`${deepest}/a`, file("x", { mode: 0o700 }))], base).tree;
  const theirs = build(trees, [put(`${deepest}/a`, file("y"))], base).tree;
  const { changes, conflicts } = mergeTrees(trees, { base, ours, theirs });
  assert.deepEqual(conflicts, []);
  assert.deepEqual(changes, [put(`${deepest}/a`, file("y", { mode: 0o700 }))]);
});
