import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { capture, clone, commit, create, list, preStart, show, Store } from "../../src/index.ts";
import { makeContainerDirectory, markPending } from "../../src/lxc/container-directory.ts";
import { parseConfig } from "../../src/lxc/config-file.ts";
import { Staging } from "../../src/lxc/staging.ts";
import { assertNothingHalfMade, FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

async function hostWithContainer(): Promise<TestHost> {
  const at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  return at;
}

async function historyLength({ store }: TestHost): Promise<number> {
  let length = 0;
  for await (const _entry of store.refs.history()) length++;
  return length;
}

test("capture: reads once what a stopped container changed, and says whether it did", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  const before = await capture(at.context, { name: "web" });
  assert.deepEqual([before.changed, before.captured], [false, null]);
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const captured = await capture(at.context, { name: "web" });
  assert.deepEqual([captured.name, captured.changed], ["web", true]);
  assert.deepEqual((await readdir(directory)).sort(), ["config", "delta0", "rootfs"]);
  const length = await historyLength(at);
  const again = await capture(at.context, { name: "web" });
  assert.deepEqual(again, { ...captured, changed: false });
  assert.equal(await historyLength(at), length);
  await runContainer(at.context, "web", () => undefined);
  const same = await capture(at.context, { name: "web" });
  assert.deepEqual([same.digest, same.changed], [captured.digest, false]);
});

test("capture: a capture that a kill cut short is done again, to the same tree", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  renameSync(`${directory}/work`, `${directory}/capturing`);
  const { digest, changed } = await capture(at.context, { name: "web" });
  assert.equal(changed, true);
  mkdirSync(`${directory}/capturing`);
  const again = await capture(at.context, { name: "web" });
  assert.deepEqual([again.digest, again.changed], [digest, false]);
  assert.ok(!existsSync(`${directory}/capturing`));
});

test("capture: what the delta lies over is what the config names, whatever the record says", async () => {
  await using at = await hostWithContainer();
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/one`, "1"));
  await startContainer(at.context, "web");
  const ref = at.store.refs.find("web");
  assert.equal(ref?.type, "container");
  const other = await create(at.context, { source: `${at.source}/etc`, name: "other", noLxc: true });
  // As if the record had gone on while the container ran.
  await at.store.refs.change({ command: "test" }, [
    { name: "web", before: ref, after: { ...ref, lower: other.digest } },
  ]);
  mkdirSync(`${at.lxcPath}/web/work`);
  const { digest } = await capture(at.context, { name: "web" });
  const { container, files } = await show(at.context, { ref: "web" });
  assert.deepEqual([container?.lower, files], [other.digest, 7]);
  assert.notEqual(digest, ref.lower);
});

test("capture --from: a delta directory of either dialect becomes the container's changes", async () => {
  await using at = await hostWithContainer();
  const delta = `${at.path}/delta`;
  await mkdir(delta);
  await writeFile(`${delta}/brought`, "brought");
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/own`, "own"));
  const { digest, changed } = await capture(at.context, { name: "web", from: delta, dialect: "user" });
  assert.equal(changed, true);
  assert.equal((await show(at.context, { ref: "web" })).files, 7, "in the place of its own changes");
  assert.ok(existsSync(`${at.lxcPath}/web/pending`), "the upper is made at the next start");
  await startContainer(at.context, "web");
  assert.deepEqual(await readdir(`${at.lxcPath}/web/delta0`), ["brought"]);
  assert.equal((await show(at.context, { ref: "web" })).digest, digest);
  for (const [from, code] of [
    [`${at.path}/nowhere`, "NOT_FOUND"],
    [`${delta}/brought`, "NOT_FOUND"],
    [`${delta}/brought/below`, "NOT_FOUND"],
  ] as const)
    await assert.rejects(capture(at.context, { name: "web", from, dialect: "user" }), { code }, from);
  await capture(at.context, { name: "web", from: `${at.lxcPath}/web/delta0`, dialect: "user" });
  await startContainer(at.context, "web");
  assert.equal((await show(at.context, { ref: "web" })).digest, digest, "its own upper as source is no loss");
  assert.deepEqual(await readdir(`${at.lxcPath}/web/delta0`), ["brought"]);
});

test("pending: a mark whose change never came is dropped; one whose change came makes the upper anew", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const { container, digest } = await show(at.context, { ref: "web" });
  assert.ok(container);
  markPending(directory, container.generation + 1);
  await startContainer(at.context, "web");
  assert.ok(!existsSync(`${directory}/pending`));
  assert.deepEqual(await readdir(`${directory}/delta0`), ["new"]);

  rmSync(`${directory}/delta0/new`);
  markPending(directory, container.generation);
  await startContainer(at.context, "web");
  assert.ok(!existsSync(`${directory}/pending`));
  assert.equal(await readFile(`${directory}/delta0/new`, "utf8"), "new");
  assert.equal((await show(at.context, { ref: "web" })).digest, digest);
});

test("pending: changes of a start that went on without it are changes all the same", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const { container } = await show(at.context, { ref: "web" });
  for (const generation of [container?.generation ?? 0, 1000]) {
    markPending(directory, generation);
    mkdirSync(`${directory}/work`);
    writeFileSync(`${directory}/delta0/at-${generation}`, "");
    await capture(at.context, { name: "web" });
    assert.ok(!existsSync(`${directory}/pending`));
  }
  assert.equal((await show(at.context, { ref: "web" })).files, 9);
});

