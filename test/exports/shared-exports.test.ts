import assert from "node:assert/strict";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { appendFile, mkdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { create, importLayer, list, listExports, remove, unexport } from "../../src/index.ts";
import { compareManifests } from "../support/compare.ts";
import { isRoot, run } from "../support/run.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, startContainer } from "../operations/support.ts";

test("shared export: is the tree, made once however often and by however many it is asked for", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const { exports } = at.store;
  const path = exports.path(digest);
  assert.ok(!existsSync(path));
  assert.deepEqual(exports.keys(), []);
  const made = await Promise.all([exports.ensure([digest]), exports.ensure([digest])]);
  assert.equal(made.filter((written) => written.length > 0).length, 1);
  assert.deepEqual(await compareManifests(at.source, path), []);
  assert.deepEqual((await listExports(at.context))[0]?.changed, []);
  const { ino } = lstatSync(path);
  assert.deepEqual(await exports.ensure([digest]), []);
  assert.equal(lstatSync(path).ino, ino);
  assert.deepEqual(exports.keys(), [digest]);
  assert.equal(exports.keyOf(path), digest);
  for (const other of [`${path}/etc`, `${path}x`, at.store.paths.exports, `/elsewhere/${digest}`])
    assert.equal(exports.keyOf(other), undefined, other);
  assertNothingHalfMade(at);
});

test("shared export: of a tree that the store does not have, or cannot read, nothing is left", async () => {
  await using at = await openTestHost();
  await assert.rejects(at.store.exports.ensure(["0".repeat(64) as never]), { code: "NODE_MISSING" });
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(at.store.exports.ensure([digest], { signal }), /enough/);
  assert.deepEqual(at.store.exports.keys(), []);
  assertNothingHalfMade(at);
  assert.equal((await at.store.exports.ensure([digest])).length, 1);
});

test("shared export: a hidden name, as a kill leaves one, is no export, and is gone with the next opening", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const hidden = `${at.store.paths.privateExports}/.0123456789abcdef`;
  mkdirSync(`${hidden}/below`, { recursive: true });
  writeFileSync(`${hidden}/below/file`, "");
  for (const directory of [`${hidden}/below`, hidden]) chmodSync(directory, 0o500);
  assert.deepEqual(at.store.exports.keys(), []);
  await at.store.exports.ensure([digest]);
  at.store.exports.sweep();
  assert.deepEqual(readdirSync(at.store.paths.privateExports), [digest]);
});

test("exports: what somebody changed in one is named, whatever it was", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await at.store.exports.ensure([digest]);
  const inside = `${at.store.paths.privateExports}/${digest}`;
  const changed = async (): Promise<readonly string[] | null | undefined> =>
    (await listExports(at.context))[0]?.changed;
  assert.deepEqual(await changed(), []);
  await readFile(`${inside}/etc/hosts`);
  assert.deepEqual(await changed(), [], "reading is no change");
  const { atime, mtime } = lstatSync(`${inside}/etc/hosts`);
  const bytes = await readFile(`${inside}/etc/hosts`);
  bytes[0]! ^= 1;
  await writeFile(`${inside}/etc/hosts`, bytes, { flag: "r+" });
  await utimes(`${inside}/etc/hosts`, atime, mtime);
  assert.deepEqual(await changed(), ["etc/hosts"], "bytes changed and times put back");
  await appendFile(`${inside}/bin/new`, "");
  assert.deepEqual(await changed(), ["bin", "etc/hosts", "bin/new"]);
  await rm(`${inside}/etc/link`);
  assert.deepEqual((await changed())?.includes("etc/link"), true);
  await rm(`${at.store.paths.manifests}/${digest}`);
  assert.equal(await changed(), null, "without its manifest it cannot be told");
});

