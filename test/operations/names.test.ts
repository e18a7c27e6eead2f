import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { clone, create, importLayer, list, remove, rename, show, tag } from "../../src/index.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

const names = async ({ context }: TestHost): Promise<string[]> => (await list(context)).map(({ name }) => name);

test("tag: gives a layer, a container's state or a tree one more name", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", noLxc: true });
  for (const [ref, name] of [
    ["base", "b"],
    ["web", "w"],
    [digest, "t"],
  ] as const) {
    assert.deepEqual(await tag(at.context, { ref, name }), { name, digest });
    assert.equal((await show(at.context, { ref: name })).type, "layer");
  }
  assert.equal((await show(at.context, { ref: "w" })).layer?.parentDigest, digest);
  const other = await importLayer(at.context, { source: `${at.source}/etc`, name: "other" });
  await assert.rejects(tag(at.context, { ref: "other", name: "b" }), { code: "EXISTS" });
  await assert.rejects(tag(at.context, { ref: "other", name: "web", replace: true }), { code: "EXISTS" });
  await assert.rejects(tag(at.context, { ref: "nobody", name: "n" }), { code: "NOT_FOUND" });
  await tag(at.context, { ref: "other", name: "b", replace: true });
  assert.equal((await show(at.context, { ref: "b" })).digest, other.digest);
  assert.equal((await show(at.context, { ref: "base" })).digest, digest);
});

test("rename: a container moves with its directory, its config and its changes; its clones do not notice", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "old", lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "old", (upper) => writeFileSync(`${upper}/new`, "new"));
  await clone(at.context, { ref: "old", names: ["copy"], lxcPath });
  assert.deepEqual(await rename(at.context, { from: "old", to: "young" }), { from: "old", to: "young" });
  assert.deepEqual(await names(at), ["copy", "young"]);
  assert.deepEqual((await readdir(lxcPath)).sort(), ["copy", "young"]);
  const config = await readFile(`${lxcPath}/young/config`, "utf8");
  assert.match(config, new RegExp(`:${lxcPath}/young/delta0$`, "m"));
  assert.match(config, /^lxc.uts.name = young$/m);
  assert.doesNotMatch(config, /\bold\b/);
  assert.equal(await readFile(`${lxcPath}/young/delta0/new`, "utf8"), "new");
  await startContainer(at.context, "young");
  await startContainer(at.context, "copy");
  assert.equal(await readFile(`${lxcPath}/copy/delta0/new`, "utf8"), "new");
  assertNothingHalfMade(at, lxcPath);
});

test("rename: to a name or a directory that is taken, or from nobody, changes nothing", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath });
  await create(at.context, { source: "web", name: "db", noLxc: true });
  await mkdir(`${lxcPath}/in-the-way`);
  for (const [from, to, code] of [
    ["web", "db", "EXISTS"],
    ["web", "web", "EXISTS"],
    ["web", "in-the-way", "EXISTS"],
    ["web", "no/name", "USAGE"],
    ["nobody", "new", "NOT_FOUND"],
  ] as const) {
    await assert.rejects(rename(at.context, { from, to }), { code }, `${from} ${to}`);
    assert.deepEqual(await names(at), ["db", "web"]);
    assert.deepEqual((await readdir(lxcPath)).sort(), ["in-the-way", "web"]);
    assertNothingHalfMade(at, lxcPath);
  }
  await rename(at.context, { from: "db", to: "in-the-way" });
  assert.deepEqual(await names(at), ["in-the-way", "web"]);
});

test("rm: of a base leaves its clones whole, down to each byte", async () => {
  await using at = await openTestHost();
  await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", noLxc: true });
  await clone(at.context, { ref: "web", names: ["copy"], noLxc: true });
  assert.deepEqual(await remove(at.context, { names: ["base", "web", "web"] }), { removed: ["base", "web"] });
  const [copy] = await list(at.context);
  assert.deepEqual([copy?.name, copy?.parent, copy?.files], ["copy", copy?.digest, 6]);
  await clone(at.context, { ref: "copy", names: ["copy-of-copy"], noLxc: true });
});

test("rm: all names are checked before the first goes; then directories go, too", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  for (const name of ["a", "b"]) await create(at.context, { source: at.source, name, lxcPath, ...FOR_ANYBODY });
  await startContainer(at.context, "a");
  await assert.rejects(remove(at.context, { names: ["a", "nobody"] }), { code: "NOT_FOUND" });
  assert.deepEqual(await names(at), ["a", "b"]);
  await remove(at.context, { names: ["b", "a"] });
  assert.deepEqual(await readdir(lxcPath), []);
  assert.equal(at.store.exports.keys().length, 1, "the shared export stays until unexport");
  assertNothingHalfMade(at, lxcPath);
});

test("rm: what a container changed since its last capture is in the history of its name", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  await remove(at.context, { names: ["web"] });
  for await (const { changes } of at.store.refs.history()) {
    const [{ before, after } = { before: null, after: undefined }] = changes;
    assert.equal(after, null);
    assert.equal(before?.type, "container");
    assert.equal((await show(at.context, { ref: before.tree })).files, 7);
    break;
  }
});

test("rm, rename: a directory that is another's by now stays, and the record goes or moves alone", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  const foreign = [
    "lxc.rootfs.path = dir:/srv/rootfs\n",
    `lxc.rootfs.path = overlay:/srv/rootfs:${lxcPath}/web/delta0\n`,
    undefined,
  ];
  for (const config of foreign) {
    for (const work of [true, false]) {
      await create(at.context, { source: at.source, name: "web", lxcPath });
      // As lxc-destroy and lxc-create, or lxc-copy -s, of one name.
      await rm(`${lxcPath}/web`, { recursive: true });
      await mkdir(`${lxcPath}/web/delta0`, { recursive: true });
      await writeFile(`${lxcPath}/web/delta0/precious`, "precious");
      if (config !== undefined) await writeFile(`${lxcPath}/web/config`, config);
      if (work) await mkdir(`${lxcPath}/web/work`);
      assert.equal((await show(at.context, { ref: "web" })).container?.state, "foreign");
      await rename(at.context, { from: "web", to: "moved" });
      await rename(at.context, { from: "moved", to: "again" });
      await remove(at.context, { names: ["again"] });
      await assert.rejects(create(at.context, { source: at.source, name: "web", lxcPath }), { code: "EXISTS" });
      assert.equal(await readFile(`${lxcPath}/web/delta0/precious`, "utf8"), "precious");
      await rm(`${lxcPath}/web`, { recursive: true });
    }
  }
  assert.ok(at.warnings.length > 0);
});

test("rm, rename: of a container whose directory is gone are of its record", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath });
  await rm(`${lxcPath}/web`, { recursive: true });
  assert.equal((await show(at.context, { ref: "web" })).container?.state, "missing");
  await rename(at.context, { from: "web", to: "moved" });
  await remove(at.context, { names: ["moved"] });
  assert.deepEqual(await names(at), []);
  assert.ok(!existsSync(`${lxcPath}/moved`));
});

test("clone: the link to look through leads to the export once that is made", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  const link = `${at.lxcPath}/web/rootfs`;
  assert.ok(!existsSync(link));
  await startContainer(at.context, "web");
  assert.equal(await readFile(`${await readlink(link)}/etc/hosts`, "utf8"), "127.0.0.1 localhost\n");
});
