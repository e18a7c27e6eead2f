import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { commit, create, openContainer, openView, show, status, Store } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { markPending } from "../../src/lxc/container-directory.ts";
import { FOR_ANYBODY, openTestHost, runContainer, startContainer } from "./support.ts";
import type { TestHost } from "./support.ts";

async function hostWithContainer(): Promise<TestHost & { readonly directory: string }> {
  const at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  return { ...at, directory: `${at.lxcPath}/web` };
}

async function generationOf(context: Context): Promise<number> {
  return (await show(context, { ref: "web" })).container?.generation ?? 0;
}

test("open: the first change is announced before it is made, and nothing is before that", async () => {
  await using at = await hostWithContainer();
  const pending = `${at.directory}/pending`;
  const generation = await generationOf(at.context);
  const view = await openContainer(at.context, { name: "web" });
  await view.promises.readFile("/etc/hosts");
  await assert.rejects(view.promises.rmdir("/etc"), { code: "ENOTEMPTY" });
  assert.ok(!existsSync(pending), "what reads or fails announces nothing");
  const changed = view.promises.mkdir("/new");
  assert.equal(readFileSync(pending, "utf8"), `${generation + 1}\n`, "before it is durable");
  await changed;
  await view[Symbol.asyncDispose]();
  await startContainer(at.context, "web");
  assert.ok(!existsSync(pending));
  assert.deepEqual(readdirSync(`${at.directory}/delta0`), ["new"]);
});

test("open: what was changed is in place at the next start, also after the process was killed and other commands ran", async () => {
  await using at = await hostWithContainer();
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/own`, "own"));
  {
    await using view = await openContainer(at.context, { name: "web" });
    await view.promises.writeFile("/viewed", "viewed");
    await view.promises.unlink("/own");
    await view.promises.rename("/etc/hosts", "/etc/names");
  }
  await at.store[Symbol.asyncDispose]();
  await using store = await Store.open(at.store.paths.directory);
  const context = { store, command: "test" };
  await startContainer(context, "web");
  assert.deepEqual(readdirSync(`${at.directory}/delta0`).sort(), ["etc", "viewed"]);
  mkdirSync(`${at.directory}/work`);
  writeFileSync(`${at.directory}/delta0/again`, "again");
  const view = await openView(context, { ref: "web" });
  assert.deepEqual(view.readdirSync("/"), ["again", "bin", "empty", "etc", "viewed"]);
  assert.deepEqual(view.readdirSync("/etc"), ["link", "names"]);
});

test("open: a start between the opening and the first change makes that fail with EBUSY, and loses nothing", async () => {
  await using at = await hostWithContainer();
  await using view = await openContainer(at.context, { name: "web" });
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/own`, "own"));
  const before = readdirSync(at.directory).sort();
  await assert.rejects(view.promises.mkdir("/new"), { code: "EBUSY", syscall: "mkdir", path: "/new" });
  await assert.rejects(view.promises.writeFile("/etc/hosts", "changed"), { code: "EBUSY" });
  assert.deepEqual(readdirSync(at.directory).sort(), before);
  assert.ok(!view.existsSync("/new"));
  assert.equal(view.readFileSync("/etc/hosts", "utf8"), "127.0.0.1 localhost\n");
  await status(at.context, { name: "web" });
  await assert.rejects(view.promises.mkdir("/new"), { code: "EBUSY" }, "it shows what was before the start");
  await using again = await openContainer(at.context, { name: "web" });
  assert.equal(again.readFileSync("/own", "utf8"), "own");
  await again.promises.mkdir("/new");
});

test("open: a start and a stop that changed nothing are no reason to refuse a change", async () => {
  await using at = await hostWithContainer();
  await using view = await openContainer(at.context, { name: "web" });
  await startContainer(at.context, "web");
  await view.promises.mkdir("/new");
  await startContainer(at.context, "web");
  assert.deepEqual(readdirSync(`${at.directory}/delta0`), ["new"]);
  await view.promises.mkdir("/newer");
  await startContainer(at.context, "web");
  assert.deepEqual(readdirSync(`${at.directory}/delta0`).sort(), ["new", "newer"]);
});

test("open: an uncaptured delta is captured first; one that comes beside an open view forbids its changes", async () => {
  await using at = await hostWithContainer();
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/own`, "own"));
  await using view = await openContainer(at.context, { name: "web" });
  assert.equal(view.readFileSync("/own", "utf8"), "own");
  mkdirSync(`${at.directory}/work`);
  await assert.rejects(view.promises.mkdir("/new"), { code: "EBUSY" });
  rmdirSync(`${at.directory}/work`);
  await view.promises.mkdir("/new");
});

test("open: a mark that stood there already outlives a change that failed, and says what it said", async () => {
  await using at = await hostWithContainer();
  await runContainer(at.context, "web", (upper) => writeFileSync(`${upper}/own`, "own"));
  const generation = await generationOf(at.context);
  markPending(at.directory, generation);
  await using view = await openContainer(at.context, { name: "web" });
  mkdirSync(`${at.directory}/work`);
  await assert.rejects(view.promises.mkdir("/new"), { code: "EBUSY" });
  rmdirSync(`${at.directory}/work`);
  assert.equal(readFileSync(`${at.directory}/pending`, "utf8"), `${generation}\n`);
  await view.promises.mkdir("/new");
  assert.equal(
    readFileSync(`${at.directory}/pending`, "utf8"),
    `${generation}\n`,
    "it is made as the record then has it",
  );
  await view[Symbol.asyncDispose]();
  await startContainer(at.context, "web");
  assert.deepEqual(readdirSync(`${at.directory}/delta0`).sort(), ["new", "own"]);
});

test("open: after a fold and a commit, config, mark and delta are of one generation, and the view goes on", async () => {
  await using at = await hostWithContainer();
  await using view = await openContainer(at.context, { name: "web" });
  for (const name of ["one", "two"]) {
    await view.promises.mkdir(`/${name}`);
    await status(at.context, { name: "web" });
    const { digest } = await commit(at.context, { name: "web", layer: name });
    assert.deepEqual(readdirSync(at.directory).sort(), ["config", "delta0", "rootfs"]);
    assert.deepEqual(readdirSync(`${at.directory}/delta0`), []);
    assert.ok(readFileSync(`${at.directory}/config`, "utf8").includes(at.store.exports.path(digest)));
  }
  await view.promises.mkdir("/three");
  await startContainer(at.context, "web");
  assert.deepEqual(readdirSync(`${at.directory}/delta0`), ["three"]);
});
