import assert from "node:assert/strict";
import { createReadStream, existsSync, writeFileSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { capture, clone, commit, configure, create, importLayer, info, list, show } from "../../src/index.ts";
import { run } from "../support/run.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";

const NO_LXC = { noLxc: true } as const;

test("create: takes a layer, a container, a digest, a directory, a tar, and the input", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  const tar = `${at.path}/source.tar`;
  await run("tar", ["--format=pax", "-cf", tar, "-C", at.source, "."]);
  const sources = ["base", "c0", digest.slice(0, 8), `blake3:${digest}`, at.source, tar, "-"];
  for (const [i, source] of sources.entries()) {
    const context = { ...at.context, input: createReadStream(tar) };
    const made = await create(context, { source, name: `c${i}`, ...NO_LXC });
    assert.deepEqual(made, { ref: source, names: [`c${i}`], digest, lxcPath: null, losses: [] }, source);
    const shown = await show(at.context, { ref: `c${i}` });
    assert.equal(shown.digest, digest);
    assert.equal(shown.container?.lower, digest);
    assert.equal(shown.container.state, "stored");
    // A bare tree has no layer; what was brought in is one without a name.
    assert.equal(shown.layer === null, source === digest.slice(0, 8) || source.startsWith("blake3:"), source);
  }
  const { layers, containers } = await info(at.context);
  assert.deepEqual({ layers, containers }, { layers: 1, containers: sources.length });
  assert.equal((await show(at.context, { ref: "c4" })).layer?.source, at.source);
});

test("create: a name that is taken or cannot be is refused before the source is read", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", ...NO_LXC });
  for (const [name, code] of [
    ["web", "EXISTS"],
    ["we/b", "USAGE"],
  ] as const)
    await assert.rejects(create(at.context, { source: "/nowhere", name, ...NO_LXC }), { code });
  await assert.rejects(create(at.context, { source: "/nowhere", name: "new", ...NO_LXC }), { code: "NOT_FOUND" });
  await assert.rejects(create(at.context, { source: "nobody", name: "new", ...NO_LXC }), { code: "NOT_FOUND" });
});

test("clone: all names or none: an existing, impossible or double one stops all", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath });
  await mkdir(`${lxcPath}/in-the-way`);
  await symlink("nowhere", `${lxcPath}/dangling`);
  const before = await list(at.context);
  for (const [names, code] of [
    [["a", "web"], "EXISTS"],
    [["a", "b", "a"], "USAGE"],
    [["a", "-b"], "USAGE"],
    [["a", "in-the-way"], "EXISTS"],
    [["a", "dangling"], "EXISTS"],
    [[], "USAGE"],
  ] as const) {
    await assert.rejects(clone(at.context, { ref: "web", names, lxcPath }), { code }, names.join(" "));
    assert.deepEqual((await readdir(lxcPath)).sort(), ["dangling", "in-the-way", "web"]);
    assert.deepEqual(await list(at.context), before);
    assertNothingHalfMade(at, lxcPath);
  }
  await assert.rejects(clone(at.context, { ref: "wbe", names: ["a"] }), { code: "NOT_FOUND" });
});

test("clone: of a layer, a container and a tree stand on the same lower; labels are each one's own", async () => {
  await using at = await openTestHost();
  const { digest } = await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", labels: { role: "front" }, ...NO_LXC });
  const delta = `${at.path}/delta`;
  await mkdir(delta);
  await writeFile(`${delta}/new`, "new");
  const changed = await capture(at.context, { name: "web", from: delta, dialect: "user" });
  const [ofLayer, ofContainer, ofTree] = [
    await clone(at.context, { ref: "base", names: ["a"], labels: { n: "1", m: "" }, ...NO_LXC }),
    await clone(at.context, { ref: "web", names: ["b"], ...NO_LXC }),
    await clone(at.context, { ref: changed.digest, names: ["c"], ...NO_LXC }),
  ];
  assert.deepEqual([ofLayer.digest, ofContainer.digest, ofTree.digest], [digest, changed.digest, changed.digest]);
  const lowers = await Promise.all(
    ["a", "b", "c"].map(async (ref) => (await show(at.context, { ref })).container?.lower),
  );
  assert.deepEqual(lowers, [digest, digest, changed.digest]);
  const names = async (...labels: string[]): Promise<string[]> =>
    (await list(at.context, { labels })).map(({ name }) => name);
  assert.deepEqual(await names("role"), ["web"], "a clone does not inherit labels");
  assert.deepEqual(await names("n=1", "m"), ["a"]);
  assert.deepEqual(await names("n=2"), []);
});

test("clone: the original's later changes are not the clone's, nor the other way round", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  await create(at.context, { source: at.source, name: "web", lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/one`, "1"));
  await clone(at.context, { ref: "web", names: ["copy"], lxcPath });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/two`, "2"));
  await startContainer(at.context, "copy");
  assert.deepEqual(await readdir(`${lxcPath}/copy/delta0`), ["one"]);
  await runContainer(at.context, "copy", (upper) => writeFileSync(`${upper}/three`, "3"));
  const digests = await Promise.all(["web", "copy"].map(async (ref) => (await show(at.context, { ref })).digest));
  assert.notEqual(digests[0], digests[1]);
  assert.deepEqual((await readdir(`${lxcPath}/web/delta0`)).sort(), ["one", "two"]);
});

