import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { ContainerRef, Layer, RefChange } from "../../src/containers/records.ts";
import { layerDigest, timestamp } from "../../src/containers/refs.ts";
import { isStoreError } from "../../src/errors.ts";
import {
  blame,
  clone,
  copy,
  create,
  gc,
  importLayer,
  list,
  log,
  openContainer,
  openView,
  receive,
  reflog,
  rollback,
  send,
  show,
  snapshot,
  tag,
  undo,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import type { Digest } from "../../src/model/digest.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { rawChanges } from "../support/random-tree.ts";
import { openTestStore } from "../support/store.ts";
import type { TestStore } from "../support/store.ts";
import {
  contentsIn,
  objectsIn,
  reachOf,
  received,
  requireWhole,
  sent,
  within,
  writeSource,
} from "./transfer-support.ts";

const NO_LXC = { noLxc: true } as const;

interface History {
  readonly context: Context;
  /** From the first on. */
  readonly layers: readonly Digest[];
  readonly trees: readonly Digest[];
}

/** A store with layers `l0`, `l1` … each made from the one before, and a container `web` on the last with two snapshots. */
async function makeHistory(at: TestStore, streams: readonly Parameters<TreeBuilder["apply"]>[0][][]): Promise<History> {
  const { store, context } = at;
  const trees: Digest[] = [];
  for (const stream of streams) {
    const before = trees.at(-1);
    const builder =
      before === undefined ? new TreeBuilder(store.trees) : new TreeBuilder(store.trees, store.trees.tree(before));
    for (const change of stream) {
      try {
        builder.apply(change);
      } catch (error) {
        if (!isStoreError(error, "SOURCE_INVALID")) throw error;
      }
    }
    trees.push(builder.finish().digest);
  }
  const [lastTree, snapshotTree] = [trees.at(-1), trees.at(-2)];
  assert.ok(lastTree && snapshotTree);
  const records: Layer[] = [];
  for (const tree of trees.slice(0, -1)) {
    const parent = records.at(-1);
    records.push({
      tree,
      parent: parent === undefined ? null : layerDigest(parent),
      created: timestamp(),
      message: `message ${records.length} \u{1f600}`,
      source: "test",
    });
  }
  const layers = records.map(layerDigest);
  const base = layers.at(-1) ?? null;
  const lower = snapshotTree;
  const ref: ContainerRef = {
    type: "container",
    base,
    lower,
    tree: lastTree,
    generation: 7,
    created: timestamp(),
    captured: null,
    lxcPath: null,
    labels: { key: "value" },
    ephemeral: false,
    expires: null,
    identityPending: true,
    idMap: null,
  };
  const snapshots: Layer[] = [lastTree, lower].map((tree, i) => ({
    tree,
    parent: base,
    created: timestamp(),
    message: `snapshot ${i}`,
    source: "test",
  }));
  const changes: RefChange[] = [
    ...layers.map((layer, i) => ({ name: `l${i}`, before: null, after: { type: "layer" as const, layer } })),
    { name: "web", before: null, after: ref },
    ...snapshots.map((of, i) => ({
      name: `web@snap${i}`,
      before: null,
      after: { type: "layer" as const, layer: layerDigest(of), ...(i === 0 && { pinned: true as const }) },
    })),
  ];
  await store.change({ command: "test" }, changes, [...records, ...snapshots]);
  return { context, layers, trees };
}

test("transfer: any history comes to another store by copy, by a stream and by increments with its records and trees", async () => {
  await using origin = await openTestStore();
  const contents = await contentsIn(origin.store);
  const first = rawChanges({ contents, overBase: false });
  const over = rawChanges({ contents, overBase: true });
  const arbitrary = fc.tuple(first, fc.array(over, { minLength: 1, maxLength: 4 }), fc.nat());
  await fc.assert(
    fc.asyncProperty(arbitrary, async ([first, rest, choice]) => {
      await using at = await openTestStore();
      // Contents are those of the first store: they come along.
      for (const content of contents) {
        const writer = at.store.content.writer();
        for (const piece of origin.store.content.pieces(content)) {
          if (typeof piece === "number") writer.hole(piece);
          else await writer.write(Uint8Array.from(piece));
        }
        assert.equal(writer.end().root, content.root);
      }
      const { context, layers, trees } = await makeHistory(at, [first, ...rest]);
      const names = [...layers.map((_layer, i) => `l${i}`), "web"];
      const expected = await Promise.all(names.map(async (name) => await show(context, { ref: name })));

      const requireSame = async (other: Context): Promise<void> => {
        for (const [i, name] of names.entries()) {
          const found = await show(other, { ref: name });
          assert.equal(found.digest, expected[i]?.digest, name);
          assert.deepEqual(await log(other, { ref: name }), await log(context, { ref: name }));
          assert.ok(found.digest);
          requireWhole(other.store, found.digest);
        }
        for (const name of [...names, "web@snap0", "web@snap1"]) {
          const [here, there] = [other.store.refs.find(name), context.store.refs.find(name)];
          assert.deepEqual(here, there?.type === "container" ? { ...there, generation: 1 } : there, name);
        }
      };

      const to = `${at.path}/copy`;
      const copied = await copy(context, { refs: names, to });
      assert.deepEqual(
        copied.copied.map(({ outcome }) => outcome),
        names.map(() => "new"),
      );
      await within(to, requireSame);
      const again = await copy(context, { refs: names, to });
      assert.deepEqual([again.chunks, again.nodes, again.newBytes], [0, 0, 0]);
      assert.ok(again.copied.every(({ outcome }) => outcome === "unchanged"));
      await within(to, async (other) => {
        assert.equal((await reflog(other)).length, 1);
      });

      const whole = await sent(context, names);
      assert.deepEqual(await sent(context, names), whole, "the same states give the same stream");
      const objects = objectsIn(whole);
      const reach = reachOf(at.store, trees);
      assert.equal(objects.length, reach.nodes.size + reach.chunks.size);
      await using receiver = await openTestStore();
      await received(receiver.context, whole);
      await requireSame(receiver.context);

      const base = `l${choice % layers.length}`;
      const had = reachOf(at.store, trees.slice(0, (choice % layers.length) + 1));
      const increment = await sent(context, names, [base]);
      for (const { digest, isChunk } of objectsIn(increment))
        assert.ok(!(isChunk ? had.chunks : had.nodes).has(digest), "sends what the base has");
      await using incremental = await openTestStore();
      await assert.rejects(received(incremental.context, increment), { code: "NOT_FOUND" });
      await received(incremental.context, await sent(context, [base]));
      await received(incremental.context, increment);
      await requireSame(incremental.context);
      for (const { context } of [receiver, incremental]) {
        await gc(context, { grace: "0" });
        await requireSame(context);
      }
    }),
    { numRuns: 8 },
  );
});

test("transfer: names: one may be given, all may get a prefix, others are refused or moved, the same are let be", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  writeSource(source);
  const { context } = at;
  const base = await importLayer(context, { source, name: "base" });
  await create(context, { source: "base", name: "web", ...NO_LXC });
  await snapshot(context, { name: "web" });
  const to = `${at.path}/copy`;
  const outcomes = async (params: Omit<Parameters<typeof copy>[1], "to">): Promise<string[]> => {
    const { copied } = await copy(context, { ...params, to });
    return copied.map(({ name, type, outcome }) => `${name} ${type} ${outcome}`);
  };
  assert.deepEqual(await outcomes({ refs: ["base"], as: "one" }), ["one layer new"]);
  assert.deepEqual(await outcomes({ all: true, prefix: "host1-" }), [
    "host1-base layer new",
    "host1-web container new",
  ]);
  assert.deepEqual(await outcomes({ refs: ["web@snap0"] }), ["web-snap0 layer new"]);
  await assert.rejects(outcomes({ refs: [base.digest] }), { code: "USAGE" });
  assert.deepEqual(await outcomes({ refs: [base.digest], as: "tree" }), ["tree layer new"]);
  await assert.rejects(outcomes({ refs: ["base", "web"], as: "two" }), { code: "USAGE" });
  await assert.rejects(outcomes({ all: true, refs: ["web"] }), { code: "USAGE" });
  await assert.rejects(outcomes({ refs: [] }), { code: "USAGE" });
  await assert.rejects(outcomes({ refs: ["wbe"] }), { code: "NOT_FOUND" });
  for (const own of ["", "/", "/inside"])
    await assert.rejects(copy(context, { refs: ["web"], to: `${at.store.paths.directory}${own}` }), { code: "USAGE" });

  assert.deepEqual(await outcomes({ refs: ["web"] }), ["web container new"]);
  {
    await using view = await openContainer(context, { name: "web" });
    await view.promises.writeFile("/hello", "hello");
  }
  await assert.rejects(outcomes({ refs: ["web"] }), { code: "EXISTS" });
  assert.deepEqual(await outcomes({ refs: ["web"], replace: true }), ["web container changed"]);
  await snapshot(context, { name: "web", message: "with a greeting" });
  assert.deepEqual(await outcomes({ refs: ["web"] }), ["web container changed"]);
  assert.deepEqual(await outcomes({ refs: ["web"] }), ["web container unchanged"]);
  await assert.rejects(outcomes({ refs: ["base"], as: "web", replace: true }), { code: "EXISTS" });
  await assert.rejects(outcomes({ refs: ["web"], as: "one", replace: true }), { code: "EXISTS" });
  await tag(context, { ref: "web", name: "base", replace: true });
  await outcomes({ refs: ["base"], as: "one", replace: true });

  await within(to, async (other) => {
    const view = await openView(other, { ref: "web" });
    assert.equal(view.readFileSync("/hello", "utf8"), "hello");
    const { container } = await show(other, { ref: "web" });
    assert.deepEqual(
      container?.snapshots.map((item) => item.snapshot),
      ["snap0", "snap1"],
    );
    // What it was before is in its history, as with every command.
    assert.equal((await show(other, { ref: "web@{1}" })).digest, base.digest);
    // A name was moved, a snapshot came, and before that the greeting.
    await undo(other, { count: 3 });
    assert.equal((await show(other, { ref: "web" })).digest, base.digest);
    await undo(other);
    await rollback(other, { name: "web", snapshot: "snap0" });
    assert.equal((await show(other, { ref: "web" })).digest, base.digest);
    await clone(other, { ref: "web", names: ["web2"], ...NO_LXC });
  });
});

