import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeContentPage, encodeDirectoryLeaf, encodeIndex } from "../../src/format/pages.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { Digest } from "../../src/model/digest.ts";
import type { Name } from "../../src/model/name.ts";
import { IMPLIED_DIRECTORY, PAGE_REFS } from "../../src/model/node.ts";
import type { Node } from "../../src/model/node.ts";
import { Beside, EdgeWalk } from "../../src/trees/edges.ts";
import { reachTree } from "../../src/trees/reach.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import { rawChanges } from "../support/random-tree.ts";
import { build } from "./support.ts";

interface Walked {
  readonly nodes: Set<Digest>;
  readonly chunks: Set<Digest>;
  /** How many nodes were read. */
  readonly reads: number;
}

async function walked({ nodes }: Engine, trees: readonly Digest[], beside: readonly Digest[] = []): Promise<Walked> {
  const found = { nodes: new Set<Digest>(), chunks: new Set<Digest>() };
  let reads = 0;
  const counting = {
    get: (digest: Digest): Uint8Array => {
      reads++;
      return nodes.get(digest);
    },
  };
  const walk = new EdgeWalk(counting, {
    chunk: ({ digest }) => {
      found.chunks.add(digest);
      return undefined;
    },
    node: ({ digest }) => {
      found.nodes.add(digest);
      return undefined;
    },
  });
  for (const tree of trees) await walk.tree(tree, { beside: Beside.trees(counting, beside) });
  return { ...found, reads };
}

function reached({ nodes }: Engine, tree: Digest): Omit<Walked, "reads"> {
  const found = { nodes: new Set<Digest>(), chunks: new Set<Digest>() };
  reachTree(nodes, tree, {
    enter: (digest) => !found.nodes.has(digest) && found.nodes.add(digest).size > 0,
    node: () => undefined,
    chunk: (digest) => found.chunks.add(digest),
  });
  return found;
}

test("edges: a walk comes to all that a tree reaches, and with what is beside it to all that this does not reach", async () => {
  await using engine = await openEngine();
  await engine.content.writer().write(Buffer.from("abc"));
  const contents = [{ size: 3, sparse: false, root: engine.chunks.put(Buffer.from("abc")) }];
  const changes = rawChanges({ contents });
  await fc.assert(
    fc.asyncProperty(changes, rawChanges({ contents, overBase: true }), async (first, over) => {
      const base = build(engine.trees, first).tree;
      const tree = build(engine.trees, over, base).tree;
      const all = reached(engine, tree.digest);
      const walk = await walked(engine, [tree.digest]);
      assert.deepEqual([walk.nodes, walk.chunks], [all.nodes, all.chunks]);
      const held = reached(engine, base.digest);
      const rest = await walked(engine, [tree.digest], [base.digest]);
      for (const kind of ["nodes", "chunks"] as const) {
        for (const digest of all[kind]) assert.ok(held[kind].has(digest) || rest[kind].has(digest));
        for (const digest of rest[kind]) assert.ok(all[kind].has(digest));
      }
    }),
    { numRuns: 150 },
  );
});

test("edges: one change in 200 directories and in one of 20 000 names costs a few nodes beside what was there", async () => {
  await using engine = await openEngine();
  const file = (i: number): RawChange & { kind: "put" } => ({
    kind: "put",
    path: "",
    node: { type: "file", ...IMPLIED_DIRECTORY, mtimeSec: i, content: { size: 0, sparse: false, root: null } },
  });
  const first: RawChange[] = [];
  for (let i = 0; i < 200; i++) for (let j = 0; j < 20; j++) first.push({ ...file(i), path: `usr/share/d${i}/f${j}` });
  for (let i = 0; i < 20_000; i++) first.push({ ...file(0), path: `large/f${i}` });
  const base = build(engine.trees, first).tree;
  const tree = build(
    engine.trees,
    [
      { ...file(-1), path: "usr/share/d77/f3" },
      { ...file(1), path: "large/f777" },
    ],
    base,
  ).tree;
  const whole = await walked(engine, [tree.digest]);
  assert.ok(whole.nodes.size > 250, `${whole.nodes.size}`);
  const { nodes, reads } = await walked(engine, [tree.digest], [base.digest]);
  // The tree, the root, usr, share, d77, large, and its page; beside them as many.
  assert.ok(nodes.size <= 9, `${nodes.size} visited`);
  assert.ok(reads <= 20, `${reads} read`);
  assert.equal((await walked(engine, [base.digest], [base.digest])).reads, 2);
});