test("commit: of a container whose pending mark is stale makes config, link and upper of one generation", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  markPending(directory, 1000);
  const { digest } = await commit(at.context, { name: "web", layer: "one" });
  assert.equal(await readlink(`${directory}/rootfs`), at.store.exports.path(digest));
  assert.deepEqual((await readdir(directory)).sort(), ["config", "delta0", "rootfs"]);
  assert.deepEqual(await readdir(`${directory}/delta0`), []);
});

test("settle: without delta0 the last capture counts; a start that would lose changes is refused", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  rmSync(`${directory}/delta0`, { recursive: true });
  await startContainer(at.context, "web");
  assert.ok(existsSync(`${directory}/delta0`), "without changes nothing is lost by making it");
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const { digest } = await show(at.context, { ref: "web" });
  at.warnings.length = 0;
  rmSync(`${directory}/delta0`, { recursive: true });
  mkdirSync(`${directory}/work`);
  assert.equal((await show(at.context, { ref: "web" })).digest, digest);
  assert.equal(at.warnings.length, 1);
  await assert.rejects(startContainer(at.context, "web"), { code: "REFUSED" });
  await clone(at.context, { ref: "web", names: ["copy"], lxcPath: at.lxcPath });
  await startContainer(at.context, "copy");
  assert.deepEqual(await readdir(`${at.lxcPath}/copy/delta0`), ["new"]);
});

test("pre-start: a start that read its config before a commit gets an upper that fits what it mounts", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/new`, "new"));
  const { container } = await show(at.context, { ref: "web" });
  const rootfsPath = `${at.store.exports.path(container?.lower ?? ("" as never))}:${directory}/delta0`;
  const { digest } = await commit(at.context, { name: "web", layer: "one" });
  await preStart(at.context, { configFile: `${directory}/config`, rootfsPath });
  assert.deepEqual(await readdir(`${directory}/delta0`), ["new"]);
  mkdirSync(`${directory}/work`);
  assert.equal((await capture(at.context, { name: "web" })).digest, digest);
});

test("pre-start: what is not of this store is let be", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/other`;
  await mkdir(directory);
  await writeFile(`${directory}/config`, "lxc.rootfs.path = dir:/srv\n");
  for (const rootfsPath of ["/srv", "dir:/srv", `overlay:/srv:${directory}/delta0`, ""])
    await preStart(at.context, { configFile: `${directory}/config`, rootfsPath });
  assert.deepEqual(at.store.exports.keys(), []);
  assert.deepEqual(await readdir(directory), ["config"]);
});

test("settle: an upper that lxc-snapshot moved is read each time, and recorded only when it changed", async () => {
  await using at = await hostWithContainer();
  const directory = `${at.lxcPath}/web`;
  await startContainer(at.context, "web");
  const config = await readFile(`${directory}/config`, "utf8");
  await mkdir(`${directory}/moved`);
  renameSync(`${directory}/delta0`, `${directory}/moved/delta0`);
  await writeFile(`${directory}/config`, config.replace(`${directory}/delta0`, `${directory}/moved/delta0`));
  await writeFile(`${directory}/moved/delta0/new`, "new");
  assert.equal((await show(at.context, { ref: "web" })).files, 7);
  const length = await historyLength(at);
  await list(at.context);
  await list(at.context);
  assert.equal(await historyLength(at), length);
});

test("open: what a kill left on its way into an LXC path goes where the record says", async () => {
  await using at = await openTestHost();
  const { lxcPath, context, store } = at;
  await create(context, { source: at.source, name: "kept", lxcPath });
  const config = parseConfig(await readFile(`${lxcPath}/kept/config`));
  const staging = Staging.begin(store.paths.staging, lxcPath, store.refs);
  // Of a create: made, and never recorded. Of an rm: taken away, and still recorded.
  makeContainerDirectory(staging.directory, { name: "unborn", config, exportPath: "/nowhere", delta: "none" });
  assert.ok(staging.takeAway("kept"));
  await store[Symbol.asyncDispose]();
  assert.ok(!existsSync(`${lxcPath}/kept`));

  await using reopened = await Store.open(store.paths.directory);
  assert.deepEqual(await readdir(lxcPath), ["kept"]);
  assertNothingHalfMade({ store: reopened }, lxcPath);
  assert.equal((await show({ store: reopened, command: "test" }, { ref: "kept" })).container?.state, "stopped");
});

test("open: an LXC path that is gone is reported, and asked for again when it is back", async () => {
  await using at = await openTestHost();
  const { lxcPath, context, store } = at;
  await create(context, { source: at.source, name: "kept", lxcPath });
  Staging.begin(store.paths.staging, lxcPath, store.refs).takeAway("kept");
  await store[Symbol.asyncDispose]();
  renameSync(lxcPath, `${lxcPath}-unmounted`);
  const warnings: string[] = [];
  const open = (): Promise<Store> =>
    Store.open(store.paths.directory, { onWarning: (warning) => warnings.push(warning) });
  {
    await using reopened = await open();
    assert.equal(warnings.length, 1);
    const { container } = await show({ store: reopened, command: "test" }, { ref: "kept" });
    assert.equal(container?.state, "missing");
  }
  renameSync(`${lxcPath}-unmounted`, lxcPath);
  await using reopened = await open();
  assert.equal(warnings.length, 1);
  assert.deepEqual(await readdir(lxcPath), ["kept"]);
  assertNothingHalfMade({ store: reopened }, lxcPath);
});
