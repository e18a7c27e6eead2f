import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeStore } from "../../src/chunks/node-store.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { kindRange } from "../../src/format/keys.ts";
import { encodeDirectoryLeaf, encodeIndex, encodeLinkLeaf } from "../../src/format/pages.ts";
import type { IndexRow } from "../../src/format/pages.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { Digest } from "../../src/model/digest.ts";
import type { Name } from "../../src/model/name.ts";
import { EMPTY_LISTING, IMPLIED_DIRECTORY, sumOf, totalsOf } from "../../src/model/node.ts";
import type { DirectoryNode, Listing, Node } from "../../src/model/node.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import { TreeStore } from "../../src/trees/tree-store.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { type Engine, openEngine } from "../support/engine.ts";
import { build } from "./support.ts";

class CountingNodes extends NodeStore {
  reads = 0;
  override get(digest: Digest): Uint8Array {
    this.reads++;
    return super.get(digest);
  }
}

async function countNodes({ meta }: Engine): Promise<number> {
  let count = 0;
  for await (const _ of meta.keys(kindRange("node"))) count++;
  return count;
}

function* files(count: number, mode: number): Generator<RawChange> {
  for (let i = 0; i < count; i++)
    yield { kind: "put", path: `file ${(i * 7919) % count}`, node: { type: "fifo", ...IMPLIED_DIRECTORY, mode } };
}

for (const [count, levels] of [
  [257, 2],
  [5_000, 2],
  [100_000, 3],
] as const) {
  test(`pages: of ${count} names, one change rewrites one leaf and its index, and a diff reads no more`, async () => {
    await using engine = await openEngine();
    const { tree } = build(engine.trees, files(count, 0));
    await engine.flush();
    const before = await countNodes(engine);
    const [one] = [...files(count, 1)].slice(count >> 1);
    const changed = build(engine.trees, [one!], tree).tree;
    await engine.flush();
    // A page per level, and the tree's record.
    const written = (await countNodes(engine)) - before;
    assert.ok(written >= 2 && written <= levels + 1, `wrote ${written} nodes`);

    const nodes = new CountingNodes(engine.meta);
    const fresh = new TreeStore(nodes);
    assert.equal([...diffTrees(fresh, tree, changed)].length, 1);
    assert.ok(nodes.reads <= 2 * (2 * levels - 1), `read ${nodes.reads} nodes`);

    const backwards = [...files(count, 0)].reverse();
    assert.equal(build(engine.trees, backwards).tree.digest, tree.digest);
    const undone = build(engine.trees, [{ kind: "whiteout", path: one!.path }], changed).tree;
    assert.equal(
      build(engine.trees, [...files(count, 0)].slice(count >> 1, (count >> 1) + 1), undone).tree.digest,
      tree.digest,
    );
  });

  test(`pages: of ${count} names, the names alone decide where pages end`, async () => {
    await using engine = await openEngine();
    const ends = [0, 0o644].map((mode) => {
      const { root } = build(engine.trees, files(count, mode)).tree;
      const names = Array.from(engine.trees.leaves(root.listing), (leaf) => [...engine.trees.leafRows(leaf).keys()]);
      assert.equal(names.flat().length, count);
      return names.map((page) => page.at(-1));
    });
    assert.deepEqual(ends[0], ends[1]);
    assert.ok(count < 1000 || ends[0]!.length > count / 512, `${ends[0]!.length} leaves`);
  });
}

test("pages: names chosen so that no page ends give pages of bounded length", async () => {
  await using engine = await openEngine();
  const endless: RawChange[] = [];
  for (let i = 0; endless.length < 10_000; i++) {
    const path = `n${i}`;
    if (digestOf(Buffer.from(path)).endsWith("00")) continue;
    endless.push({ kind: "put", path, node: { type: "fifo", ...IMPLIED_DIRECTORY } });
  }
  const { root } = build(engine.trees, endless).tree;
  const lengths = Array.from(engine.trees.leaves(root.listing), (leaf) => engine.trees.leafRows(leaf).size);
  assert.deepEqual(lengths, [4096, 4096, 10_000 - 2 * 4096]);
});

/** Trees that only somebody who edits a store's files can make: all digests fit. */
const leafOf = (...names: string[]): { listing: Listing; bytes: Buffer; last: string } => {
  const rows = names.map((name) => [name as Name, FIFO] as const);
  const bytes = encodeDirectoryLeaf(rows);
  const listing = { root: digestOf(bytes), ...sumOf(rows.map(([, node]) => totalsOf(node))) };
  return { listing, bytes, last: names.at(-1)! };
};
const FIFO: Node = { type: "fifo", linked: false, ...IMPLIED_DIRECTORY };

