import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  chmodFiles,
  clone,
  commit,
  create,
  diff,
  exportTree,
  gc,
  importLayer,
  list,
  listSnapshots,
  openContainer,
  rebase,
  remove,
  rollback,
  show,
  snapshot,
  squash,
  status,
  Store,
  tag,
  undo,
} from "../../src/index.ts";
import { readContainerDirectory } from "../../src/lxc/container-directory.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

/** Layers `base` and `newer`: a tool was changed, a file is new, one is gone. */
async function withLayers(at: TestHost): Promise<void> {
  const { context, source } = at;
  for (const name of ["kept", "gone", "both"]) writeFileSync(`${source}/etc/${name}`, `${name}\n`);
  await importLayer(context, { source, name: "base" });
  writeFileSync(`${source}/bin/tool`, "newer tool");
  writeFileSync(`${source}/etc/new`, "new\n");
  writeFileSync(`${source}/etc/both`, "both, as newer has it\n");
  rmSync(`${source}/etc/gone`);
  await importLayer(context, { source, name: "newer" });
}

async function write(at: TestHost, name: string, files: Readonly<Record<string, string>>): Promise<void> {
  await using view = await openContainer(at.context, { name });
  for (const [path, text] of Object.entries(files)) await view.promises.writeFile(path, text);
}

test("rebase: a container's changes are on the new layer, its directory too; one undo takes all of it back", async () => {
  await using at = await openTestHost();
  const { context, lxcPath, store } = at;
  await withLayers(at);
  await create(context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await runContainer(context, "web", (upper) => {
    mkdirSync(`${upper}/etc`);
    writeFileSync(`${upper}/etc/kept`, "kept, as web has it\n");
    mkdirSync(`${upper}/srv`);
    writeFileSync(`${upper}/srv/page`, "page\n");
  });
  await snapshot(context, { name: "web" });
  const before = (await list(context)).find(({ name }) => name === "web");
  const lower = (await show(context, { ref: "newer" })).digest;

  const tried = await rebase(context, { name: "web", onto: "newer", dryRun: true });
  assert.deepEqual([tried.rebased, tried.digest, tried.conflicts], [false, null, []]);
  const rebased = await rebase(context, { name: "web", onto: "newer" });
  assert.deepEqual([rebased.rebased, rebased.conflicts, rebased.lower], [true, [], lower]);
  const shown = await show(context, { ref: "web" });
  assert.deepEqual([shown.digest, shown.container?.lower], [rebased.digest, lower]);
  const changed = (await status(context, { name: "web" })).changes;
  assert.deepEqual(
    changed
      .filter(({ differs }) => !(differs.length === 1 && differs[0] === "mtime"))
      .map(({ path, kind }) => `${kind} ${path}`),
    ["changed etc/kept", "added srv", "added srv/page"],
  );
  await exportTree(context, { ref: "web", target: `${at.path}/out`, asUser: true });
  for (const [path, text] of [
    ["etc/kept", "kept, as web has it\n"],
    ["etc/new", "new\n"],
    ["etc/both", "both, as newer has it\n"],
    ["bin/tool", "newer tool"],
    ["srv/page", "page\n"],
  ] as const)
    assert.equal(readFileSync(`${at.path}/out/${path}`, "utf8"), text);

  const found = readContainerDirectory(`${lxcPath}/web`);
  assert.ok(found.type === "container");
  assert.deepEqual(store.exports.stackOf(found.rootfs.lowers)?.at(0)?.includes(lower), true);
  await startContainer(context, "web");
  assert.equal(readFileSync(`${lxcPath}/web/delta0/etc/kept`, "utf8"), "kept, as web has it\n");
  assert.equal((await listSnapshots(context, { name: "web" })).length, 1);
  assert.equal(
    (await rebase(context, { name: "web", onto: "newer" })).digest,
    rebased.digest,
    "it stands there already",
  );
  assertNothingHalfMade(at, lxcPath, `${lxcPath}/web`);

  await undo(context);
  assert.deepEqual(
    (await list(context)).find(({ name }) => name === "web"),
    before,
  );
  assert.equal((await show(context, { ref: "web" })).container?.lower, (await show(context, { ref: "base" })).digest);
  await startContainer(context, "web");
  await rebase(context, { name: "web", onto: "newer" });
  await rollback(context, { name: "web", snapshot: "snap0" });
  assert.equal((await show(context, { ref: "web" })).container?.lower, (await show(context, { ref: "base" })).digest);
});

test("rebase: conflicts are listed, and nothing is changed; a side settles them", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await withLayers(at);
  await create(context, { source: "base", name: "web", ...NO_LXC });
  await write(at, "web", {
    "/etc/both": "both, as web has it\n",
    "/etc/gone": "still here\n",
    "/etc/hostname": "web\n",
  });
  await chmodFiles(context, { mode: "700", paths: ["web:/bin/tool"] });
  const before = await show(context, { ref: "web" });
  const refused = await rebase(context, { name: "web", onto: "newer" });
  assert.deepEqual([refused.rebased, refused.digest], [false, null]);
  assert.deepEqual(
    refused.conflicts.map(({ path, differs, theirs }) => [path, differs, theirs === null]),
    [
      ["etc/both", ["content"], false],
      ["etc/gone", [], true],
    ],
  );
  assert.deepEqual(await show(context, { ref: "web" }), before);

  await clone(context, { ref: "web", names: ["other"], ...NO_LXC });
  await rebase(context, { name: "web", onto: "newer", prefer: "ours" });
  await rebase(context, { name: "other", onto: "newer", prefer: "theirs" });
  const differences = await diff(context, { a: "web", b: "other", ignore: ["mtime"] });
  assert.deepEqual(
    differences.changes.map(({ path, kind }) => `${kind} ${path}`),
    ["changed etc/both", "removed etc/gone"],
  );
  await using view = await openContainer(context, { name: "web" });
  assert.equal(await view.promises.readFile("/etc/both", "utf8"), "both, as web has it\n");
  assert.equal(await view.promises.readFile("/bin/tool", "utf8"), "newer tool");
  assert.equal((await view.promises.stat("/bin/tool")).mode & 0o777, 0o700, "its mode with the new bytes");
});

