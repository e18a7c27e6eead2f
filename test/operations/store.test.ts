import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { capture, create, list, Store } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { FOR_ANYBODY, openTestHost, runContainer } from "./support.ts";

test("open: a directory that is no store is left as it is", async () => {
  await using directory = await temporaryDirectory();
  const { path } = directory;
  await mkdir(`${path}/full/of-things`, { recursive: true });
  await mkdir(`${path}/empty`);
  await writeFile(`${path}/file`, "a file");
  for (const [at, create, code] of [
    [`${path}/nowhere`, false, "STORE_MISSING"],
    [`${path}/empty`, false, "STORE_MISSING"],
    [`${path}/full`, false, "STORE_MISSING"],
    [`${path}/file`, false, "STORE_MISSING"],
    [`${path}/file/below`, false, "STORE_MISSING"],
    [`${path}/full`, true, "REFUSED"],
    [`${path}/file`, true, "USAGE"],
    [`${path}/file/below`, true, "USAGE"],
  ] as const) {
    await assert.rejects(Store.open(at, { create }), { code }, `${at} ${create}`);
    assert.deepEqual((await readdir(path)).sort(), ["empty", "file", "full"]);
    assert.deepEqual(await readdir(`${path}/full`), ["of-things"]);
    assert.deepEqual(await readdir(`${path}/empty`), []);
  }
  assert.equal(await readFile(`${path}/file`, "utf8"), "a file");
});

test("open: what a killed init left is made whole by the next one", async () => {
  await using directory = await temporaryDirectory();
  const at = `${directory.path}/store`;
  await mkdir(at);
  await writeFile(`${at}/lock`, "");
  {
    await using _store = await Store.open(at, { create: true });
  }
  // Killed before its last file.
  await rm(`${at}/format`);
  await writeFile(`${at}/initialising`, "");
  await assert.rejects(Store.open(at), { code: "STORE_MISSING" });
  await using _store = await Store.open(at, { create: true });
  assert.ok(existsSync(`${at}/format`));
  assert.ok(!existsSync(`${at}/initialising`));
  assert.equal((await stat(`${at}/private`)).mode & 0o777, 0o700);
});

test("open: a newer format, and one that is none, are told from each other, and nothing is touched", async () => {
  await using directory = await temporaryDirectory();
  const at = `${directory.path}/store`;
  {
    await using _store = await Store.open(at, { create: true });
  }
  const format = await readFile(`${at}/format`, "utf8");
  const names = await readdir(`${at}/meta`);
  for (const [text, code] of [
    ["delta0 store\nformat 2\n", "FORMAT_NEWER"],
    ["delta0 store\nformat 99999\n", "FORMAT_NEWER"],
    ["delta0 store\nformat 0\n", "FORMAT_INVALID"],
    ["delta0 store\nformat 1", "FORMAT_INVALID"],
    ["something else\n", "FORMAT_INVALID"],
    ["", "FORMAT_INVALID"],
  ] as const) {
    await writeFile(`${at}/format`, text);
    for (const create of [false, true]) await assert.rejects(Store.open(at, { create }), { code }, text);
    assert.deepEqual(await readdir(`${at}/meta`), names);
  }
  await writeFile(`${at}/format`, format);
  await rm(`${at}/meta/CURRENT`);
  await assert.rejects(Store.open(at), { code: "FORMAT_INVALID" });
});

test("open: while another process has the store, its pid and command are told", async () => {
  await using directory = await temporaryDirectory();
  const at = `${directory.path}/store`;
  {
    await using _store = await Store.open(at, { create: true });
  }
  const holder = fileURLToPath(new URL("../sys/lock-holder.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", holder, `${at}/lock`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await once(child.stdout, "data");
    const owner = { pid: child.pid, command: "import /srv base", since: new Date().toISOString() };
    await writeFile(`${at}/owner.json`, JSON.stringify(owner));
    await assert.rejects(Store.open(at, { waitSeconds: 0 }), (error: { code: string; message: string }) => {
      assert.equal(error.code, "STORE_LOCKED");
      assert.ok(error.message.includes(String(child.pid)) && error.message.includes("import /srv base"));
      return true;
    });
    await writeFile(`${at}/owner.json`, "half a docu");
    await assert.rejects(Store.open(at, { waitSeconds: 0 }), { code: "STORE_LOCKED" });
  } finally {
    child.kill("SIGKILL");
    await once(child, "close");
  }
  await using _store = await Store.open(at, { waitSeconds: 0 });
  await assert.rejects(Store.open(at, { waitSeconds: 0 }), { code: "STORE_LOCKED" }, "nor in one process twice");
});

test("open: by whatever path one comes, containers are the store's own", async () => {
  await using at = await openTestHost();
  await create(at.context, { source: at.source, name: "web", lxcPath: at.lxcPath, ...FOR_ANYBODY });
  await runContainer(at.context, "web", () => undefined);
  await at.store[Symbol.asyncDispose]();
  await symlink(at.store.paths.directory, `${at.path}/link`);
  await using store = await Store.open(`${at.path}/link/`);
  assert.equal(store.paths.directory, at.store.paths.directory);
  const context = { store, command: "test" };
  assert.deepEqual(
    (await list(context)).map(({ state }) => state),
    ["stopped"],
  );
  assert.notEqual((await capture(context, { name: "web" })).captured, null);
});

test("store: changes of names at once come one after the other, each with its entry in the history", async () => {
  await using at = await openTestHost();
  const { digest } = await create(at.context, { source: at.source, name: "c", noLxc: true });
  const ref = at.store.refs.find("c") ?? assert.fail();
  const names = Array.from({ length: 50 }, (_, i) => `c${i}`);
  await Promise.all(names.map((name) => at.store.change({ command: name }, [{ name, before: null, after: ref }])));
  const rivals = await Promise.allSettled(
    ["a", "b"].map((text) => at.store.change({ command: text }, [{ name: "rival", before: null, after: ref }])),
  );
  assert.deepEqual(
    rivals.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  await at.store[Symbol.asyncDispose]();
  await using store = await Store.open(at.store.paths.directory);
  await store.change({ command: "last" }, [{ name: "c0", before: ref, after: null }]);
  const commands: string[] = [];
  for await (const { command } of store.refs.history()) commands.unshift(command);
  assert.deepEqual(commands, ["a test", ...names, "a", "last"]);
  assert.equal(store.refs.treeOf(ref), digest);
});
