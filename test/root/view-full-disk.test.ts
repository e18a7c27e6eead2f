import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { errnoOf } from "../../src/errors.ts";
import { create, openContainer, openView, status, Store } from "../../src/index.ts";
import type { ContainerView, Context } from "../../src/index.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { readView } from "../crash/view-calls.ts";
import { shutdownSwitch } from "./power-cut.ts";

function fill(directory: string): void {
  for (const size of [1_000_000, 4096])
    try {
      for (;;) appendFileSync(`${directory}/ballast`, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal(errnoOf(error), "ENOSPC");
    }
}

async function makeContainer(directory: string): Promise<void> {
  await using elsewhere = await temporaryDirectory();
  mkdirSync(`${elsewhere.path}/etc`);
  writeFileSync(`${elsewhere.path}/etc/hosts`, "localhost");
  await using store = await Store.open(directory, { create: true });
  await create({ store, command: "test" }, { source: elsewhere.path, name: "web", noLxc: true });
}

/** Calls until one fails. @returns its error */
async function untilItFails(call: (i: number) => Promise<unknown>): Promise<{ code?: string }> {
  for (let i = 0; i < 20_000; i++)
    try {
      await call(i);
    } catch (error) {
      return error as { code?: string };
    }
  return {};
}

test("full disk: calls that find no room fail with ENOSPC and have not happened; with room again the view goes on", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using small = await loopFilesystem("ext4", 64);
  const directory = `${small.path}/store`;
  await makeContainer(directory);
  let state: string[];
  {
    await using store = await Store.open(directory);
    const context: Context = { store, command: "test" };
    await using view = await openContainer(context, { name: "web" });
    const { promises } = view;
    await promises.writeFile("/before", randomBytes(200_000));
    const handle = await promises.open("/log", "a");
    await handle.write("before\n");
    fill(small.path);
    for (const [kind, call] of Object.entries(callsOf(view))) {
      const before: string[] = [];
      const error = await untilItFails(async (i) => {
        before.splice(0, before.length, ...(i % 50 === 0 ? [] : before));
        await call(i);
      });
      assert.equal(error.code, "ENOSPC", kind);
      const shown = readView(view);
      await assert.rejects(promises.mkdir("/refused"), { code: "ENOSPC" });
      await Promise.all([1, 2, 3].map((i) => assert.rejects(promises.mkdir(`/refused${i}`), { code: "ENOSPC" })));
      await assert.rejects(promises.rename("/etc", "/moved"), { code: "ENOSPC" });
      await assert.rejects(handle.write("refused\n"), { code: "ENOSPC" });
      assert.deepEqual(readView(view), shown, "what failed has not happened");
    }
    await assert.rejects(status(context, { name: "web" }), { code: "NO_SPACE" });
    state = readView(view);
    assert.ok(!state.some((line) => line.includes("refused")));
    rmSync(`${small.path}/ballast`);
    await handle.write("after\n");
    await handle.close();
    await promises.writeFile("/after", "room again");
    const expected = "before\nafter\n";
    assert.equal(view.readFileSync("/log", "utf8"), expected);
    state = readView(view);
  }
  await using store = await Store.open(directory);
  const context: Context = { store, command: "test" };
  await using view = await openContainer(context, { name: "web" });
  assert.deepEqual(readView(view), state);
  await status(context, { name: "web" });
  assert.deepEqual(readView(await openView(context, { ref: "web" })), state);
});

/** Those that need room for records, and for bytes. */
function callsOf({ promises }: ContainerView): Record<string, (i: number) => Promise<unknown>> {
  return {
    names: (i) => promises.mkdir(`/${"n".repeat(200)}${i}`),
    bytes: (i) => promises.writeFile(`/bytes${i}`, randomBytes(100_000)),
    xattrs: (i) => promises.setxattr("/etc/hosts", `user.${i}`, randomBytes(20_000)),
  };
}

test("lost disk: calls fail with EIO and have not happened, as far as can be told; all that was synced is there later", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using filesystem = await loopFilesystem("ext4", 64);
  const directory = `${filesystem.path}/store`;
  await makeContainer(directory);
  let state: string[];
  {
    const store = await Store.open(directory);
    const view = await openContainer({ store, command: "test" }, { name: "web" });
    const { promises } = view;
    const handle = await promises.open("/file", "w");
    await handle.write(randomBytes(300_000));
    await promises.rename("/etc", "/moved");
    await handle.sync();
    state = readView(view);
    shutdownSwitch(filesystem.path)();
    for (const call of [
      () => promises.mkdir("/x"),
      () => handle.write("x"),
      () => handle.sync(),
      () => promises.unlink("/file"),
    ])
      await assert.rejects(call, { code: "EIO" });
    assert.ok(!view.existsSync("/x"));
    await view[Symbol.asyncDispose]().catch(() => undefined);
    await store[Symbol.asyncDispose]().catch(() => undefined);
  }
  await run("umount", [filesystem.path]);
  await run("mount", ["-t", "ext4", "-o", "loop", join(dirname(filesystem.path), "image"), filesystem.path]);
  await using store = await Store.open(directory);
  await using view = await openContainer({ store, command: "test" }, { name: "web" });
  assert.deepEqual(readView(view), state);
});