test("transfer: a container with an LXC directory is not replaced; a running user of views finds his changes in its history", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  writeSource(source);
  await create(at.context, { source, name: "web", ...NO_LXC });
  const bytes = await sent(at.context, ["web"]);
  await using other = await openTestStore();
  mkdirSync(`${other.path}/lxc`);
  await create(other.context, {
    source,
    name: "web",
    lxcPath: `${other.path}/lxc`,
    settings: ["lxc.rootfs.options=userxattr"],
  });
  const before = other.store.refs.find("web");
  await assert.rejects(received(other.context, bytes, { replace: true }), { code: "EXISTS" });
  assert.deepEqual(other.store.refs.find("web"), before);
  await received(other.context, bytes, { as: "here" });
  {
    await using view = await openContainer(other.context, { name: "here" });
    await view.promises.writeFile("/mine", "mine");
  }
  await received(other.context, bytes, { as: "here", replace: true });
  assert.equal((await openView(other.context, { ref: "here@{1}" })).readFileSync("/mine", "utf8"), "mine");
  assert.equal((await show(other.context, { ref: "here" })).digest, (await show(at.context, { ref: "web" })).digest);
});

test("transfer: an increment names what it builds on; files and devices that are no streams are told apart", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  writeSource(source);
  await importLayer(at.context, { source, name: "base" });
  await using other = await openTestStore();
  await using twin = await openTestStore();
  // The same tree by another name and from elsewhere is what it builds on, too.
  await importLayer(twin.context, { source, name: "own" });
  writeFileSync(`${source}/d0/f0`, "second");
  await importLayer(at.context, { source, name: "next", parent: "base", message: "the second" });
  const file = `${at.path}/next.stream`;
  const { fileBytes, bytes } = await send(at.context, { refs: ["next"], have: ["base"], file });
  assert.equal(statSync(file).size, fileBytes);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(bytes, "second".length);
  await assert.rejects(send(at.context, { refs: ["next"], file }), { code: "EXISTS" });
  await assert.rejects(receive(other.context, { file }), (error) => {
    assert.ok(isStoreError(error, "NOT_FOUND"));
    assert.match(error.message, /"base" \(blake3:[0-9a-f]{64}\)/);
    return true;
  });
  await receive(twin.context, { file });
  assert.deepEqual(
    (await log(twin.context, { ref: "next" })).map(({ message }) => message),
    ["the second", ""],
  );
  const { items } = await blame(twin.context, { file: "next:/d0/f0" });
  assert.equal(items[0]?.message, "the second");

  await assert.rejects(receive(other.context, { file: `${source}/large` }), { code: "SOURCE_INVALID" });
  await assert.rejects(receive(other.context, { file: source }), { code: "SOURCE_INVALID" });
  await assert.rejects(receive(other.context, { file: `${at.path}/none` }), { code: "NOT_FOUND" });
  await assert.rejects(receive(other.context, { file: "/dev/zero" }), { code: "SOURCE_INVALID" });
  const later = Buffer.from(readFileSync(file));
  later.write("delta0 stream 2\n", "latin1");
  await assert.rejects(received(other.context, later, { as: "later" }), { code: "FORMAT_NEWER" });
});

test("transfer: a copy that is stopped at any point leaves no name, and goes on from there", async () => {
  await using at = await openTestStore();
  const source = `${at.path}/source`;
  mkdirSync(source);
  for (let i = 0; i < 40; i++) writeFileSync(`${source}/f${i}`, Buffer.alloc(200_000, `file ${i}`));
  const { digest } = await importLayer(at.context, { source, name: "base" });
  const to = `${at.path}/copy`;
  for (let delay = 1; ; delay *= 2) {
    const signal = AbortSignal.timeout(delay);
    try {
      await copy({ ...at.context, signal }, { refs: ["base"], to });
      break;
    } catch (error) {
      assert.equal(error, signal.reason);
    }
    if (existsSync(`${to}/format`)) await within(to, async (other) => assert.deepEqual(await list(other), []));
  }
  await within(to, async ({ store }) => {
    requireWhole(store, digest);
    await Promise.resolve();
  });
});
