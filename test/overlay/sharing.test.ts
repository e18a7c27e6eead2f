import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  clone,
  commit,
  create,
  exportTree,
  openContainer,
  openView,
  remove,
  rename,
  show,
  status,
  Store,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { Kv } from "../../src/kv/kv.ts";
import { openTestStore } from "../support/store.ts";
import type { TestStore } from "../support/store.ts";

async function storeWithContainer(): Promise<TestStore> {
  const at = await openTestStore();
  mkdirSync(`${at.path}/source/etc`, { recursive: true });
  writeFileSync(`${at.path}/source/etc/hosts`, "localhost");
  await create(at.context, { source: `${at.path}/source`, name: "web", noLxc: true });
  return at;
}

async function filesOf(context: Context, ref: string, directory = "/"): Promise<string[]> {
  return (await openView(context, { ref })).readdirSync(directory);
}

const MANY = Array.from({ length: 300 }, (_, i) => i);
const nameOf = (i: number): string => `f${String(i).padStart(4, "0")}`;

test("views: two of one container see each other's changes at once, and keep them when one is closed", async () => {
  await using at = await storeWithContainer();
  const [one, two] = await Promise.all([1, 2].map(() => openContainer(at.context, { name: "web" })));
  assert.ok(one && two);
  const written = one.promises.writeFile("/etc/hosts", "changed");
  await written;
  assert.equal(two.readFileSync("/etc/hosts", "utf8"), "changed");
  const handle = await two.promises.open("/etc/hosts", "a+");
  await one.promises.unlink("/etc/hosts");
  assert.equal((await handle.stat()).nlink, 0);
  await one[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await handle.write(" more");
  assert.equal((await handle.read({ position: 0 })).bytesRead, 12);
  await two.promises.mkdir("/two");
  await two[Symbol.asyncDispose]();
  assert.deepEqual(await filesOf(at.context, "web"), ["etc", "two"]);
  assert.deepEqual(await filesOf(at.context, "web", "/etc"), []);
});

test("views: opened many at once, with changes from each, they are one container", async () => {
  await using at = await storeWithContainer();
  const views = await Promise.all(MANY.slice(0, 20).map(() => openContainer(at.context, { name: "web" })));
  await Promise.all(views.map((view, i) => view.promises.mkdir(`/${nameOf(i)}`)));
  await Promise.all(views.map((view) => view[Symbol.asyncDispose]()));
  assert.equal((await filesOf(at.context, "web")).length, 21);
});

test("views: calls that are made without waiting happen in their order, and each once", async () => {
  await using at = await storeWithContainer();
  await using view = await openContainer(at.context, { name: "web" });
  const { promises } = view;
  await promises.writeFile("/log", "");
  const handle = await promises.open("/log", "a");
  await Promise.all([
    ...MANY.map((i) => handle.write(`${i}\n`)),
    ...MANY.map(async (i) => {
      const made = promises.mkdir(`/${nameOf(i)}`);
      const renamed = promises.rename(`/${nameOf(i)}`, `/etc/${nameOf(i)}`);
      await Promise.all([made, renamed]);
    }),
  ]);
  assert.equal(view.readFileSync("/log", "utf8"), MANY.map((i) => `${i}\n`).join(""));
  await handle.close();
  assert.deepEqual(await filesOf(at.context, "web"), ["etc", "log"]);
  assert.equal((await filesOf(at.context, "web", "/etc")).length, MANY.length + 1);
});

test("views: whatever reads the container meanwhile, no call is lost or made twice, and what it reads is a prefix", async () => {
  await using at = await storeWithContainer();
  const { context } = at;
  await using view = await openContainer(context, { name: "web" });
  const { promises } = view;
  const counter = await promises.open("/counter", "a");
  const read: string[] = [];
  let isDone = false;
  const readers = [
    async () => {
      await status(context, { name: "web" });
    },
    async (i: number) => {
      await clone(context, { ref: "web", names: [`clone-${i}`], noLxc: true });
      read.push(`clone-${i}`);
    },
    async (i: number) => {
      await commit(context, { name: "web", layer: `layer-${i}` });
      read.push(`layer-${i}`);
    },
    async (i: number) => {
      await exportTree(context, { ref: "web", target: `${at.path}/out-${i}` });
    },
  ];
  const reading = readers.map(async (reader) => {
    for (let i = 0; !isDone; i++)
      await reader(i).catch((error: unknown) => {
        // Changed between its look and its change: it says so.
        if (!(error instanceof Error) || !("code" in error) || error.code !== "REFUSED") throw error;
      });
  });
  for (const i of MANY) {
    const made = promises.writeFile(`/${nameOf(i)}`, nameOf(i));
    if (i % 10 === 0) await made;
    await Promise.all([made, counter.write("x")]);
  }
  isDone = true;
  await Promise.all(reading);
  await counter.close();
  const expected = ["counter", "etc", ...MANY.map(nameOf)];
  assert.deepEqual(view.readdirSync("/"), expected);
  assert.deepEqual(await filesOf(context, "web"), expected);
  assert.equal((await openView(context, { ref: "web" })).statSync("/counter").size, MANY.length);
  assert.ok(read.length > 4, `${read.length} were read`);
  for (const ref of read) {
    const found = (await filesOf(context, ref)).filter((name) => name.startsWith("f"));
    assert.deepEqual(found, MANY.slice(0, found.length).map(nameOf), ref);
  }
});

test("views: a container that is removed is not brought back by a view of it, nor its namesake changed", async () => {
  await using at = await storeWithContainer();
  const { context } = at;
  const view = await openContainer(context, { name: "web" });
  await view.promises.mkdir("/before");
  const { digest } = await show(context, { ref: "web" });
  await view.promises.mkdir("/last");
  await remove(context, { names: ["web"] });
  await assert.rejects(view.promises.mkdir("/after"), { code: "EBUSY", syscall: "mkdir" });
  assert.ok(view.existsSync("/last"));
  await assert.rejects(show(context, { ref: "web" }), { code: "NOT_FOUND" });
  await create(context, { source: digest, name: "web", noLxc: true });
  await assert.rejects(view.promises.mkdir("/after"), { code: "EBUSY" });
  await using other = await openContainer(context, { name: "web" });
  await other.promises.mkdir("/of-the-new-one");
  assert.ok(!view.existsSync("/of-the-new-one"));
  await view[Symbol.asyncDispose]();
  assert.deepEqual(await filesOf(context, "web"), ["before", "etc", "of-the-new-one"]);
});

test("views: a container that is renamed takes along what was changed, and its views change it no more", async () => {
  await using at = await storeWithContainer();
  const { context } = at;
  await using view = await openContainer(context, { name: "web" });
  await view.promises.mkdir("/before");
  await rename(context, { from: "web", to: "www" });
  await assert.rejects(view.promises.mkdir("/after"), { code: "EBUSY" });
  assert.deepEqual(await filesOf(context, "www"), ["before", "etc"]);
  await using renamed = await openContainer(context, { name: "www" });
  await renamed.promises.mkdir("/after");
  assert.deepEqual(await filesOf(context, "www"), ["after", "before", "etc"]);
});

test("views: a view goes on being used when its container is committed, and when it was folded", async () => {
  await using at = await storeWithContainer();
  const { context } = at;
  await using view = await openContainer(context, { name: "web" });
  const handle = await view.promises.open("/file", "w+");
  for (const [i, layer] of ["one", "two", "three"].entries()) {
    await handle.write(Buffer.alloc(200_000, i + 1), 0, 200_000, i * 100_000);
    await view.promises.rename("/etc", "/moved");
    await commit(context, { name: "web", layer });
    await view.promises.rename("/moved", "/etc");
    await status(context, { name: "web" });
    assert.equal(view.statSync("/file").size, 200_000 + i * 100_000);
  }
  await handle.close();
  const bytes = Buffer.concat([1, 2, 3].map((value) => Buffer.alloc(value === 3 ? 200_000 : 100_000, value)));
  for (const shown of [view, await openView(context, { ref: "web" })])
    assert.deepEqual(shown.readFileSync("/file"), bytes);
  assert.deepEqual(await filesOf(context, "two"), ["file", "moved"]);
});

test("views: once closed, all that is asked of one fails with EBADF, and changes nothing", async () => {
  await using at = await storeWithContainer();
  const view = await openContainer(at.context, { name: "web" });
  const handle = await view.promises.open("/etc/hosts", "r+");
  await view.promises.unlink("/etc/hosts");
  const pending = view.promises.mkdir("/pending");
  const closed = [view[Symbol.asyncDispose](), view[Symbol.asyncDispose]()];
  await pending;
  await Promise.all(closed);
  for (const call of [
    () => view.promises.mkdir("/x"),
    () => view.promises.readFile("/etc/hosts"),
    () => view.promises.stat("/etc"),
    () => view.promises.rename("/etc", "/x"),
    () => handle.write("x"),
    () => handle.stat(),
    () => handle.truncate(1),
    async () => view.statSync("/etc"),
    async () => view.readdirSync("/"),
    async () => view.realpathSync("/etc"),
  ])
    await assert.rejects(call, { code: "EBADF" });
  assert.deepEqual(await filesOf(at.context, "web"), ["etc", "pending"]);
  assert.deepEqual(await filesOf(at.context, "web", "/etc"), []);
});

test("views: what was acknowledged when the store is closed under a view is there, and its calls fail", async () => {
  await using at = await storeWithContainer();
  const { directory } = at.store.paths;
  const view = await openContainer(at.context, { name: "web" });
  await view.promises.mkdir("/done");
  const attempts = MANY.map((i) => view.promises.mkdir(`/${nameOf(i)}`));
  const settled = Promise.allSettled(attempts);
  await at.store[Symbol.asyncDispose]();
  const made = (await settled).filter(({ status }) => status === "fulfilled").length;
  await assert.rejects(view.promises.mkdir("/late"), { code: "EIO" });
  await view[Symbol.asyncDispose]();
  await using store = await Store.open(directory);
  const names = await filesOf({ store, command: "test" }, "web");
  assert.ok(names.includes("done") && !names.includes("late"));
  assert.ok(names.length >= made + 2, `${names.length} for ${made}`);
});

test("views: of what is folded and closed nothing is left", async () => {
  await using at = await storeWithContainer();
  const { uppers } = at.store.paths;
  for (const isFoldedFirst of [true, false]) {
    const view = await openContainer(at.context, { name: "web" });
    await view.promises.writeFile(`/file-${isFoldedFirst}`, Buffer.alloc(300_000, 1));
    await view.promises.rename("/etc", "/was-etc");
    await view.promises.rename("/was-etc", "/etc");
    if (isFoldedFirst) await status(at.context, { name: "web" });
    await view[Symbol.asyncDispose]();
    await status(at.context, { name: "web" });
  }
  await at.store[Symbol.asyncDispose]();
  await using kv = await Kv.open(uppers, { create: false });
  for await (const key of kv.keys({})) assert.fail(Buffer.from(key).toString("latin1"));
});

test("views: those of two stores know nothing of each other", async () => {
  await using one = await storeWithContainer();
  await using two = await storeWithContainer();
  await using first = await openContainer(one.context, { name: "web" });
  await using second = await openContainer(two.context, { name: "web" });
  await Promise.all([first.promises.mkdir("/one"), second.promises.mkdir("/two")]);
  assert.deepEqual(await filesOf(one.context, "web"), ["etc", "one"]);
  assert.deepEqual(await filesOf(two.context, "web"), ["etc", "two"]);
});