const hostile: Readonly<Record<string, (engine: Engine) => Listing>> = {
  "an index whose levels do not fall, 100 000 pages long": ({ nodes }) => {
    const leaf = leafOf("a");
    let page = nodes.put(leaf.bytes);
    for (let i = 0; i < 100_000; i++)
      page = nodes.put(encodeIndex("directory", 2, [{ lastKey: "a", page, entries: 1, bytes: 0 }]));
    return { root: page, entries: 1, bytes: 0 };
  },
  "an index that lists one page over and over, 16 levels high": ({ nodes }) => {
    const leaf = leafOf("a");
    let row: IndexRow = { lastKey: "a", page: nodes.put(leaf.bytes), entries: 1, bytes: 0 };
    for (let level = 1; level <= 16; level++) {
      const rows = ["a", "b", "c", "d"].map((lastKey) => ({ ...row, lastKey }));
      row = { lastKey: "d", page: nodes.put(encodeIndex("directory", level, rows)), ...sumOf(rows) };
    }
    return { root: row.page, entries: row.entries, bytes: 0 };
  },
  "a directory with more entries than it says": ({ nodes }) => {
    const leaf = leafOf("a", "b");
    nodes.put(leaf.bytes);
    return { ...leaf.listing, entries: 1 };
  },
  "a directory with fewer bytes than it says": ({ nodes }) => {
    const leaf = leafOf("a", "b");
    nodes.put(leaf.bytes);
    return { ...leaf.listing, bytes: 1 };
  },
  "an index whose totals are not its pages'": ({ nodes }) => {
    const leaf = leafOf("a", "b");
    const row = { lastKey: "b", page: nodes.put(leaf.bytes), entries: 7, bytes: 0 };
    return { root: nodes.put(encodeIndex("directory", 1, [row])), entries: 7, bytes: 0 };
  },
  "an index whose pages overlap": ({ nodes }) => {
    const rows = [leafOf("a", "c"), leafOf("b", "d")].map(({ bytes, last }) => ({
      lastKey: last,
      page: nodes.put(bytes),
      entries: 2,
      bytes: 0,
    }));
    return { root: nodes.put(encodeIndex("directory", 1, rows)), entries: 4, bytes: 0 };
  },
  "a page of another kind": ({ nodes }) => ({ root: nodes.put(encodeLinkLeaf([["a", "b"]])), entries: 1, bytes: 0 }),
};

for (const [what, make] of Object.entries(hostile)) {
  test(`trees: ${what} is an error with a code wherever it is read`, async () => {
    await using engine = await openEngine();
    const { trees } = engine;
    const inside: DirectoryNode = { type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing: make(engine) };
    const tree = trees.putTree(inside, null);
    const invalid = { code: "FORMAT_INVALID" };
    assert.throws(() => [...trees.entries(inside.listing)], invalid);
    assert.throws(() => [...diffTrees(trees, undefined, tree)], invalid);
    assert.throws(() => [...diffTrees(trees, trees.emptyTree(), tree)], invalid);
    assert.throws(() => [...diffTrees(trees, tree, trees.emptyTree())], invalid);
    const change = { kind: "put", path: "z", node: { type: "fifo", ...IMPLIED_DIRECTORY } } as const;
    assert.throws(() => build(trees, [change], tree), invalid);
    assert.throws(() => ["a", "b", "c", "d"].map((name) => trees.find(inside.listing, name as Name)), invalid);
  });
}

test("trees: a link table that does not fit its tree is an error with a code", async () => {
  await using engine = await openEngine();
  const { trees, nodes } = engine;
  const rows = [["a" as Name, { ...FIFO, linked: true }] as const];
  const root: DirectoryNode = {
    type: "directory",
    linked: false,
    ...IMPLIED_DIRECTORY,
    listing: { root: nodes.put(encodeDirectoryLeaf(rows)), entries: 1, bytes: 0 },
  };
  const invalid = { code: "FORMAT_INVALID" };
  assert.throws(() => [...diffTrees(trees, undefined, trees.putTree(root, null))], invalid);
  const links = nodes.put(encodeLinkLeaf([["gone", "gone too"]]));
  const tree = trees.putTree({ ...root, listing: EMPTY_LISTING }, links);
  assert.throws(() => build(trees, [{ kind: "whiteout", path: "gone" }], tree), invalid);
  const cycle = nodes.put(encodeIndex("links", 3, [{ lastKey: "a", page: links, entries: 1, bytes: 0 }]));
  assert.throws(() => [...trees.linkGroups(cycle)], invalid);
});

test("trees: a page that is gone, or not a tree at all, is an error with a code", async () => {
  await using engine = await openEngine();
  const { trees, nodes } = engine;
  const lost: Tree = trees.putTree(
    { type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing: leafOf("a").listing },
    digestOf(Buffer.from("no such table")),
  );
  assert.throws(() => [...trees.entries(lost.root.listing)], { code: "NODE_MISSING" });
  assert.throws(() => trees.linkMap(lost), { code: "NODE_MISSING" });
  assert.throws(() => trees.tree(nodes.put(leafOf("a").bytes)), { code: "FORMAT_INVALID" });
});