test("rebase: what cannot be one is refused: a container as the layer, a layer as the container, none", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await withLayers(at);
  await create(context, { source: "base", name: "web", ...NO_LXC });
  for (const [params, code] of [
    [{ name: "base", onto: "newer" }, "USAGE"],
    [{ name: "web", onto: "web" }, "USAGE"],
    [{ name: "web", onto: "nwer" }, "NOT_FOUND"],
    [{ name: "wbe", onto: "newer" }, "NOT_FOUND"],
  ] as const)
    await assert.rejects(rebase(context, params), { code }, JSON.stringify(params));
});

/** Layers one, two, three, each with a file of its own that the next does not have. */
async function withChain(at: TestHost): Promise<void> {
  const { context } = at;
  await create(context, { source: at.source, name: "web", ...NO_LXC });
  for (const name of ["one", "two", "three"]) {
    await write(at, "web", { "/file": `${name} `.repeat(5000) });
    await commit(context, { name: "web", layer: name });
  }
}

test("squash: a layer holds what it did, and those in between go; what stands on one keeps it", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await withChain(at);
  await clone(context, { ref: "two", names: ["twin"], ...NO_LXC });
  const [one, three] = [(await show(context, { ref: "one" })).digest, (await show(context, { ref: "three" })).digest];
  await tag(context, { ref: "three", name: "last" });
  const tried = await squash(context, { name: "last", onto: "one", dryRun: true });
  assert.equal(
    (await show(context, { ref: "last" })).layer?.parentDigest,
    (await show(context, { ref: "two" })).digest,
  );
  const squashed = await squash(context, { name: "last", onto: "one", message: "three in one" });
  assert.deepEqual({ ...squashed, dryRun: true }, tried);
  assert.deepEqual([squashed.layers, squashed.digest, squashed.parentDigest], [2, three, one]);
  assert.deepEqual(squashed.keptBy, ["three", "twin", "two", "web"]);
  const shown = await show(context, { ref: "last" });
  assert.deepEqual([shown.digest, shown.layer?.parentDigest, shown.layer?.message], [three, one, "three in one"]);
  assert.equal((await squash(context, { name: "last", onto: "one" })).layers, 1);

  await remove(context, { names: ["web", "twin", "two", "three"] });
  const all = await squash(context, { name: "last" });
  assert.deepEqual([all.layers, all.parentDigest, all.beforeBytes], [3, null, squashed.afterBytes]);
  assert.ok(all.afterBytes < squashed.afterBytes && squashed.afterBytes < squashed.beforeBytes);
  await remove(context, { names: ["one"] });
  await at.store[Symbol.asyncDispose]();
  await using store = await Store.open(at.store.paths.directory);
  await gc({ store, command: "test" }, { grace: "0" });
  const usage = await store.usage();
  assert.equal(usage.storedBytes + usage.nodeBytes, all.afterBytes, "there is nothing but what the one layer takes");
});

test("squash: undo brings the layers back; what is no layer, or was not made from that, is refused", async () => {
  await using at = await openTestHost();
  const { context } = at;
  await withChain(at);
  const before = await show(context, { ref: "three" });
  await squash(context, { name: "three" });
  await undo(context);
  assert.deepEqual(await show(context, { ref: "three" }), before);
  await snapshot(context, { name: "web" });
  for (const [params, code] of [
    [{ name: "web" }, "USAGE"],
    [{ name: "web@snap0" }, "USAGE"],
    [{ name: "one", onto: "three" }, "USAGE"],
    [{ name: "three", onto: "three" }, "USAGE"],
    [{ name: "three", onto: "web" }, "USAGE"],
    [{ name: "for" }, "NOT_FOUND"],
  ] as const)
    await assert.rejects(squash(context, params), { code }, JSON.stringify(params));
  assert.deepEqual(await show(context, { ref: "three" }), before);
});
