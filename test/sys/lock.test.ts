import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lock, tryLock } from "../../src/sys/lock.ts";
import { temporaryDirectory } from "./support.ts";

const HOLDER = fileURLToPath(new URL("lock-holder.ts", import.meta.url));

test("lock: one holder at a time, and the next after it let go", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  const first = tryLock(path);
  assert.ok(first);
  assert.equal(tryLock(path), undefined);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using second = tryLock(path);
  assert.ok(second);
});

test("lock: keeps other processes out, and falls free when its holder is killed", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  const { child, said } = await holder(path);
  assert.equal(said, "locked");
  assert.equal(tryLock(path), undefined);
  assert.equal(await lock(path, { waitMs: 50 }), undefined);
  const waiting = lock(path, { waitMs: 20_000 });
  child.kill("SIGKILL");
  using taken = await waiting;
  assert.ok(taken);
  const late = await holder(path);
  assert.equal(late.said, "busy");
  late.child.kill("SIGKILL");
});

test("lock: of a file that has been replaced is not taken for the lock", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  using old = tryLock(path);
  writeFileSync(`${directory.path}/new`, "");
  renameSync(`${directory.path}/new`, path);
  using current = tryLock(path);
  assert.ok(old && current);
  assert.equal(tryLock(path), undefined);
});

test("lock: without the directory for its file fails with ENOENT", async () => {
  await assert.rejects(lock("/nonexistent/lock", { waitMs: 0 }), { code: "ENOENT" });
});

async function holder(path: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ["--import", "tsx", HOLDER, path], { stdio: ["ignore", "pipe", "inherit"] });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, said: said.toString().trim() };
}
