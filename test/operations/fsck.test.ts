import assert from "node:assert/strict";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  clone,
  create,
  fsck,
  gc,
  importLayer,
  openContainer,
  remove,
  rename,
  show,
  snapshot,
  Store,
  undo,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { NEXT_ID_KEY } from "../../src/chunks/value-ids.ts";
import { digestKey, idOfKey, kindRange } from "../../src/format/keys.ts";
import { walkBelow } from "../../src/trees/walk.ts";
import { openTestHost } from "./support.ts";

/** The bytes of a value in the database `chunks`, all of which are flipped but for its head. */
async function damageAllValues(store: Store): Promise<void> {
  const { chunks } = store.databases;
  for await (const [key, value] of chunks.iterate({})) {
    const damaged = Buffer.from(value);
    for (let at = damaged.length - 50; at < damaged.length; at++) damaged[at]! ^= 0xff;
    await chunks.write([{ type: "put", key, value: damaged }]);
  }
  await chunks.barrier();
}

async function repairedFrom(directory: string, from: readonly string[]): Promise<Awaited<ReturnType<typeof fsck>>> {
  await using store = await Store.open(directory, { damaged: "mend" });
  return await fsck({ store, command: "fsck" }, { deep: true, repair: true, from });
}

test("fsck: whatever commands do, a store is sound, and a repair changes nothing", async () => {
  await using at = await openTestHost();
  const { context, source } = at;
  await importLayer(context, { source, name: "base" });
  await create(context, { source: "base", name: "web", noLxc: true });
  await clone(context, { ref: "web", names: ["two", "three"], noLxc: true });
  await snapshot(context, { name: "web" });
  await rename(context, { from: "two", to: "renamed" });
  {
    await using view = await openContainer(context, { name: "three" });
    await view.promises.writeFile("/etc/new", "new");
  }
  await remove(context, { names: ["renamed"] });
  await undo(context, {});
  await undo(context, {});
  await remove(context, { names: ["renamed"] }).catch(() => undefined);
  await clone(context, { ref: "web", names: ["brief"], noLxc: true });
  await remove(context, { names: ["brief"], now: true });
  writeFileSync(`${source}/etc/more`, "more");
  await importLayer(context, { source, name: "base", replace: true });
  for (const deep of [false, true]) {
    const { damage, refs } = await fsck(context, { deep });
    assert.deepEqual({ damage, refs }, { damage: [], refs: [] });
  }
  await gc(context, { grace: "0" });
  const { damage, repaired } = await fsck(context, { deep: true, repair: true });
  assert.deepEqual({ damage, repaired }, { damage: [], repaired: [] });
});

test("fsck: damage of a chunk is told by names and paths, what is not hit is read, and the source heals it", async () => {
  await using at = await openTestHost();
  const { context, store, source } = at;
  const { digest } = await importLayer(context, { source, name: "base" });
  await create(context, { source: "base", name: "web", noLxc: true });
  await damageAllValues(store);
  writeFileSync(`${source}/etc/sound`, "sound");
  const other = `${at.path}/other`;
  cpSync(`${source}/etc`, other, { recursive: true });
  rmSync(`${other}/hosts`);
  await importLayer(context, { source: other, name: "sound" });

  assert.deepEqual((await fsck(context)).damage, []);
  const found = await fsck(context, { deep: true });
  assert.deepEqual(
    found.refs.map(({ name, paths }) => [name, paths.map(({ path }) => path)]),
    [
      ["base", ["/bin/tool", "/etc/hosts"]],
      ["web", ["/bin/tool", "/etc/hosts"]],
    ],
  );
  assert.equal(found.soundNames, 1);
  assert.deepEqual((await fsck(context, { deep: true, refs: ["sound"] })).damage, []);

  const mended = await fsck(context, { deep: true, repair: true, from: [source] });
  assert.deepEqual(mended.damage, []);
  assert.equal((await show(context, { ref: "base" })).digest, digest);
  const tree = store.trees.tree(digest);
  for (const [, node] of walkBelow(store.trees, "", tree.root))
    if (node.type === "file") for (const _piece of store.content.pieces(node.content));
});

