import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  clone,
  commit,
  create,
  importLayer,
  list,
  openContainer,
  reflog,
  remove,
  rename,
  rollback,
  show,
  snapshot,
  undo,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { lineagesOf } from "../../src/operations/lineages.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

/** A host with the layer "base", and the containers "web" and "db" of it. */
async function openHost(): Promise<TestHost> {
  const at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  for (const name of ["web", "db"])
    await create(at.context, { source: "base", name, lxcPath: at.lxcPath, ...FOR_ANYBODY });
  return at;
}

async function names(context: Context): Promise<string[]> {
  return (await list(context)).map(({ name }) => name);
}

test("reflog: a name's history goes on under the names that it had, and each line's ref is what it was then", async () => {
  await using at = await openHost();
  const { context } = at;
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  await rename({ ...context, command: "rename web shop" }, { from: "web", to: "shop" });
  await remove(context, { names: ["shop"] });
  const items = await reflog(context, { name: "shop" });
  assert.deepEqual(
    items.map(({ ref, undo, byItself, changes: [change] }) => [ref, undo, byItself, change?.name, change?.from]),
    [
      ["shop@{0}", 1, false, "shop", null],
      ["shop@{1}", 2, false, "shop", "web"],
      ["shop@{2}", 3, true, "web", null],
      ["shop@{3}", 5, false, "web", null],
    ],
  );
  for (const [i, item] of items.entries()) {
    const { after, before } = item.changes[0]!;
    if (after !== null) assert.equal((await show(context, { ref: item.ref! })).digest, after.digest);
    if (before !== null) assert.equal((await show(context, { ref: `shop@{${i + 1}}` })).digest, before.digest);
  }
  assert.deepEqual(await reflog(context, { name: "shop", limit: 2 }), items.slice(0, 2));
  assert.deepEqual((await reflog(context, { name: "web" })).length, 3);
  const all = await reflog(context);
  assert.deepEqual(
    all.map(({ undo, ref }) => [undo, ref]),
    [1, 2, 3, 4, 5, 6].map((undo) => [undo, null]),
  );
  assert.deepEqual(await reflog(context, { limit: 1 }), all.slice(0, 1));
  await assert.rejects(reflog(context, { name: "shopp" }), { code: "NOT_FOUND" });
});

test("NAME@{N}: brings back what was removed, on what it stood on, with its config; what never was is NOT_FOUND", async () => {
  await using at = await openHost();
  const { context, lxcPath } = at;
  appendFileSync(`${lxcPath}/web/config`, "lxc.environment = KEPT=yes\n");
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const before = await show(context, { ref: "web" });
  await remove(context, { names: ["web"] });
  await clone(context, { ref: "web@{1}", names: ["web"], lxcPath });
  const after = await show(context, { ref: "web" });
  assert.deepEqual([after.digest, after.container?.lower], [before.digest, before.container?.lower]);
  assert.match(readFileSync(`${lxcPath}/web/config`, "utf8"), /^lxc\.environment = KEPT=yes$/m);
  for (const ref of ["web@{1}", "web@{9}", "nobody@{1}", "base@{1}"])
    await assert.rejects(show(context, { ref }), { code: "NOT_FOUND" }, ref);
  assert.equal((await show(context, { ref: "web@{2}" })).digest, before.digest);
  assert.equal((await show(context, { ref: "base@{0}" })).type, "layer");
});

test("rollback: to NAME@{N} or @{N}, counted from what it is now, captured first", async () => {
  await using at = await openHost();
  const { context } = at;
  const first = await show(context, { ref: "web" });
  for (const back of ["@{1}", "web@{1}"]) {
    await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, back));
    assert.equal((await rollback(context, { name: "web", snapshot: back })).digest, first.digest);
  }
  for (const back of ["@{99}", "db@{1}"])
    await assert.rejects(rollback(context, { name: "web", snapshot: back }), { code: "NOT_FOUND" });
});

test("undo: passes over what containers did by themselves; with a number it counts that, too", async () => {
  await using at = await openHost();
  const { context } = at;
  const before = await show(context, { ref: "db" });
  await remove(context, { names: ["web"] });
  await runContainer(context, "db", (upper) => writeFileSync(`${upper}/new`, "precious"));
  const captured = await show(context, { ref: "db" });
  await undo(context);
  assert.deepEqual(await names(context), ["db", "web", "base"]);
  assert.equal((await show(context, { ref: "db" })).digest, captured.digest);
  const { entries } = await undo(context, { count: 3 });
  assert.equal(entries.length, 3);
  assert.deepEqual(await names(context), ["db", "web", "base"]);
  assert.equal((await show(context, { ref: "db" })).digest, before.digest);
});

