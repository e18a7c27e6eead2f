import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StorePaths } from "../../src/index.ts";
import { cliStore, DELTA0, documentOf } from "../support/cli.ts";
import type { CliStore } from "../support/cli.ts";

/** A process that has the store open until it is killed: an import whose tar does not come. */
async function startOwner(cli: CliStore): Promise<ChildProcess> {
  const [program = "", ...args] = DELTA0;
  const owner = spawn(program, [...args, "--store", cli.store, "import", "-", "never"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const { socket } = new StorePaths(cli.store);
  while (ownerPid(cli) !== owner.pid || !existsSync(socket)) {
    assert.equal(owner.exitCode, null, "the owner ended");
    await sleep(10);
  }
  return owner;
}

function ownerPid(cli: CliStore): number | undefined {
  try {
    return (JSON.parse(readFileSync(new StorePaths(cli.store).owner, "utf8")) as { pid: number }).pid;
  } catch {
    return undefined;
  }
}

async function namesIn(cli: CliStore): Promise<Set<string>> {
  const listed = await cli.delta0(["ls", "--json"]);
  assert.equal(listed.code, 0, listed.stderr);
  return new Set((documentOf(listed)["items"] as { name: string }[]).map(({ name }) => name));
}

test("owners: sixteen commands at once beside an owner, which is killed in between: none fails, each is done once", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["import", "/etc/apt", "base"])).code, 0);
  const owner = await startOwner(cli);
  const names = Array.from({ length: 16 }, (_, i) => `c${i}`);
  const cloned = names.map((name) => cli.delta0(["clone", "base", name, "--no-lxc"]));
  await Promise.race(cloned);
  owner.kill("SIGKILL");
  for (const { code, stderr } of await Promise.all(cloned)) assert.equal(code, 0, stderr);
  assert.deepEqual([...(await namesIn(cli))].sort(), [...names, "base"].sort());
});

test("owners: sixteen commands at once and no owner: none fails", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["import", "/etc/apt", "base"])).code, 0);
  const names = Array.from({ length: 16 }, (_, i) => `c${i}`);
  for (const { code, stderr } of await Promise.all(
    names.map((name) => cli.delta0(["clone", "base", name, "--no-lxc"])),
  ))
    assert.equal(code, 0, stderr);
  assert.equal((await namesIn(cli)).size, 17);
});

test("owners: whoever has the store open is killed again and again: only its own command fails, and what is said to be done is", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["import", "/etc/apt", "base"])).code, 0);
  const done = new Set<string>();
  let left = 40;
  let kills = 0;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      const name = `c${left--}`;
      const { code, stderr } = await cli.delta0(["--store", cli.store, "clone", "base", name, "--no-lxc"]);
      assert.ok(code === 0 || code === 137, `${name}: ${code}: ${stderr}`);
      if (code === 0) done.add(name);
    }
  };
  const workers = Promise.all([worker(), worker(), worker(), worker()]);
  const killer = async (): Promise<void> => {
    while (left > 0) {
      await sleep(50 + Math.random() * 200);
      const pid = ownerPid(cli);
      try {
        if (pid !== undefined && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(cli.store)) kills++;
        else continue;
        process.kill(pid, "SIGKILL");
      } catch {
        // It is over.
      }
    }
  };
  await Promise.all([workers, killer()]);
  const names = await namesIn(cli);
  for (const name of done) assert.ok(names.has(name), `${name} was acknowledged, and is lost`);
  assert.ok(done.size > 0 && kills > 0);
});

test("owners: a stopped one is told of after the wait, and takes no request that is over", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["import", "/etc/apt", "base"])).code, 0);
  const owner = await startOwner(cli);
  owner.kill("SIGSTOP");
  const refused = await cli.delta0(["clone", "base", "late", "--no-lxc", "--wait", "1"]);
  assert.equal(refused.code, 11, refused.stderr);
  assert.match(refused.stderr, new RegExp(`pid ${owner.pid}.*is stopped`));
  owner.kill("SIGCONT");
  assert.equal((await cli.delta0(["clone", "base", "next", "--no-lxc"])).code, 0);
  assert.deepEqual([...(await namesIn(cli))].sort(), ["base", "next"]);
  owner.kill("SIGKILL");
  assert.deepEqual([...(await namesIn(cli))].sort(), ["base", "next"]);
});
