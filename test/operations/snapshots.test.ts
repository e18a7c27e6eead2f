import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  clone,
  commit,
  create,
  exportTree,
  importLayer,
  list,
  listSnapshots,
  remove,
  rename,
  reset,
  rollback,
  show,
  snapshot,
  Store,
} from "../../src/index.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { digestKey } from "../../src/format/keys.ts";
import { Kv } from "../../src/kv/kv.ts";
import { readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

/** A container with an LXC directory in which `new` says `text`, and which is captured. */
async function withText(at: TestHost, text: string): Promise<void> {
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, text));
  await list(at.context);
}

test("snapshot: names itself above all that there are; takes what is not captured yet; is a ref like others", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  const base = await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  const first = await snapshot(context, { name: "web" });
  assert.deepEqual(first, { name: "web", snapshot: "snap0", ref: "web@snap0", digest: base.digest });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "one"));
  const second = await snapshot(context, { name: "web", message: "with new" });
  assert.equal(second.ref, "web@snap1");
  assert.notEqual(second.digest, first.digest);
  await snapshot(context, { name: "web", snapshot: "before-upgrade" });
  await remove(context, { names: ["web@snap0"] });
  assert.equal((await snapshot(context, { name: "web" })).snapshot, "snap2");
  await remove(context, { names: ["web@snap2"] });
  assert.equal((await snapshot(context, { name: "web", snapshot: "snap10" })).snapshot, "snap10");
  assert.equal((await snapshot(context, { name: "web" })).snapshot, "snap11");

  const items = await listSnapshots(context, { name: "web" });
  assert.deepEqual(
    items.map(({ snapshot, message }) => [snapshot, message]),
    [
      ["before-upgrade", ""],
      ["snap1", "with new"],
      ["snap10", ""],
      ["snap11", ""],
    ],
  );
  const listed = await list(context);
  assert.deepEqual(
    listed.map(({ name }) => name),
    ["web", "base"],
    "snapshots are no layers of the list",
  );
  assert.deepEqual(listed[0]?.snapshots, ["before-upgrade", "snap1", "snap10", "snap11"]);
  assert.equal((await show(context, { ref: "web" })).container?.snapshots.length, 4);
  const shown = await show(context, { ref: "web@snap1" });
  assert.deepEqual([shown.digest, shown.layer?.parentDigest], [second.digest, base.digest]);
  const target = `${at.path}/out`;
  await exportTree(context, { ref: "web@snap1", target, asUser: true });
  assert.equal(readFileSync(`${target}/new`, "utf8"), "one");
});

test("snapshot: of what is no container, by a name that is taken or cannot be, changes nothing", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "web", ...NO_LXC });
  await snapshot(context, { name: "web" });
  for (const [params, code] of [
    [{ name: "base" }, "USAGE"],
    [{ name: "wbe" }, "NOT_FOUND"],
    [{ name: "web@snap0" }, "USAGE"],
    [{ name: "web", snapshot: "snap0" }, "EXISTS"],
    [{ name: "web", snapshot: "a@b" }, "USAGE"],
    [{ name: "web", snapshot: "" }, "USAGE"],
    [{ name: "web", snapshot: "{1}" }, "USAGE"],
  ] as const)
    await assert.rejects(snapshot(context, params), { code }, JSON.stringify(params));
  for (const name of ["web@x", "@x", "x@"])
    await assert.rejects(create(context, { source: "base", name, ...NO_LXC }), { code: "USAGE" }, name);
  assert.deepEqual((await list(context))[0]?.snapshots, ["snap0"]);
});

test("rollback: brings a container's files back in its LXC directory; newer snapshots stay; what was is in the history", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await withText(at, "one");
  const one = await snapshot(context, { name: "web" });
  await withText(at, "two");
  await snapshot(context, { name: "web" });
  await runContainer(context, "web", (upper) => {
    writeFileSync(`${upper}/new`, "three");
    rmSync(`${upper}/../work`, { recursive: true });
    mkdirSync(`${upper}/../work`);
  });

  const restored = await rollback(context, { name: "web", snapshot: "snap0" });
  assert.equal(restored.digest, one.digest);
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "one", "it is there at once");
  assert.deepEqual(readdirSync(`${lxcPath}/web`).sort(), ["config", "delta0", "rootfs"]);
  assert.equal((await show(context, { ref: "web" })).digest, one.digest);
  assert.equal(
    (await show(context, { ref: restored.previousDigest })).type,
    "tree",
    "what was not captured was captured",
  );
  assert.deepEqual((await list(context))[0]?.snapshots, ["snap0", "snap1"]);
  await rollback(context, { name: "web", snapshot: "snap1" });
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "two");
  await startContainer(context, "web");
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "two");
  assertNothingHalfMade(at, lxcPath, `${lxcPath}/web`);
});

test("rollback: to a snapshot that there is not tells which there are, and touches nothing, not even to capture", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await snapshot(context, { name: "web" });
  await snapshot(context, { name: "web" });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "precious"));
  await assert.rejects(rollback(context, { name: "web", snapshot: "snap9" }), {
    code: "NOT_FOUND",
    message: 'web has no snapshot "snap9" (has: snap0, snap1); nothing was changed',
  });
  assert.ok(existsSync(`${lxcPath}/web/work`));
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "precious");
  for (const ref of ["web@snap9", "web@{99}"]) await assert.rejects(show(context, { ref }), { code: "NOT_FOUND" });
});

