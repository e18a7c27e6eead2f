import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { cp, link, mkdir, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { exportTree, importLayer, info, show, status, Store } from "../../src/index.ts";
import { run } from "../support/run.ts";
import { openTestHost } from "./support.ts";
import type { TestHost } from "./support.ts";

function has({ store }: Pick<TestHost, "store">, digest: string, path: string): boolean {
  return store.trees.lookup(store.trees.tree(digest as never), path) !== undefined;
}

test("import: says what it read and what of it was new, and a second time nothing is", async () => {
  await using at = await openTestHost();
  const first = await importLayer(at.context, { source: at.source, name: "base", message: "as it came" });
  assert.deepEqual(
    { ...first, digest: "", newBytes: 0, newChunks: 0 },
    { name: "base", digest: "", entries: 6, bytes: 300_020, newBytes: 0, newChunks: 0, replaced: false },
  );
  assert.ok(first.newBytes > 0 && first.newBytes < first.bytes);
  const second = await importLayer(at.context, { source: at.source, name: "again" });
  assert.deepEqual(second, { ...first, name: "again", newBytes: 0, newChunks: 0 });
  const { layer } = await show(at.context, { ref: "base" });
  assert.deepEqual(layer, {
    parentDigest: null,
    created: layer?.created,
    message: "as it came",
    source: at.source,
  });
  assert.deepEqual(at.warnings, []);
});

test("import: a layer names its parent; nothing but a layer can be one", async () => {
  await using at = await openTestHost();
  const base = await importLayer(at.context, { source: at.source, name: "base" });
  await writeFile(`${at.source}/new`, "new");
  const child = await importLayer(at.context, { source: at.source, name: "child", parent: "base" });
  assert.equal((await show(at.context, { ref: "child" })).layer?.parentDigest, base.digest);
  const { source } = at;
  for (const [parent, code] of [
    [child.digest, "USAGE"],
    [at.source, "NOT_FOUND"],
    ["nobody", "NOT_FOUND"],
  ] as const)
    await assert.rejects(importLayer(at.context, { source, name: "other", parent }), { code });
  assert.equal((await info(at.context)).layers, 2);
});

test("import: a name is moved on demand alone, and only from layer to layer", async () => {
  await using at = await openTestHost();
  const before = await importLayer(at.context, { source: at.source, name: "base" });
  await writeFile(`${at.source}/new`, "new");
  await assert.rejects(importLayer(at.context, { source: at.source, name: "base" }), { code: "EXISTS" });
  assert.equal((await show(at.context, { ref: "base" })).digest, before.digest);
  const after = await importLayer(at.context, { source: at.source, name: "base", replace: true });
  assert.equal(after.replaced, true);
  assert.notEqual(after.digest, before.digest);
  assert.equal((await show(at.context, { ref: before.digest })).type, "tree", "the old tree is there by its digest");
});

test("import: a glob without a slash fits names anywhere, one with a slash paths from the top", async () => {
  await using at = await openTestHost();
  for (const directory of ["cache", "var/cache/apt", "var/lib"]) {
    await mkdir(`${at.source}/${directory}`, { recursive: true });
    await writeFile(`${at.source}/${directory}/file.pyc`, "x");
    await writeFile(`${at.source}/${directory}/.hidden`, "x");
  }
  const tar = `${at.path}/source.tar`;
  await run("tar", ["-cf", tar, "-C", at.source, "."]);
  const exclude = ["*.pyc", "/var/cache/", "b?n"];
  const ofDirectory = await importLayer(at.context, { source: at.source, name: "a", exclude });
  const ofTar = await importLayer(at.context, { source: tar, name: "b", exclude });
  for (const { digest } of [ofDirectory, ofTar]) {
    for (const path of ["cache/.hidden", "var/lib/.hidden", "etc/hosts"]) assert.ok(has(at, digest, path), path);
    for (const path of ["cache/file.pyc", "var/lib/file.pyc", "var/cache", "bin", "bin/tool"])
      assert.ok(!has(at, digest, path), path);
  }
  const all = await importLayer(at.context, { source: at.source, name: "c", exclude: ["*"] });
  assert.equal(all.entries, 0);
});

test("import: a hard link to what is left out is the file, from a directory and a tar alike", async () => {
  await using at = await openTestHost();
  for (const name of ["b", "c", "d"]) await link(`${at.source}/bin/tool`, `${at.source}/bin/${name}`);
  const tar = `${at.path}/source.tar`;
  // All but one of the four are links to it.
  for (const order of [
    ["tool", "b", "c", "d"],
    ["d", "tool", "b", "c"],
    ["c", "d", "tool", "b"],
  ]) {
    const first = order.map((name) => `bin/${name}`);
    await run("tar", ["--format=pax", "--no-recursion", "-cf", tar, "-C", at.source, ".", "bin", ...first]);
    await run("tar", ["--format=pax", "-rf", tar, "-C", at.source, "etc", "empty"]);
    for (const [i, exclude] of [["tool"], ["tool", "d"], ["bin/b", "bin/tool", "bin/c"], ["bin"]].entries()) {
      const { digest } = await importLayer(at.context, { source: at.source, name: `a${i}`, exclude, replace: true });
      const ofTar = await importLayer(at.context, { source: tar, name: `b${i}`, exclude, replace: true });
      assert.equal(ofTar.digest, digest, `${order.join(" ")} without ${exclude.join(" ")}`);
    }
  }
});

test("import: a store inside the source is left out, however its path was written", async () => {
  await using at = await openTestHost();
  const around = `${at.path}/around`;
  await cp(at.source, around, { recursive: true, preserveTimestamps: true });
  await mkdir(`${around}/var`);
  await symlink(around, `${at.path}/by-symlink`);
  {
    await using inner = await Store.open(`${at.path}/by-symlink/var/store`, { create: true });
    for (const source of [around, `${at.path}/by-symlink`, `${around}/./`]) {
      const context = { store: inner, command: "test" };
      const { digest } = await importLayer(context, { source, name: "self", replace: true });
      assert.ok(has({ store: inner }, digest, "var"));
      assert.ok(!has({ store: inner }, digest, "var/store"), source);
    }
  }
  const { digest } = await importLayer(at.context, { source: around, name: "other" });
  assert.ok(has(at, digest, "var/store/format"), "another store is data");
});

test("import: a tar from a file, compressed, and from the input are the directory's tree", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const tar = `${at.path}/source.tar`;
  await run("tar", ["--format=pax", "-cf", tar, "-C", at.source, "."]);
  await run("gzip", ["-k", tar]);
  for (const [i, source] of [tar, `${tar}.gz`, "-"].entries()) {
    const input = createReadStream(tar);
    const imported = await importLayer({ ...at.context, input }, { source, name: `tar${i}` });
    assert.equal(imported.digest, digest, source);
    assert.equal(imported.newChunks, 0);
  }
  assert.equal((await show(at.context, { ref: "tar2" })).layer?.source, "standard input");
  await assert.rejects(importLayer(at.context, { source: "-", name: "no-input" }), { code: "USAGE" });
});

