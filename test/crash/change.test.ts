import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { create, find, openView, Store } from "../../src/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const KILLS = Number(process.env["DELTA0_KILLS"] ?? 30) / 5;
const FILES = 1500;

test("crash: a killed command has changed all files of a container or none, and nothing of it is left", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/store`;
  mkdirSync(`${directory.path}/source/many`, { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(`${directory.path}/source/many/${i}`, "", { mode: 0o644 });
  {
    await using store = await Store.open(path, { create: true });
    await create({ store, command: "test" }, { source: `${directory.path}/source`, name: "web", noLxc: true });
  }
  for (let kill = 0; kill < KILLS; kill++) {
    const program = fileURLToPath(new URL("change-worker.ts", import.meta.url));
    const worker = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), program, path, "web"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(worker, "exit");
    await Promise.race([once(worker.stdout, "data"), exit.then(() => assert.fail("it ended by itself"))]);
    await sleep(Math.random() * 300);
    worker.kill("SIGKILL");
    await exit;

    await using store = await Store.open(path);
    const context = { store, command: "test" };
    const view = await openView(context, { ref: "web" });
    const modes = new Set<number>();
    const items = await find(context, { start: "web", type: "file" });
    for (const { path } of items) modes.add(view.statSync(path).mode & 0o7777);
    assert.equal(items.length, FILES);
    assert.equal(modes.size, 1, [...modes].map((mode) => mode.toString(8)).join());
  }
});