test("exports: users are told, one in use is kept, those that nobody uses go", async () => {
  await using at = await openTestHost();
  const { lxcPath, context } = at;
  const base = await importLayer(context, { source: at.source, name: "base" });
  const other = await importLayer(context, { source: `${at.source}/etc`, name: "other" });
  for (const name of ["a", "b"]) await create(context, { source: "base", name, lxcPath, ...FOR_ANYBODY });
  await create(context, { source: "other", name: "stored", noLxc: true });
  await startContainer(context, "a");
  await at.store.exports.ensure([other.digest]);
  const items = await listExports(context);
  assert.deepEqual(
    items.map(({ digest, entries, users, mounted }) => [digest, entries, users, mounted]),
    [
      [base.digest, 6, ["a", "b"], false],
      [other.digest, 2, [], false],
    ].sort(([x], [y]) => ((x ?? "") < (y ?? "") ? -1 : 1)),
  );
  await assert.rejects(unexport(context, { refs: ["other", "a"] }), { code: "REFUSED" });
  assert.equal(at.store.exports.keys().length, 2, "nothing went, since not all could");
  assert.deepEqual(await unexport(context, {}), { removed: [other.digest] });
  await assert.rejects(unexport(context, { refs: ["other"] }), { code: "NOT_FOUND" });
  await assert.rejects(unexport(context, { refs: ["nobody"] }), { code: "NOT_FOUND" });
  await remove(context, { names: ["a"] });
  await assert.rejects(unexport(context, { refs: ["base"] }), { code: "REFUSED" });
  await remove(context, { names: ["b"] });
  assert.deepEqual(await unexport(context, { refs: ["base", base.digest, "base"] }), { removed: [base.digest] });
  assert.deepEqual(at.store.exports.keys(), []);
  assert.deepEqual(readdirSync(at.store.paths.manifests), []);
  await at.store.exports.ensure([base.digest]);
  assert.deepEqual(await compareManifests(at.source, at.store.exports.path(base.digest)), []);
});

test("exports: a container that the store does not know, but stands on one, keeps it", async () => {
  await using at = await openTestHost();
  const { lxcPath, context } = at;
  const { digest } = await create(context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await startContainer(context, "web");
  await create(context, { source: "web", name: "other", lxcPath });
  // As lxc-copy makes one.
  await mkdir(`${lxcPath}/copy`);
  const config = await readFile(`${lxcPath}/web/config`, "utf8");
  await writeFile(`${lxcPath}/copy/config`, config.replaceAll("/web/", "/copy/"));
  await remove(context, { names: ["web"] });
  assert.deepEqual((await listExports(context))[0]?.users, ["other", "copy"]);
  const [foreign] = await list(context, { only: "foreign" });
  assert.deepEqual([foreign?.name, foreign?.parent, foreign?.lxcDirectory], ["copy", digest, `${lxcPath}/copy`]);
  await remove(context, { names: ["other"] });
  // Nothing of ours names the path any more: the setting does.
  await at.store.settings.set("lxc.path", lxcPath);
  const path = at.store.exports.path(digest);
  for (const rootfs of [undefined, `overlay:/srv/top:${path}:/srv/upper`, `dir:${path}`, path]) {
    if (rootfs !== undefined) await writeFile(`${lxcPath}/copy/config`, `lxc.rootfs.path = ${rootfs}\n`);
    assert.deepEqual(await unexport(context, {}), { removed: [] }, rootfs);
    await assert.rejects(unexport(context, { refs: [digest] }), { code: "REFUSED" }, rootfs);
  }
});

test("exports: who may mount sees them read-only, others by a symlink; a kill between leaves no gap", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const { exports } = at.store.paths;
  rmdirSync(exports);
  await at.store.exports.ensure([digest]);
  const file = `${at.store.exports.path(digest)}/etc/hosts`;
  assert.equal(await readFile(file, "utf8"), "127.0.0.1 localhost\n");
  if (lstatSync(exports).isSymbolicLink()) assert.ok(!isRoot());
  else await assert.rejects(writeFile(file, "x"), { code: "EROFS" });
  await at.store.exports.protect();
  if (isRoot()) await run("umount", [exports]);
  await at.store.exports.protect();
  assert.equal(await readFile(file, "utf8"), "127.0.0.1 localhost\n");
});
