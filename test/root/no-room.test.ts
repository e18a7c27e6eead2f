import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { failureOf } from "../../src/cli/failure.ts";
import {
  cat,
  clone,
  commit,
  configure,
  create,
  diff,
  du,
  exportTree,
  find,
  gc,
  importLayer,
  list,
  log,
  openContainer,
  openView,
  put,
  remove,
  show,
  status,
  Store,
  tag,
  unexport,
  warmExport,
} from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { assertNothingHalfMade } from "../operations/support.ts";
import { compareManifests } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory, unmountBelow } from "../support/temporary.ts";
import { shutdownSwitch } from "./power-cut.ts";

function makeSource(path: string, files: number): void {
  mkdirSync(`${path}/etc`, { recursive: true });
  writeFileSync(`${path}/etc/hosts`, "127.0.0.1 localhost\n");
  for (let i = 0; i < files; i++) writeFileSync(`${path}/file${i}`, randomBytes(20_000));
}

/** Fails unless each attempt does, with this exit code and something to do about it, and leaves all names as they were. */
async function assertRefused(
  context: Context,
  exit: number,
  attempts: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  const before = await list(context);
  for (const [what, attempt] of Object.entries(attempts)) {
    const failure = await attempt().then(
      () => assert.fail(`${what} was done`),
      (error: unknown) => failureOf(error),
    );
    assert.equal(failure.exit, exit, `${what}: ${failure.message}`);
    assert.ok(failure.hint !== undefined && !failure.hint.includes("bug"), `${what}: ${failure.hint}`);
    assert.deepEqual(await list(context), before, what);
  }
}

test("no inodes: what needs some is NO_SPACE and says so, what is there can be read, and unexport gives some back", async (t) => {
  if (!requireCommands(t, "mount")) return;
  await using at = await temporaryDirectory();
  const mounted = `${at.path}/mounted`;
  mkdirSync(mounted);
  await run("mount", ["-t", "tmpfs", "-o", "size=200m,nr_inodes=600", "tmpfs", mounted]);
  try {
    const [source, lxcPath] = [`${at.path}/source`, `${mounted}/lxc`];
    makeSource(source, 100);
    mkdirSync(lxcPath);
    await using store = await Store.open(`${mounted}/store`, { create: true });
    const context: Context = { store, command: "test" };
    await create(context, { source, name: "web", lxcPath });
    await warmExport(context, { ref: "web" });
    mkdirSync(`${mounted}/ballast`);
    assert.throws(
      () => {
        for (let i = 0; ; i++) writeFileSync(`${mounted}/ballast/${i}`, "");
      },
      { code: "ENOSPC" },
    );
    await assertRefused(context, 28, {
      import: () => importLayer(context, { source, name: "other" }),
      export: () => exportTree(context, { ref: "web", target: `${mounted}/out` }),
      clone: () => clone(context, { ref: "web", names: ["a"], lxcPath }),
    });
    assertNothingHalfMade({ store }, mounted, lxcPath);
    const failure = failureOf(await importLayer(context, { source, name: "other" }).catch((error: unknown) => error));
    assert.match(failure.message, /inodes/);
    assert.equal((await openView(context, { ref: "web" })).readFileSync("/etc/hosts", "utf8"), "127.0.0.1 localhost\n");
    rmSync(`${lxcPath}/web/config`);
    assert.ok((await unexport(context, {})).removed.length > 0);
    await importLayer(context, { source, name: "other" });
    rmSync(`${mounted}/ballast`, { recursive: true });
    await clone(context, { ref: "other", names: ["b"], lxcPath });
  } finally {
    await unmountBelow(mounted);
  }
});