test("edges: a tree that is small and shows more than could ever be walked is walked at once", async () => {
  await using engine = await openEngine();
  const { nodes, trees } = engine;
  let listing = { root: null as Digest | null, entries: 0, bytes: 0 };
  for (let depth = 0; depth < 45; depth++) {
    const node: Node = { type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing };
    const rows = ["a", "b"].map((name) => [name as Name, node] as const);
    listing = {
      root: nodes.put(encodeDirectoryLeaf(rows)),
      entries: 2 * (1 + listing.entries),
      bytes: 2 * listing.bytes,
    };
  }
  let page = nodes.put(encodeContentPage({ level: 1, refs: new Array<Digest>(PAGE_REFS).fill(chunkOf(engine)) }));
  for (let level = 2; level <= 4; level++)
    page = nodes.put(encodeContentPage({ level, refs: new Array<Digest>(PAGE_REFS).fill(page) }));
  const size = PAGE_REFS ** 4 * 131_072;
  const bomb: Node = {
    type: "file",
    linked: false,
    ...IMPLIED_DIRECTORY,
    content: { size, sparse: false, root: page },
  };
  const top: Node = { type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing };
  const rows = [
    ["deep" as Name, top],
    ["large" as Name, bomb],
  ] as const;
  const root = nodes.put(encodeDirectoryLeaf(rows));
  const tree = trees.putTree(
    {
      type: "directory",
      linked: false,
      ...IMPLIED_DIRECTORY,
      listing: { root, entries: listing.entries + 2, bytes: size },
    },
    null,
  );
  const { reads, chunks } = await walked(engine, [tree.digest]);
  assert.equal(reads, 2 + 45 + 4);
  assert.equal(chunks.size, 1);
});

function chunkOf({ chunks }: Engine): Digest {
  return chunks.put(Buffer.alloc(131_072, "chunk"));
}

test("edges: what is not what its parent says is refused, though it is beside where somebody else says so rightly", async () => {
  await using engine = await openEngine();
  const { nodes, trees } = engine;
  const empty = {
    type: "file",
    linked: false,
    ...IMPLIED_DIRECTORY,
    content: { size: 0, sparse: false, root: null },
  } as const;
  const leaf = nodes.put(
    encodeDirectoryLeaf([
      ["a" as Name, empty],
      ["b" as Name, empty],
    ]),
  );
  const treeOf = (root: Digest, entries: number, bytes = 0): Digest =>
    trees.putTree({ type: "directory", linked: false, ...IMPLIED_DIRECTORY, listing: { root, entries, bytes } }, null)
      .digest;
  const good = treeOf(leaf, 2);
  await walked(engine, [good]);
  const page = nodes.put(encodeContentPage({ level: 1, refs: [chunkOf(engine), chunkOf(engine)] }));
  const fileOf = (size: number, root: Digest): Digest => {
    const node: Node = { ...empty, content: { size, sparse: false, root } };
    return treeOf(nodes.put(encodeDirectoryLeaf([["f" as Name, node]])), 1, size);
  };
  const goodFile = fileOf(2 * 131_072, page);
  await walked(engine, [goodFile]);
  const index = (lastKey: string, entries: number): Digest =>
    nodes.put(encodeIndex("directory", 1, [{ lastKey, page: leaf, entries, bytes: 0 }]));
  for (const [what, tree] of [
    ["entries", treeOf(leaf, 3)],
    ["bytes", treeOf(leaf, 2, 1)],
    ["last name", treeOf(index("c", 2), 2)],
    ["entries of a page", treeOf(index("b", 3), 3)],
    ["a page of another kind", treeOf(page, 2)],
    ["a tree as a page", treeOf(good, 2)],
    ["size of a file", fileOf(3 * 131_072, page)],
    ["levels of a file", fileOf(2 * 131_072, nodes.put(encodeContentPage({ level: 2, refs: [page] })))],
  ] as const)
    await assert.rejects(walked(engine, [tree], [good, goodFile]), { code: "FORMAT_INVALID" }, what);
});