test("rollback: across a commit a container stands on what it stood on; an unstarted clone is not written out for it", async () => {
  await using at = await openTestHost();
  const { context, lxcPath, store } = at;
  const base = await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await withText(at, "one");
  const { digest } = await snapshot(context, { name: "web" });
  await commit(context, { name: "web", layer: "one" });
  assert.equal((await show(context, { ref: "web" })).container?.lower, digest);
  await rollback(context, { name: "web", snapshot: "snap0" });
  const shown = await show(context, { ref: "web" });
  assert.deepEqual([shown.digest, shown.container?.lower], [digest, base.digest]);
  const found = readContainerDirectory(`${lxcPath}/web`);
  assert.ok(found.type === "container");
  assert.deepEqual(found.rootfs.lowers, [store.exports.path(base.digest)]);
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "one");

  await clone(context, { ref: "web", names: ["copy"], lxcPath });
  await snapshot(context, { name: "copy" });
  await reset(context, { name: "copy" });
  assert.deepEqual(readdirSync(`${lxcPath}/copy/delta0`), []);
  await rollback(context, { name: "copy", snapshot: "snap0" });
  await startContainer(context, "copy");
  assert.equal(readFileSync(`${lxcPath}/copy/delta0/new`, "utf8"), "one");
});

test("rollback: an upper that cannot be made, for the store has lost bytes, leaves the container as it was", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await withText(at, "one");
  await snapshot(at.context, { name: "web" });
  await withText(at, "two");
  const before = await show(at.context, { ref: "web" });
  await at.store[Symbol.asyncDispose]();
  {
    await using meta = await Kv.open(at.store.paths.meta, { create: false });
    await meta.write([{ type: "del", key: digestKey("chunk", digestOf(Buffer.from("one"))) }]);
  }
  await using store = await Store.open(at.store.paths.directory);
  const context = { store, command: "test" };
  await assert.rejects(rollback(context, { name: "web", snapshot: "snap0" }), { code: "CHUNK_MISSING" });
  assert.deepEqual(await show(context, { ref: "web" }), before);
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "two");
  assert.deepEqual(readdirSync(`${lxcPath}/web`).sort(), ["config", "delta0", "rootfs"]);
});

test("reset: drops what was changed, captured or not; the base and the snapshots stay", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  const base = await importLayer(context, { source: at.source, name: "base" });
  await create(context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await withText(at, "one");
  await snapshot(context, { name: "web" });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "two"));
  const { digest, previousDigest } = await reset(context, { name: "web" });
  assert.equal(digest, base.digest);
  assert.deepEqual(readdirSync(`${lxcPath}/web/delta0`), []);
  await rollback(context, { name: "web", snapshot: "snap0" });
  assert.equal(readFileSync(`${lxcPath}/web/delta0/new`, "utf8"), "one");
  await clone(context, { ref: previousDigest, names: ["regret"], ...NO_LXC });
  await assert.rejects(reset(context, { name: "base" }), { code: "USAGE" });
});

test("clone: of a snapshot has the container's config and stands on its base", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  const base = await importLayer(context, { source: at.source, name: "base" });
  const settings = [...FOR_ANYBODY.settings, "lxc.environment=A=1"];
  await create(context, { source: "base", name: "web", lxcPath, settings });
  await withText(at, "one");
  await snapshot(context, { name: "web" });
  await withText(at, "two");
  await clone(context, { ref: "web@snap0", names: ["copy"], lxcPath });
  assert.match(readFileSync(`${lxcPath}/copy/config`, "utf8"), /^lxc.environment = A=1$/m);
  assert.equal((await show(context, { ref: "copy" })).container?.lower, base.digest);
  await startContainer(context, "copy");
  assert.equal(readFileSync(`${lxcPath}/copy/delta0/new`, "utf8"), "one");
  assert.deepEqual(at.store.exports.keys(), [base.digest], "no export for the snapshot");
});

test("rename, rm: take snapshots along in one change of the store, whose history can bring them back", async () => {
  await using at = await openTestHost();
  const { context, lxcPath } = at;
  await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await snapshot(context, { name: "web" });
  await snapshot(context, { name: "web", snapshot: "kept" });
  // A name that begins the same is another's.
  await create(context, { source: "web", name: "web2", ...NO_LXC });
  await snapshot(context, { name: "web2" });
  await rename(context, { from: "web", to: "www" });
  const items = await list(context);
  assert.deepEqual(
    items.map(({ name, snapshots }) => [name, snapshots]),
    [
      ["web2", ["snap0"]],
      ["www", ["kept", "snap0"]],
    ],
  );
  await remove(context, { names: ["www"] });
  assert.deepEqual(
    (await list(context)).map(({ name }) => name),
    ["web2"],
  );
  for await (const { changes } of at.store.refs.history()) {
    assert.deepEqual(changes.map(({ name }) => name).sort(), ["www", "www@kept", "www@snap0"]);
    break;
  }
  await remove(context, { names: ["web2", "web2@snap0"] });
  assert.deepEqual(await list(context), []);
});