test("undo: what a container did since is not lost: it is refused, and told how to take it all back", async () => {
  await using at = await openHost();
  const { context } = at;
  const before = await show(context, { ref: "web" });
  await commit(context, { name: "web", layer: "done" });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/new`, "precious"));
  await assert.rejects(undo(context), { code: "REFUSED" });
  await undo(context, { count: 2 });
  assert.equal((await show(context, { ref: "web" })).digest, before.digest);
  assert.deepEqual(await names(context), ["db", "web", "base"]);
});

test("undo: what views changed is the last change", async () => {
  await using at = await openHost();
  const { context } = at;
  const before = await show(context, { ref: "web" });
  await remove(context, { names: ["db"] });
  {
    await using view = await openContainer(context, { name: "web" });
    await view.promises.writeFile("/etc/new", "new");
  }
  const { entries } = await undo(context);
  assert.deepEqual(
    entries.map(({ command }) => command),
    ["write web"],
  );
  assert.equal((await show(context, { ref: "web" })).digest, before.digest);
});

test("undo: is refused as a whole where a directory is taken, or not ours any more; and says so before anything is done", async () => {
  await using at = await openHost();
  const { context, lxcPath } = at;
  await remove(context, { names: ["web", "db"] });
  mkdirSync(`${lxcPath}/db`);
  for (const dryRun of [true, false]) await assert.rejects(undo(context, { dryRun }), { code: "EXISTS" });
  assert.deepEqual(await names(context), ["base"]);
  assert.ok(!existsSync(`${lxcPath}/web`));
  rmSync(`${lxcPath}/db`, { recursive: true });
  assert.equal((await undo(context, { dryRun: true })).changes.length, 2);
  assert.deepEqual(await names(context), ["base"]);
  await undo(context);
  writeFileSync(`${lxcPath}/web/config`, "lxc.rootfs.path = dir:/srv/rootfs\n");
  await assert.rejects(undo(context), { code: "REFUSED" });
  assert.deepEqual(await names(context), ["db", "web", "base"]);
  assertNothingHalfMade(at, lxcPath);
});

test("undo of a rename: the config is byte for byte what it was, unless somebody has edited it since", async () => {
  await using at = await openHost();
  const { context, lxcPath } = at;
  const config = `${lxcPath}/web/config`;
  // Renamed there and back by itself, it would be "web".
  writeFileSync(config, readFileSync(config, "utf8").replace("lxc.uts.name = web", "lxc.uts.name = shop # for now"));
  writeFileSync(config, readFileSync(config, "utf8").replace("lxc.uts.name = shop # for now", "lxc.uts.name = shop"));
  const before = readFileSync(config, "utf8");
  await rename(context, { from: "web", to: "shop" });
  await undo(context);
  assert.equal(readFileSync(config, "utf8"), before);
  await undo(context);
  appendFileSync(`${lxcPath}/shop/config`, "lxc.environment = EDITED=yes\n");
  await undo(context);
  assert.match(readFileSync(config, "utf8"), /EDITED=yes/);
});

test("undo of a removal: small files beside the config come back with their modes", async () => {
  await using at = await openHost();
  const { context, lxcPath } = at;
  writeFileSync(`${lxcPath}/web/fstab`, "none /tmp tmpfs\n", { mode: 0o600 });
  writeFileSync(`${lxcPath}/web/web.log`, Buffer.alloc(100_000));
  await snapshot(context, { name: "web" });
  await remove(context, { names: ["web"] });
  await undo(context);
  assert.equal(readFileSync(`${lxcPath}/web/fstab`, "utf8"), "none /tmp tmpfs\n");
  assert.equal(statSync(`${lxcPath}/web/fstab`).mode & 0o7777, 0o600);
  assert.equal(statSync(`${lxcPath}/web`).mode & 0o7777, 0o770);
  assert.ok(!existsSync(`${lxcPath}/web/web.log`));
  assert.equal((await show(context, { ref: "web@snap0" })).type, "layer");
});

test("undo, NAME@{N}: what has been collected is NOT_FOUND, and nothing changes", async () => {
  await using at = await openHost();
  const { context, store } = at;
  const { refs } = store;
  const ref = refs.find("web")!;
  assert.ok(ref.type === "container");
  const lost = { ...ref, tree: digestOf(Buffer.from("lost")), lxcPath: null };
  await store.change({ command: "test" }, [{ name: "lost", before: null, after: lost }]);
  await store.change({ command: "test" }, [{ name: "lost", before: lost, after: null }]);
  await assert.rejects(undo(context), { code: "NOT_FOUND" });
  await assert.rejects(show(context, { ref: "lost@{1}" }), { code: "NOT_FOUND" });
  assert.deepEqual(await names(context), ["db", "web", "base"]);
});

test("undo: takes what there is to take, a number of changes from 1 on", async () => {
  await using at = await openTestHost();
  await assert.rejects(undo(at.context), { code: "NOT_FOUND" });
  await importLayer(at.context, { source: at.source, name: "base" });
  await assert.rejects(undo(at.context, { count: 2 }), { code: "NOT_FOUND" });
  for (const count of [0, -1, 1.5]) await assert.rejects(undo(at.context, { count }), { code: "USAGE" });
  await undo(at.context, { count: 1 });
  assert.deepEqual(await names(at.context), []);
  // The undo, and what it took back: that is as it was before.
  assert.deepEqual((await undo(at.context, { count: 2 })).changes, []);
});

test("lineages: a container that took the place of an LXC directory is adopted", () => {
  const after = { type: "layer", layer: digestOf(Buffer.from("x")) } as const;
  const files = [{ name: "config", mode: 0o640, bytes: Buffer.from("") }];
  const entry = { time: "", command: "", changes: [{ name: "web", before: null, after, files }] };
  assert.deepEqual(lineagesOf([entry]), [{ now: { name: "web", ref: after }, then: null, files: [], isAdopted: true }]);
});