test("read-only filesystem: all that reads a store does, what writes is NOT_PERMITTED, and both go on once it is not", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 128);
  await using elsewhere = await temporaryDirectory();
  const source = `${elsewhere.path}/source`;
  makeSource(source, 20);
  const directory = `${small.path}/store`;
  {
    await using store = await Store.open(directory, { create: true });
    const context: Context = { store, command: "test" };
    await create(context, { source, name: "web", noLxc: true });
    await put(context, { sources: [`${source}/file0`], target: "web:/etc/" });
    await commit(context, { name: "web", layer: "base" });
    await tag(context, { ref: "web", name: "tagged" });
  }
  const assertReadable = async (context: Context): Promise<void> => {
    assert.deepEqual((await list(context)).map(({ name }) => name).sort(), ["base", "tagged", "web"]);
    for (const ref of ["base", "web"]) {
      const view = await openView(context, { ref });
      assert.equal(view.readFileSync("/etc/hosts", "utf8"), "127.0.0.1 localhost\n");
      await show(context, { ref });
    }
    await status(context, { name: "web" });
    await log(context, { ref: "web" });
    await du(context);
    await diff(context, { a: "base", b: "tagged" });
    assert.ok((await find(context, { start: "web" })).length > 20);
    const pieces: Uint8Array[] = [];
    await cat(
      { ...context, output: (bytes) => Promise.resolve(void pieces.push(bytes)) },
      { files: ["web:/etc/hosts"] },
    );
    const target = `${elsewhere.path}/out`;
    await exportTree(context, { ref: "web", target });
    assert.deepEqual(
      (await compareManifests(source, target)).filter(({ path }) => !path.startsWith("etc")),
      [],
    );
    rmSync(target, { recursive: true });
  };
  const refused = (context: Context): Readonly<Record<string, () => Promise<unknown>>> => ({
    import: () => importLayer(context, { source, name: "other" }),
    clone: () => clone(context, { ref: "web", names: ["a"], noLxc: true }),
    put: () => put(context, { sources: [`${source}/file1`], target: "web:/etc/" }),
    rm: () => remove(context, { names: ["base"] }),
    gc: () => gc(context, { grace: "0" }),
    config: () => configure(context, { key: "exports.grace", value: "1h" }),
    "a view's": async () => {
      await using view = await openContainer(context, { name: "web" });
      await view.promises.writeFile("/etc/new", "new");
    },
  });
  {
    // Under a store that is open: as ext4 does it when it finds an error in itself.
    await run("mount", ["-o", "remount,errors=remount-ro", small.path]);
    const store = await Store.open(directory);
    const context: Context = { store, command: "test" };
    writeFileSync(`/sys/fs/ext4/${basename(await deviceOf(small.path))}/trigger_fs_error`, "test");
    await assertReadable(context);
    await assertRefused(context, 13, refused(context));
    await assertReadable(context);
    await store[Symbol.asyncDispose]();
    await run("umount", [small.path]);
    await run("mount", ["-t", "ext4", "-o", "loop", join(dirname(small.path), "image"), small.path]);
  }
  const files = (): unknown => readdirSync(directory, { recursive: true }).sort();
  const before = files();
  await run("mount", ["-o", "remount,ro", small.path]);
  {
    await using store = await Store.open(directory);
    const context: Context = { store, command: "test" };
    await assertReadable(context);
    await assertRefused(context, 13, refused(context));
    await assertReadable(context);
    assert.deepEqual(files(), before);
    await run("mount", ["-o", "remount,rw", small.path]);
    for (const attempt of Object.values(refused(context))) await attempt();
  }
  await using store = await Store.open(directory);
  assert.equal((await openView({ store, command: "test" }, { ref: "a" })).existsSync("/etc/hosts"), true);
});

test("lost disk: commands fail as the system does, and once it is back all that was done is there", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using filesystem = await loopFilesystem("ext4", 128);
  await using elsewhere = await temporaryDirectory();
  const source = `${elsewhere.path}/source`;
  makeSource(source, 20);
  const directory = `${filesystem.path}/store`;
  const store = await Store.open(directory, { create: true });
  const context: Context = { store, command: "test" };
  await importLayer(context, { source, name: "base" });
  const before = await list(context);
  shutdownSwitch(filesystem.path)();
  for (const attempt of [
    () => importLayer(context, { source: elsewhere.path, name: "other" }),
    () => tag(context, { ref: "base", name: "tagged" }),
    () => gc(context, { grace: "0" }),
    () => exportTree(context, { ref: "base", target: `${filesystem.path}/out` }),
  ]) {
    const failure = failureOf(await attempt().catch((error: unknown) => error));
    assert.equal(failure.exit, 71, failure.message);
  }
  await store[Symbol.asyncDispose]().catch(() => undefined);
  await assert.rejects(Store.open(directory), (error) => failureOf(error).exit === 71);
  await run("umount", [filesystem.path]);
  await run("mount", ["-t", "ext4", "-o", "loop", join(dirname(filesystem.path), "image"), filesystem.path]);
  await using again = await Store.open(directory);
  assert.deepEqual(await list({ store: again, command: "test" }), before);
  await exportTree({ store: again, command: "test" }, { ref: "base", target: `${filesystem.path}/out` });
  assert.deepEqual(await compareManifests(source, `${filesystem.path}/out`), []);
});

test("limits of a process: open files and sizes of files are named, and without them the store goes on", async (t) => {
  if (!requireCommands(t, "prlimit")) return;
  await using at = await temporaryDirectory();
  const source = `${at.path}/source`;
  makeSource(source, 200);
  let deep = `${at.path}/deep`;
  for (let i = 0; i < 100; i++) mkdirSync((deep += `/${i}`), { recursive: true });
  await using store = await Store.open(`${at.path}/store`, { create: true });
  const context: Context = { store, command: "test" };
  const openFiles = readdirSync("/proc/self/fd").length;
  const allowed = /^Max open files +([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? "1024";
  for (const [limit, exit] of [
    [`--nofile=${openFiles + 20}`, 71],
    ["--fsize=1000000", 28],
  ] as const) {
    setLimit(`${limit}:`);
    try {
      const attempts =
        exit === 71
          ? { import: () => importLayer(context, { source: `${at.path}/deep`, name: "other" }) }
          : { import: () => importLayer(context, { source, name: "other" }) };
      await assertRefused(context, exit, attempts);
    } finally {
      setLimit(`${limit.replace(/=.*/, "=unlimited")}:`, `--nofile=${allowed}:`);
    }
    if (exit === 71) await importLayer(context, { source: `${at.path}/deep`, name: "deep" });
    else await importLayer(context, { source, name: "base" });
  }
  await exportTree(context, { ref: "base", target: `${at.path}/out` });
  assert.deepEqual(await compareManifests(source, `${at.path}/out`), []);
});

async function deviceOf(mounted: string): Promise<string> {
  return (await run("findmnt", ["-no", "SOURCE", mounted])).trim();
}

/** Soft limits of this process. */
function setLimit(...limits: readonly string[]): void {
  for (const limit of limits) spawnSync("prlimit", ["--pid", String(process.pid), limit]);
}
