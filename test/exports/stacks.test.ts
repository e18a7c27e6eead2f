import assert from "node:assert/strict";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { appendFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import {
  capture,
  clone,
  commit,
  configure,
  create,
  gc,
  importLayer,
  listExports,
  put,
  remove,
  repairExports,
  reset,
  show,
  start,
  status,
  unexport,
  warmExport,
} from "../../src/index.ts";
import { getValue, readConfig } from "../../src/lxc/config-file.ts";
import { parseRootfsPath } from "../../src/lxc/rootfs-path.ts";
import { stepsIn } from "../support/steps.ts";
import { compareManifests } from "../support/compare.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { FOR_ANYBODY, openTestHost, runContainer, startContainer } from "../operations/support.ts";
import type { TestHost } from "../operations/support.ts";

const MANY = 1500;

/** A host with a layer "base" that is worth a stack, and a container "web" on it whose export is there. */
async function hostWithLargeBase(): Promise<TestHost> {
  const at = await openTestHost();
  mkdirSync(`${at.source}/many`);
  for (let i = 0; i < MANY; i++) writeFileSync(`${at.source}/many/${i}`, `file ${i}`);
  linkSync(`${at.source}/many/8`, `${at.source}/many/linked`);
  writeFileSync(`${at.source}/large`, Buffer.alloc(30 << 20, "large"));
  await importLayer(at.context, { source: at.source, name: "base" });
  await create(at.context, { source: "base", name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await startContainer(at.context, "web");
  return at;
}

/** Names below exports of what a container stands on, the topmost first. */
function lowersOf(at: TestHost, name: string): string[] {
  const rootfs = parseRootfsPath(getValue(readConfig(`${at.lxcPath}/${name}/config`), "lxc.rootfs.path") ?? "");
  assert.equal(rootfs.type, "overlay");
  return rootfs.lowers.map((lower) => lower.slice(at.store.paths.exports.length + 1));
}

function short(digest: string | undefined): string {
  return (digest ?? "").slice(0, 16);
}

const someLarge = (text: string, megabytes = 5) => Buffer.alloc(megabytes << 20, text);

test("stacks: a commit stands on what it changed of its base; small commits lie side by side, large ones in a pile", async () => {
  await using at = await hostWithLargeBase();
  const { context } = at;
  const base = (await show(context, { ref: "base" })).digest;
  const commits: string[] = [];
  for (const [i, change] of [someLarge("1"), "small", "small too", someLarge("2")].entries()) {
    await runContainer(context, "web", (upper) => writeFileSync(`${upper}/file${i}`, change));
    const { digest } = await commit(context, { name: "web", layer: `layer${i}` });
    commits.push(digest);
    await startContainer(context, "web");
    assert.deepEqual(readdirSync(`${at.lxcPath}/web/delta0`), []);
  }
  const [one = "", two = "", three = "", four = ""] = commits;
  const names = [`${four}.${short(three)}`, `${three}.${short(one)}`, `${one}.${short(base)}`, base];
  assert.deepEqual(lowersOf(at, "web"), names);
  const items = await listExports(context);
  assert.deepEqual(items.filter(({ users }) => users.length > 0).length, 4);
  assert.deepEqual((await unexport(context, {})).removed, [two]);
  const { container } = await show(context, { ref: "web" });
  assert.equal(container?.lower, four);
  assert.deepEqual(
    container.exports.map(({ diskBytes }) => (diskBytes ?? 0) < 8 << 20),
    [true, true, true, false],
  );
});

test("stacks: a clone of what changed little stands on the same lower, one of what changed much on that, written once", async () => {
  await using at = await hostWithLargeBase();
  const { context, lxcPath } = at;
  const base = (await show(context, { ref: "base" })).digest;
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/small`, "small"));
  await clone(context, { ref: "web", names: ["near"], lxcPath });
  assert.deepEqual(lowersOf(at, "near"), [base]);
  assert.ok(existsSync(`${lxcPath}/near/pending`));
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/much`, someLarge("much")));
  const { digest } = await clone(context, { ref: "web", names: ["far", "far2"], lxcPath });
  assert.deepEqual(lowersOf(at, "far"), [`${digest}.${short(base)}`, base]);
  assert.deepEqual(lowersOf(at, "far2"), lowersOf(at, "far"));
  assert.deepEqual(lowersOf(at, "web"), [base], "the original keeps its own changes");
  await startContainer(context, "far");
  assert.deepEqual(readdirSync(`${lxcPath}/far/delta0`), []);
  for (const name of ["web", "far"]) {
    const { lower, changes } = await status(context, { name });
    assert.deepEqual([lower, changes.map(({ path }) => path)], [base, ["", "much", "small"]], name);
  }
  await runContainer(context, "far", (upper) => writeFileSync(`${upper}/own`, "own"));
  await capture(context, { name: "far" });
  assert.deepEqual(
    (await status(context, { name: "far" })).changes.map(({ path }) => path),
    ["", "much", "own", "small"],
  );
  await clone(context, { ref: "far", names: ["farther"], lxcPath });
  assert.deepEqual(lowersOf(at, "farther"), lowersOf(at, "far"));
  await reset(context, { name: "far" });
  assert.deepEqual(lowersOf(at, "far"), [base]);
  assert.equal((await show(context, { ref: "far" })).digest, base);
  await remove(context, { names: ["web", "base"] });
  assert.deepEqual((await unexport(context, {})).removed, [], "what lies below one in use is in use");
});

test("stacks: without room for one in the mount's options it is a whole export", async () => {
  await using at = await hostWithLargeBase();
  const { context } = at;
  const deep = `${at.path}/${"d".repeat(200)}/${"e".repeat(200)}`;
  await mkdir(deep, { recursive: true });
  const lxcPath = `${deep}/${Array.from({ length: 7 }, () => "f".repeat(200)).join("/")}`;
  await mkdir(lxcPath, { recursive: true });
  await runContainer(context, "web", (upper) => writeFileSync(`${upper}/much`, someLarge("much")));
  const { digest } = await clone(context, { ref: "web", names: ["far"], lxcPath });
  const value = getValue(readConfig(`${lxcPath}/far/config`), "lxc.rootfs.path") ?? "";
  assert.ok(value.startsWith(`overlay:${at.store.exports.path(digest)}:/`), value.slice(0, 300));
});

test("stacks: a layer whose parent is exported is exported as what it changes of that", async () => {
  await using at = await hostWithLargeBase();
  const { context } = at;
  const base = (await show(context, { ref: "base" })).digest;
  await writeFile(`${at.source}/new`, someLarge("new"));
  const { digest } = await importLayer(context, { source: at.source, name: "next", parent: "base" });
  const warmed = await warmExport(context, { ref: "next" });
  assert.deepEqual(warmed.lowers, [`${at.store.paths.exports}/${digest}.${short(base)}`, at.store.exports.path(base)]);
  assert.equal((await warmExport(context, { ref: "next" })).made, false);
  await create(context, { source: "next", name: "n", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  assert.equal(lowersOf(at, "n").length, 2);
});

test("exports: a changed one is refused and repaired, where just what was changed is written", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await hostWithLargeBase();
  const { context, lxcPath } = at;
  const { digest } = await show(context, { ref: "base" });
  const path = at.store.exports.path(digest);
  const inside = `${at.store.paths.privateExports}/${digest}`;
  const large = lstatSync(`${inside}/large`).ino;
  await appendFile(`${inside}/etc/hosts`, "evil\n");
  await rm(`${inside}/many/linked`);
  await writeFile(`${inside}/etc/more`, "");
  const [failed] = await start(stepsIn(context), { names: ["web"], jobs: 1 });
  assert.equal(failed?.failure?.code, "REFUSED");
  await assert.rejects(create(context, { source: "base", name: "m", lxcPath }), { code: "REFUSED" });
  await assert.rejects(warmExport(context, { ref: "web" }), { code: "REFUSED" });
  assert.ok(((await listExports(context, { refs: ["base"] }))[0]?.changed?.length ?? 0) >= 3);
  assert.deepEqual(await repairExports(context), { repaired: [digest] });
  assert.deepEqual(await compareManifests(at.source, path), []);
  assert.equal(lstatSync(`${inside}/large`).ino, large);
  assert.deepEqual(
    (await listExports(context)).map(({ changed }) => changed),
    [[]],
  );
  assert.deepEqual(await repairExports(context), { repaired: [] });
  await create(context, { source: "base", name: "m", lxcPath });
});

test("exports: a repair that a kill cut short leaves a changed one, at each step", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await hostWithLargeBase();
  const { context } = at;
  const base = (await show(context, { ref: "base" })).digest;
  const inside = `${at.store.paths.privateExports}/${base}`;
  const manifest = `${at.store.paths.manifests}/${base}`;
  await appendFile(`${inside}/etc/hosts`, "evil\n");
  const then = readFileSync(manifest);
  await repairExports(context);
  // As if it had ended before the new manifest was there.
  writeFileSync(manifest, then);
  assert.notDeepEqual((await listExports(context))[0]?.changed, []);
  await rm(manifest);
  assert.equal((await listExports(context))[0]?.changed, null);
  assert.deepEqual(await repairExports(context), { repaired: [base] });
  assert.deepEqual(await compareManifests(at.source, at.store.exports.path(base)), []);
});

test("exports: those that nothing uses go after the grace period, those in use never", async () => {
  await using at = await hostWithLargeBase();
  const { context, lxcPath } = at;
  const base = (await show(context, { ref: "base" })).digest;
  const manifest = `${at.store.paths.manifests}/${base}`;
  const age = (): void => utimesSync(manifest, 0, 0);
  await create(context, { source: "base", name: "other", lxcPath, ...FOR_ANYBODY });
  age();
  await remove(context, { names: ["other"] });
  assert.deepEqual(at.store.exports.keys(), [base], "web stands on it");
  age();
  await remove(context, { names: ["web"] });
  assert.deepEqual(at.store.exports.keys(), [base], "nobody since just now");
  age();
  await create(context, { source: "base", name: "plain", noLxc: true });
  await remove(context, { names: ["plain"] });
  assert.deepEqual(at.store.exports.keys(), []);
  await assert.rejects(configure(context, { key: "exports.grace", value: "soon" }), { code: "USAGE" });
  await configure(context, { key: "exports.grace", value: "0s" });
  await create(context, { source: "base", name: "again", lxcPath, ...FOR_ANYBODY });
  await startContainer(context, "again");
  assert.equal(await readFile(`${lxcPath}/again/rootfs/etc/hosts`, "utf8"), "127.0.0.1 localhost\n");
  await remove(context, { names: ["again"] });
  assert.deepEqual(at.store.exports.keys(), []);
});

test("stacks: what is below a container's own tree, and was never made, outlives a collection", async () => {
  await using at = await hostWithLargeBase();
  const { context, lxcPath } = at;
  writeFileSync(`${at.path}/much`, someLarge("much"));
  await put(context, { sources: [`${at.path}/much`], target: "web:/one" });
  await clone(context, { ref: "web", names: ["a"], lxcPath });
  await put(context, { sources: [`${at.path}/much`], target: "a:/two" });
  const { digest } = await clone(context, { ref: "a", names: ["b"], lxcPath });
  assert.equal(lowersOf(at, "b").length, 3);
  await remove(context, { names: ["a", "web", "base"] });
  await gc(context, { grace: "0" });
  await startContainer(context, "b");
  assert.deepEqual(readdirSync(`${lxcPath}/b/delta0`), []);
  assert.equal((await show(context, { ref: "b" })).digest, digest);
  assert.equal((await listExports(context)).length, 3);
});

test("stacks: with an id map they lie apart, with ids of its own, and start as others do", async (t) => {
  if (!requireRoot(t)) return;
  await using at = await hostWithLargeBase();
  const { context, lxcPath } = at;
  await run("chmod", ["o+x", at.path]);
  await create(context, { source: "base", name: "mapped", lxcPath, idMap: ["b:0:100000:65536"] });
  await startContainer(context, "mapped");
  writeFileSync(`${at.path}/much`, someLarge("much"));
  await put(context, { sources: [`${at.path}/much`], target: "mapped:/much" });
  const { digest } = await commit(context, { name: "mapped", layer: "layer" });
  await startContainer(context, "mapped");
  const items = (await listExports(context)).filter(({ users }) => users.includes("mapped"));
  assert.deepEqual(
    items.map(({ digest, over, idMap, changed }) => [
      digest === base(at) ? "base" : digest,
      over !== null,
      idMap,
      changed,
    ]),
    [
      [digest, true, ["u:0:100000:65536", "g:0:100000:65536"], []],
      ["base", false, ["u:0:100000:65536", "g:0:100000:65536"], []],
    ].sort(([x], [y]) => (String(x === "base" ? base(at) : x) < String(y === "base" ? base(at) : y) ? -1 : 1)),
  );
  const delta = items.find(({ over }) => over !== null);
  assert.equal(lstatSync(`${delta?.path}/much`).uid, 100_000);
});

function base({ store }: TestHost): string {
  const ref = store.refs.find("base");
  assert.ok(ref !== undefined);
  return store.refs.treeOf(ref);
}
