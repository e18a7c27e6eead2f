import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { linkSync, rmSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DELTA0, documentOf } from "../support/cli.ts";
import { clone, openView, snapshot, Store } from "../../src/index.ts";
import type { TreeView } from "../../src/index.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

async function hostWithWeb(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("create", "base", "web", ...SLEEP);
  return at;
}

/** Writes one number to two files, one after the other, for as long as it runs: a is never behind b, nor more than 1 ahead. */
const PAIRS = `mkdir -p /srv; echo 0 >/srv/a; echo 0 >/srv/b; : >/srv/log
i=0; while true; do i=$((i+1)); echo $i >/srv/a.new; mv /srv/a.new /srv/a; echo $i >>/srv/log; echo $i >/srv/b.new; mv /srv/b.new /srv/b; done`;

async function writePairs(at: LxcHost): Promise<void> {
  const writer = spawn("lxc-attach", ["-P", at.lxcPath, "-n", "web", "--clear-env", "--", "/bin/sh", "-c", PAIRS], {
    stdio: "ignore",
  });
  writer.unref();
  await until(async () => Number(await at.attach("web", "cat /srv/b 2>/dev/null || echo 0")) > 0);
}

function numberIn(view: TreeView, path: string): number {
  return Number(view.readFileSync(path, "latin1"));
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await sleep(50);
  }
  assert.fail("it did not come to that in 10 s");
}

/** Fails unless what runs in it goes on. */
async function assertGoesOn(at: LxcHost): Promise<void> {
  assert.equal(await at.state("web"), "RUNNING");
  const before = Number(await at.attach("web", "cat /srv/b"));
  await until(async () => Number(await at.attach("web", "cat /srv/b")) > before);
}

test("lxc: clones and snapshots of one that runs are of one moment each, and it goes on after each", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-start", "web");
  await writePairs(at);
  const before = documentOf(await at.ok("show", "web", "--json"))["digest"];
  for (const args of [
    ["clone", "web", "other", "-P", at.lxcPath],
    ["snapshot", "web"],
  ]) {
    const refused = await at.delta0(args);
    assert.equal(refused.code, 6);
    assert.match(refused.stderr, /\(web\) is running.*--allow-running/s);
  }
  const seen: number[] = [];
  {
    await using store = await Store.open(at.store);
    const context = { store, command: "test" };
    for (let i = 0; i < 12; i++) {
      const names = [`c${i}`];
      if (i % 2 === 0) await clone(context, { ref: "web", names, allowRunning: true, noLxc: true });
      else await snapshot(context, { name: "web", snapshot: `c${i}`, allowRunning: true });
      const view = await openView(context, { ref: i % 2 === 0 ? `c${i}` : `web@c${i}` });
      const [a, b] = [numberIn(view, "/srv/a"), numberIn(view, "/srv/b")];
      assert.ok(a === b || a === b + 1, `a is ${a}, b is ${b}`);
      const lines = view.readFileSync("/srv/log", "latin1").split("\n").slice(0, -1);
      assert.ok(lines.length === a || lines.length === a - 1, `a is ${a}, and ${lines.length} were logged`);
      assert.ok(lines.every((line, at) => line === String(at + 1)));
      seen.push(a);
    }
  }
  assert.ok(
    seen.every((a, i) => i === 0 || a > (seen[i - 1] ?? 0)),
    "each is of a later moment",
  );
  assert.equal(documentOf(await at.ok("show", "web", "--json"))["digest"], before, "its record is as it was");
  await assertGoesOn(at);

  await at.ok("clone", "--allow-running", "web", "alive");
  await at.lxc("lxc-start", "alive");
  assert.equal((await at.attach("alive", "busybox head -n 1 /srv/log")).trim(), "1");
  await at.lxc("lxc-stop", "web", "-k");
  assert.notEqual(documentOf(await at.ok("show", "web", "--json"))["digest"], before);
  await at.ok("rollback", "web", "c1");
  await at.lxc("lxc-start", "web");
  assert.equal(Number(await at.attach("web", "cat /srv/a")), seen[1]);
});

test("lxc: what is just being copied up has a name more, and none in what is captured; what the user froze stays frozen", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo one >/root/file; ln /root/file /root/twin; echo two >/root/alone");
  await at.lxc("lxc-freeze", "web");
  const web = `${at.lxcPath}/web`;
  for (const name of ["file", "alone"]) linkSync(`${web}/delta0/root/${name}`, `${web}/work/work/#${name}`);
  await at.ok("clone", "-a", "web", "twin");
  assert.equal(await at.state("web"), "FROZEN");
  for (const name of ["file", "alone"]) rmSync(`${web}/work/work/#${name}`);
  await at.lxc("lxc-unfreeze", "web");
  await at.lxc("lxc-stop", "web", "-k");
  const digest = async (ref: string): Promise<unknown> => documentOf(await at.ok("show", ref, "--json"))["digest"];
  assert.equal(await digest("twin"), await digest("web"));
});

test("lxc: it goes on after a capture that fails, and after a kill of the one who captures", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-start", "web");
  await writePairs(at);
  const web = `${at.lxcPath}/web`;

  // A mark that no kernel makes: what is read of it is refused.
  await run("setfattr", ["-n", "trusted.overlay.redirect", "-v", "a//b", `${web}/delta0/srv`]);
  const failed = await at.delta0(["clone", "-a", "web", "broken", "-P", at.lxcPath]);
  assert.equal(failed.code, 12, failed.stderr);
  await run("setfattr", ["-x", "trusted.overlay.redirect", `${web}/delta0/srv`]);
  await assertGoesOn(at);
  assert.equal((await at.delta0(["show", "broken"])).code, 4);

  // So much that it is in the middle when it is killed.
  await at.attach("web", "busybox dd if=/dev/urandom of=/srv/big bs=1M count=150 2>/dev/null");
  for (const signal of ["SIGKILL", "SIGKILL", "SIGINT"] as const) {
    const args = [...DELTA0.slice(1), "--store", at.store, "clone", "-a", "web", "killed", "-P", at.lxcPath];
    const child = spawn(DELTA0[0] ?? "", args, { stdio: "ignore" });
    const exited = once(child, "exit");
    await until(async () => (await at.state("web")) === "FROZEN");
    child.kill(signal);
    await exited;
    await until(async () => (await at.state("web")) === "RUNNING");
    await assertGoesOn(at);
    assert.equal((await at.delta0(["show", "killed"])).code, 4, "it was killed before it was done");
  }
  await at.ok("clone", "-a", "web", "killed");

  await at.lxc("lxc-stop", "web", "-k");
  await at.ok("clone", "-a", "web", "late");
});