test("clone: a container's directory has a config, an upper or its promise, and a link to look through", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  const { digest } = await create(at.context, {
    source: at.source,
    name: "web",
    lxcPath,
    settings: [...FOR_ANYBODY.settings, "lxc.environment=A=1", "lxc.uts.name=host"],
  });
  assert.deepEqual((await readdir(`${lxcPath}/web`)).sort(), ["config", "delta0", "rootfs"]);
  assert.equal(await readlink(`${lxcPath}/web/rootfs`), at.store.exports.path(digest));
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/one`, "1"));
  await clone(at.context, {
    ref: "web",
    names: ["copy"],
    lxcPath,
    settings: ["lxc.uts.name=other", "lxc.environment=B=2"],
  });
  assert.deepEqual((await readdir(`${lxcPath}/copy`)).sort(), ["config", "pending", "rootfs"]);
  const config = await readFile(`${lxcPath}/copy/config`, "utf8");
  assert.match(
    config,
    new RegExp(`^lxc.rootfs.path = overlay:${at.store.exports.path(digest)}:${lxcPath}/copy/delta0$`, "m"),
  );
  assert.match(config, /^lxc.uts.name = other$/m);
  assert.match(config, /^lxc.environment = A=1$/m);
  assert.match(config, /^lxc.environment = B=2$/m, "settings that add up are added");
  await assert.rejects(clone(at.context, { ref: "web", names: ["x"], lxcPath, settings: ["lxc.rootfs.path=/"] }), {
    code: "USAGE",
  });
  assertNothingHalfMade(at, lxcPath);
});

test("clone: without an LXC directory there is no trace of it outside the store", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath });
  await clone(at.context, { ref: "web", names: ["copy"], ...NO_LXC });
  assert.deepEqual(await readdir(at.lxcPath), ["web"]);
  assert.equal((await show(at.context, { ref: "copy" })).container?.lxcDirectory, null);
});

test("configure: LXC path and template are kept, told, used, and go back to their defaults", async () => {
  await using at = await openTestHost();
  const template = `${at.path}/template`;
  await writeFile(template, "lxc.init.cmd = /bin/sleep 9\n");
  await configure(at.context, { key: "lxc.path", value: at.lxcPath });
  await configure(at.context, { key: "lxc.template", value: template });
  const all = await configure(at.context, {});
  assert.deepEqual(
    all.map(({ key, value }) => [key, value]),
    [
      ["lxc.path", at.lxcPath],
      ["lxc.template", template],
      ["exports.grace", null],
      ["identity", null],
      ["limit", null],
      ["compression.level", null],
      ["gc.grace", null],
    ],
  );
  await create(at.context, { source: at.source, name: "web" });
  assert.match(await readFile(`${at.lxcPath}/web/config`, "utf8"), /^lxc.init.cmd = \/bin\/sleep 9$/m);
  const [after] = await configure(at.context, { key: "lxc.path", value: "" });
  assert.equal(after?.value, null);
  await assert.rejects(configure(at.context, { key: "lxc.pth", value: "x" }), { code: "USAGE" });
});

test("create: an LXC path that is no directory, and a template that is not there, make nothing", async () => {
  await using at = await openTestHost();
  await writeFile(`${at.path}/file`, "");
  for (const [params, code] of [
    [{ lxcPath: `${at.path}/nowhere` }, "NOT_FOUND"],
    [{ lxcPath: `${at.path}/file` }, "NOT_FOUND"],
    [{ lxcPath: `${at.path}/file/below` }, "NOT_FOUND"],
    [{ lxcPath: at.lxcPath, config: `${at.path}/nowhere` }, "NOT_FOUND"],
    [{ lxcPath: at.lxcPath, settings: ["nonsense"] }, "USAGE"],
  ] as const) {
    await assert.rejects(create(at.context, { source: at.source, name: "web", ...params }), { code });
    assert.deepEqual(await list(at.context), []);
    assert.deepEqual(await readdir(at.lxcPath), []);
    assertNothingHalfMade(at, at.lxcPath);
  }
});

test("commit: makes a layer above the one before; the container goes on with an empty upper", async () => {
  await using at = await openTestHost();
  const { lxcPath } = at;
  const base = await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/one`, "1"));
  const one = await commit(at.context, { name: "web", layer: "one", message: "first" });
  assert.deepEqual(one, {
    name: "web",
    layer: "one",
    digest: one.digest,
    parentDigest: base.digest,
    entries: base.entries + 1,
    bytes: base.bytes + 1,
  });
  assert.deepEqual(await readdir(`${lxcPath}/web/delta0`), []);
  assert.deepEqual((await readdir(`${lxcPath}/web`)).sort(), ["config", "delta0", "rootfs"]);
  assert.equal(await readlink(`${lxcPath}/web/rootfs`), at.store.exports.path(one.digest));
  const same = await commit(at.context, { name: "web", layer: "same" });
  assert.deepEqual([same.digest, same.parentDigest], [one.digest, one.digest], "without changes, a layer all the same");
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/two`, "2"));
  await assert.rejects(commit(at.context, { name: "web", layer: "one" }), { code: "EXISTS" });
  const two = await commit(at.context, { name: "web", layer: "one", replace: true });
  assert.equal(two.parentDigest, one.digest);
  assert.equal((await show(at.context, { ref: "one" })).digest, two.digest);
  for (const layer of ["web", "not/a-name"])
    await assert.rejects(commit(at.context, { name: "web", layer, replace: true }));
  assert.ok(!existsSync(`${lxcPath}/web/pending`));
  assert.ok((await lstat(`${lxcPath}/web/delta0`)).isDirectory());
});