test("import: names are checked before anything is read", async () => {
  await using at = await openTestHost();
  for (const name of ["", "-x", ".x", "a/b", "a b", "ä", "x".repeat(65), "a\n", "a:b"])
    await assert.rejects(importLayer(at.context, { source: "/nowhere", name }), { code: "USAGE" }, name);
  assert.ok(await importLayer(at.context, { source: at.source, name: "x".repeat(64) }));
});

test("import: two at once for one name are one layer and one refusal", async () => {
  await using at = await openTestHost();
  const both = await Promise.allSettled(
    ["etc", "bin"].map((part) => importLayer(at.context, { source: `${at.source}/${part}`, name: "base" })),
  );
  const kept = both.flatMap((one) => (one.status === "fulfilled" ? [one.value.digest] : []));
  const failed = both.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  assert.deepEqual([(await show(at.context, { ref: "base" })).digest], kept);
  assert.equal((failed[0] as { code: string }).code, "EXISTS");
});

test("import: what was exported comes back as the same tree, and status of it is empty", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await exportTree(at.context, { ref: "base", target: `${at.path}/out` });
  const back = await importLayer(at.context, { source: `${at.path}/out`, name: "back" });
  assert.equal(back.digest, digest);
  await assert.rejects(status(at.context, { name: "back" }), { code: "USAGE" });
});
