import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { clone, create, exportTree, importLayer, list, preStart, Store } from "../../src/index.ts";
import type { Context } from "../../src/index.ts";
import { assertNothingHalfMade } from "../operations/support.ts";
import { errnoOf } from "../../src/errors.ts";
import { compareManifests } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Leaves about so many bytes free. */
function fill(directory: string, leave: number): void {
  const [ballast, spare] = [`${directory}/ballast`, `${directory}/spare`];
  writeFileSync(spare, Buffer.alloc(leave, 1));
  try {
    for (;;) appendFileSync(ballast, Buffer.alloc(100_000, 1));
  } catch (error) {
    if (errnoOf(error) !== "ENOSPC") throw error;
  }
  rmSync(spare);
}

const free = (directory: string): void => rmSync(`${directory}/ballast`);

test("full disk: an import that does not fit is NO_SPACE; with room again the store goes on", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await using elsewhere = await temporaryDirectory();
  const [little, big] = [`${elsewhere.path}/little`, `${elsewhere.path}/big`];
  for (const directory of [little, big]) await mkdir(directory);
  await writeFile(`${little}/file`, randomBytes(1_000_000));
  for (let i = 0; i < 8; i++) await writeFile(`${big}/file${i}`, randomBytes(10_000_000));
  const directory = `${small.path}/store`;
  {
    await using store = await Store.open(directory, { create: true });
    const context: Context = { store, command: "test" };
    await importLayer(context, { source: little, name: "little" });
    await assert.rejects(importLayer(context, { source: big, name: "big" }), { code: "NO_SPACE" });
    assert.deepEqual(
      (await list(context)).map(({ name }) => name),
      ["little"],
    );
  }
  // LevelDB writes a new log when it is opened; and then it collects nothing that the import left.
  await assert.rejects(
    async () => {
      await using store = await Store.open(directory);
      await importLayer({ store, command: "test" }, { source: big, name: "big" });
    },
    { code: "NO_SPACE" },
  );
  rmSync(`${big}/file0`);
  await using larger = await loopFilesystem("ext4", 160);
  await run("cp", ["-a", directory, larger.path]);
  await using store = await Store.open(`${larger.path}/store`);
  const context: Context = { store, command: "test" };
  await importLayer(context, { source: big, name: "big" });
  for (const name of ["little", "big"]) {
    await exportTree(context, { ref: name, target: `${elsewhere.path}/${name}-out` });
    assert.deepEqual(await compareManifests(`${elsewhere.path}/${name}`, `${elsewhere.path}/${name}-out`), []);
  }
});

test("full disk: exports, clones with directories and starts leave nothing, and work with room again", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await using elsewhere = await temporaryDirectory();
  const [source, lxcPath] = [`${elsewhere.path}/source`, `${small.path}/lxc`];
  for (const directory of [source, lxcPath]) await mkdir(directory);
  for (let i = 0; i < 20; i++) await writeFile(`${source}/file${i}`, randomBytes(1_000_000));
  await using store = await Store.open(`${elsewhere.path}/store`, { create: true });
  const context: Context = { store, command: "test" };
  await create(context, { source, name: "web", lxcPath });
  const before = await list(context);
  const names = Array.from({ length: 500 }, (_, i) => `c${i}`);
  const attempts: readonly (readonly [what: string, leave: number, attempt: () => Promise<unknown>])[] = [
    ["export to a directory", 10_000_000, () => exportTree(context, { ref: "web", target: `${small.path}/out` })],
    ["export to a tar", 10_000_000, () => exportTree(context, { ref: "web", target: `${small.path}/out.tar` })],
    ["clone", 500_000, () => clone(context, { ref: "web", names, lxcPath })],
  ];
  for (const [what, leave, attempt] of attempts) {
    fill(small.path, leave);
    await assert.rejects(attempt(), { code: "NO_SPACE" }, what);
    assert.deepEqual(await list(context), before, what);
    assert.deepEqual(readdirSync(lxcPath), ["web"], what);
    assertNothingHalfMade({ store }, small.path, lxcPath);
    for (const name of ["out", "out.tar"]) assert.ok(!existsSync(`${small.path}/${name}`), what);
    free(small.path);
  }
  for (const [, , attempt] of attempts) await attempt();
  assert.deepEqual(await compareManifests(source, `${small.path}/out`), []);
  assert.equal(readdirSync(lxcPath).length, 501);
});

test("full disk: a shared export that does not fit is none", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  await using elsewhere = await temporaryDirectory();
  for (let i = 0; i < 20; i++) await writeFile(`${elsewhere.path}/file${i}`, Buffer.alloc(1_000_000, `${i}.`));
  await using store = await Store.open(`${small.path}/store`, { create: true });
  const context: Context = { store, command: "test" };
  await mkdir(`${small.path}/lxc`);
  const { digest } = await create(context, { source: elsewhere.path, name: "web", lxcPath: `${small.path}/lxc` });
  const directory = `${small.path}/lxc/web`;
  const start = (): Promise<void> =>
    preStart(context, {
      configFile: `${directory}/config`,
      rootfsPath: `${store.exports.path(digest)}:${directory}/delta0`,
    });
  fill(small.path, 8_000_000);
  await assert.rejects(start(), { code: "NO_SPACE" });
  assert.deepEqual(store.exports.keys(), []);
  assertNothingHalfMade({ store });
  free(small.path);
  await start();
  assert.deepEqual(await compareManifests(elsewhere.path, store.exports.path(digest)), []);
});
