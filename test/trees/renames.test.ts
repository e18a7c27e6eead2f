import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import type { LinkGroup, RawChange, RawNode } from "../../src/model/change.ts";
import { comparePaths, joinPath } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY, totalsOf } from "../../src/model/node.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import { findRenames } from "../../src/trees/renames.ts";
import type { Difference, RenameOptions } from "../../src/trees/renames.ts";
import type { Tree, TreeStore } from "../../src/trees/tree-store.ts";
import { walkBelow } from "../../src/trees/walk.ts";
import { openEngine } from "../support/engine.ts";
import { rawChanges, rawOf } from "../support/random-tree.ts";
import { build } from "./support.ts";

/** Renames among random changes: of files and of directories, whatever is there by then. */
const moves = fc.array(fc.tuple(fc.nat(), fc.constantFrom("z", "y", "a/z", "b/c", "b/a.b")), { maxLength: 3 });

function movesOf(trees: TreeStore, old: Tree, wanted: readonly (readonly [number, TreePath])[]): RawChange[] {
  const entries = [...walkBelow(trees, "", old.root)];
  return wanted.flatMap(([number, to]): RawChange[] => {
    const [from, node] = entries[number % Math.max(entries.length, 1)] ?? [];
    if (from === undefined || node === undefined || to === from || to.startsWith(`${from}/`)) return [];
    const gone: RawChange = { kind: "whiteout", path: from };
    if (node.type === "directory") return [{ kind: "redirect", path: to, from }, gone];
    return [{ kind: "put", path: to, node: rawOf(node) }, gone];
  });
}

/** What a list of differences makes of the tree `old`, which holds what was renamed. */
function applied(trees: TreeStore, old: Tree, differences: readonly Difference[]): Tree {
  const gone: RawChange[] = [];
  const stream: RawChange[] = [];
  const put = (path: TreePath, node: RawNode, link: LinkGroup | undefined): void => {
    const [first = path] = link ?? [];
    stream.push(first === path ? { kind: "put", path, node } : { kind: "link", path, target: first });
  };
  const links = trees.linkMap(old);
  for (const { path, before, after, link, from } of differences) {
    if (after === undefined || (before && before.type !== after.type)) gone.push({ kind: "whiteout", path });
    if (after === undefined) continue;
    put(path, rawOf(after), link);
    if (from === undefined) continue;
    gone.push({ kind: "whiteout", path: from });
    assert.deepEqual(before, trees.lookup(old, from));
    if (before?.type !== "directory") continue;
    for (const [below, node] of walkBelow(trees, from, before)) {
      const moved = (name: TreePath): TreePath => `${path}${name.slice(from.length)}`;
      put(moved(below), rawOf(node), links.get(below)?.map(moved));
    }
  }
  return build(trees, [...gone, ...stream], old).tree;
}

for (const find of ["none", "files", "all"] as const)
  test(`renames: with ${find}, what is listed makes the one tree of the other, in order, and sizes add up`, async () => {
    await using engine = await openEngine();
    const { trees } = engine;
    let renamed = 0;
    fc.assert(
      fc.property(rawChanges(), rawChanges({ overBase: true }), moves, (below, changes, wanted) => {
        const old = build(trees, below).tree;
        const now = build(trees, [...changes.slice(0, 6), ...movesOf(trees, old, wanted)], old).tree;
        const differences = findRenames(trees, [old, now], diffTrees(trees, old, now), { find });
        const paths = differences.map(({ path }) => path);
        assert.deepEqual(paths, [...paths].sort(comparePaths));
        assert.equal(applied(trees, old, differences).digest, now.digest);
        const froms = differences.flatMap(({ from }) => (from === undefined ? [] : [from]));
        renamed += froms.length;
        assert.equal(new Set(froms).size, froms.length);
        let [entries, bytes] = [0, 0];
        for (const { before, after, from, gone } of differences) {
          if (from !== undefined) continue;
          // What is below a directory that is new is listed by itself.
          const own = after && (after.type === "directory" ? { entries: 1, bytes: 0 } : totalsOf(after));
          const was = before && (before.type === "directory" ? { entries: 1, bytes: 0 } : totalsOf(before));
          entries += (own?.entries ?? 0) - (was?.entries ?? 0) - (gone?.entries ?? 0);
          bytes += (own?.bytes ?? 0) - (was?.bytes ?? 0) - (gone?.bytes ?? 0);
        }
        const [a, b] = [old.root.listing, now.root.listing];
        assert.deepEqual({ entries, bytes }, { entries: b.entries - a.entries, bytes: b.bytes - a.bytes });
      }),
      { numRuns: 1000 },
    );
    assert.equal(renamed > 0, find !== "none");
  });

const directory: RawNode = { type: "directory", ...IMPLIED_DIRECTORY };

function file(text: string, mtimeSec = 0): RawNode {
  const content = { size: text.length, sparse: false, root: text === "" ? null : digestOf(Buffer.from(text)) };
  return { type: "file", ...IMPLIED_DIRECTORY, mtimeSec, content };
}

function put(path: TreePath, node: RawNode): RawChange {
  return { kind: "put", path, node };
}

function link(path: TreePath, target: TreePath): RawChange {
  return { kind: "link", path, target };
}