test("fsck: without a source what is damaged goes, so that the next import brings it again", async () => {
  await using at = await openTestHost();
  const { context, store, source } = at;
  await importLayer(context, { source, name: "base" });
  await damageAllValues(store);
  const left = await fsck(context, { deep: true, repair: true });
  assert.notEqual(left.damage.length, 0);
  await importLayer(context, { source, name: "again" });
  assert.deepEqual((await fsck(context, { deep: true })).damage, []);
});

test("fsck: a store without CURRENT does not open, says so, is looked through, and loses nothing", async () => {
  await using at = await openTestHost();
  const { context, store, source } = at;
  const { directory } = store.paths;
  const { digest } = await importLayer(context, { source, name: "base" });
  await store[Symbol.asyncDispose]();
  for (const database of ["meta", "chunks"]) rmSync(`${directory}/${database}/CURRENT`);
  await assert.rejects(Store.open(directory), { code: "FORMAT_INVALID" });
  const before = readdirSync(directory);
  {
    await using looked = await Store.open(directory, { damaged: "look" });
    const { damage, refs } = await fsck({ store: looked, command: "fsck" });
    assert.deepEqual(
      damage.map(({ what, kind }) => [what, kind]),
      [
        [store.paths.meta, "file"],
        [store.paths.chunks, "file"],
      ],
    );
    assert.deepEqual(refs, []);
  }
  assert.deepEqual(readdirSync(directory), before);
  const mended = await repairedFrom(directory, []);
  assert.deepEqual([mended.damage, mended.kept], [[], []]);
  await using again = await Store.open(directory);
  const reopened: Context = { store: again, command: "a test" };
  assert.equal((await show(reopened, { ref: "base" })).digest, digest);
  assert.deepEqual((await fsck(reopened, { deep: true })).damage, []);
});

test("fsck: a lost counter comes back above all ids, also those of values that are gone", async () => {
  await using at = await openTestHost();
  const { context, store, source } = at;
  await importLayer(context, { source, name: "base" });
  const { meta, chunks } = store.databases;
  const stale = 3 * 2 ** 20;
  const [key] = await first(meta.iterate(kindRange("chunk")));
  const entry = digestKey("chunk", "ab".repeat(32) as never);
  await meta.write([
    { type: "put", key: entry, value: Buffer.from([0x95, 0xce, 0, 0x30, 0, 0, 3, 1, 1, 0]) },
    { type: "del", key: NEXT_ID_KEY },
  ]);
  assert.notDeepEqual(key, entry);
  await fsck(context, { repair: true });
  writeFileSync(`${source}/etc/new`, "bytes that are new");
  await store[Symbol.asyncDispose]();
  await using again = await Store.open(store.paths.directory);
  await importLayer({ store: again, command: "a test" }, { source, name: "next" });
  let last = 0;
  for await (const key of again.databases.chunks.keys({})) last = Math.max(last, idOfKey(key));
  assert.ok(last > stale, String(last));
  assert.ok(chunks !== again.databases.chunks);
});

async function first<T>(items: AsyncIterable<T>): Promise<T> {
  for await (const item of items) return item;
  throw new Error("there is none");
}

test("fsck: a name whose record is lost comes back from the history", async () => {
  await using at = await openTestHost();
  const { context, store, source } = at;
  await importLayer(context, { source, name: "base" });
  const before = await show(context, { ref: "base" });
  for await (const key of store.databases.meta.keys(kindRange("ref")))
    await store.databases.meta.write([{ type: "del", key }]);
  assert.deepEqual(
    (await fsck(context)).damage.map(({ kind }) => kind),
    ["record"],
  );
  assert.deepEqual((await fsck(context, { repair: true })).damage, []);
  assert.deepEqual(await show(context, { ref: "base" }), before);
});