/** "R from -> to", "A path", "D path -entries": what is listed from one tree to another, both given as their changes from nothing. */
async function listed(before: RawChange[], after: RawChange[], options: RenameOptions = {}): Promise<string[]> {
  await using engine = await openEngine();
  const { trees } = engine;
  const [old, now] = [build(trees, before).tree, build(trees, after).tree];
  return findRenames(trees, [old, now], diffTrees(trees, old, now), options).map(
    ({ path, before, after, from, gone }) => {
      if (from !== undefined) return `R ${from} -> ${path}`;
      if (after === undefined) return gone === undefined ? `D ${path}` : `D ${path} -${gone.entries}`;
      return `${before === undefined ? "A" : "M"} ${path}`;
    },
  );
}

test("renames: a directory goes as one, whatever its metadata; one that lost a file does not, but its files do", async () => {
  const tree = (at: TreePath, mode = 0o755): RawChange[] => [
    put(at, { ...directory, mode }),
    put(`${at}/f`, file("one")),
    put(`${at}/sub/g`, file("two")),
    put(`${at}/sub/empty`, file("")),
  ];
  assert.deepEqual(await listed(tree("old"), tree("new", 0o700)), ["R old -> new"]);
  assert.deepEqual(await listed(tree("old"), tree("new"), { find: "none" }), [
    "A new",
    "A new/f",
    "A new/sub",
    "A new/sub/empty",
    "A new/sub/g",
    "D old -4",
  ]);
  assert.deepEqual(await listed(tree("old"), tree("new"), { find: "files" }), [
    "A new",
    "R old/f -> new/f",
    "A new/sub",
    "A new/sub/empty",
    "R old/sub/g -> new/sub/g",
    "D old -2",
  ]);
  assert.deepEqual(await listed([...tree("old"), put("old/more", file("three"))], tree("new")), [
    "A new",
    "R old/f -> new/f",
    "R old/sub -> new/sub",
    "D old -1",
  ]);
});

test("renames: of equal files one of the same name is taken, then the first; each once; empty ones are not looked for", async () => {
  const before = [put("a", file("same")), put("d/b", file("same")), put("d/keep", file("x")), put("none", file(""))];
  const after = [
    put("d/keep", file("x")),
    put("e/b", file("same")),
    put("e/y", file("same")),
    put("e/z", file("same")),
  ];
  assert.deepEqual(await listed(before, [...after, put("nothing", file(""))]), [
    "A e",
    "R d/b -> e/b",
    "R a -> e/y",
    "A e/z",
    "D none",
    "A nothing",
  ]);
});

test("renames: a name of a file goes to a name of the same file, never to one of its likeness", async () => {
  const pair = (a: TreePath, b: TreePath): RawChange[] => [put(a, file("same")), link(b, a)];
  assert.deepEqual(
    await listed([...pair("a1", "a2"), ...pair("b1", "b2")], [...pair("a1", "c2"), ...pair("b1", "c1")]),
    ["M a1", "M b1", "R b2 -> c1", "R a2 -> c2"],
    "both groups keep one name",
  );
  assert.deepEqual(
    await listed([...pair("a1", "a2"), ...pair("b1", "b2")], [...pair("c1", "c4"), ...pair("c2", "c3")]),
    ["R a1 -> c1", "R b1 -> c2", "R b2 -> c3", "R a2 -> c4"],
    "groups are renamed as wholes",
  );
  assert.deepEqual(
    await listed([put("a", file("same")), put("b", file("same"))], [...pair("a", "c")]),
    ["M a", "D b", "A c"],
    "one more name of a file that stays is no rename of another",
  );
  assert.deepEqual(await listed([put("a", file("same"))], pair("c", "d")), ["D a", "A c", "A d"]);
});

test("renames: a directory whose file has a name outside, or has other names, is no whole", async () => {
  const tree = (at: TreePath): RawChange[] => [put(`${at}/f`, file("one")), link(`${at}/g`, `${at}/f`)];
  assert.deepEqual(await listed(tree("old"), tree("new")), ["R old -> new"]);
  assert.deepEqual(
    await listed([...tree("old"), link("outside", "old/f")], [...tree("new"), link("outside", "new/f")]),
    ["A new", "R old/f -> new/f", "R old/g -> new/g", "D old -0", "M outside"],
  );
});

test("renames: 5000 directories in each other, renamed at the top, and 5000 equal files", async () => {
  const deep = (top: TreePath): RawChange[] => [put(`${top}/${"d/".repeat(5000)}f`, file("deep"))];
  const many = (prefix: string): RawChange[] =>
    Array.from({ length: 5000 }, (_, i) =>
      put(joinPath(prefix, `${prefix}${String(i).padStart(4, "0")}`), file("same", i)),
    );
  const start = performance.now();
  const differences = await listed([...deep("x"), ...many("a")], [...deep("y"), ...many("b")]);
  assert.ok(differences.includes("R x -> y"));
  assert.ok(differences.includes("R a/a0000 -> b/b0000") && differences.includes("R a/a4999 -> b/b4999"));
  assert.equal(differences.length, 5003);
  assert.ok(performance.now() - start < 10_000);
});
