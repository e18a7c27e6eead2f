import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { documentOf, failureOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost } from "./support.ts";

/** A container "web" with /root/file, captured. */
async function hostWithWeb(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  writeFileSync(`${at.path}/template`, "lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n");
  appendFileSync(`${at.path}/template`, "lxc.init.cmd = /bin/sleep 1000\n");
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("config", "lxc.template", `${at.path}/template`);
  await at.ok("create", "base", "web");
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo one >/root/file");
  await at.lxc("lxc-stop", "web", "-k");
  return at;
}

interface Noticed {
  readonly state: unknown;
  readonly warnings: readonly string[];
}

/** What ls says of "web". */
async function noticed(at: LxcHost): Promise<Noticed> {
  const { items, warnings = [] } = documentOf(await at.ok("ls", "--json")) as {
    items: { name: string; state: string }[];
    warnings?: string[];
  };
  return { state: items.find(({ name }) => name === "web")?.state, warnings };
}

/** Fails unless the one warning of ls has the command in it that repairs "web". */
async function assertNoticed(at: LxcHost, state: string): Promise<void> {
  const { warnings, ...found } = await noticed(at);
  assert.deepEqual(found, { state });
  assert.equal(warnings.length, 1, warnings.join("\n"));
  assert.match(warnings[0] ?? "", /^web: .*delta0 lxc repair web/);
}

async function repaired(at: LxcHost): Promise<unknown> {
  return documentOf(await at.ok("lxc", "repair", "web", "--json"))["repaired"];
}

/** Fails unless "web" is as it was, in the store and when it runs. */
async function assertWhole(at: LxcHost): Promise<void> {
  assert.deepEqual(await noticed(at), { state: "stopped", warnings: [] });
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /root/file"), "one\n");
  await at.lxc("lxc-stop", "web", "-k");
}

test("behind our back: a destroyed container is missed, and made anew or forgotten", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-destroy", "web");
  await assertNoticed(at, "missing");
  const refused = await at.delta0(["start", "web", "--json"]);
  assert.equal(refused.code, 6);
  assert.match(String(failureOf(refused)["hint"]), /delta0 lxc repair web .*delta0 rm web/);
  assert.deepEqual(await repaired(at), ["directory"]);
  await assertWhole(at);
  assert.deepEqual(await repaired(at), []);
  // Another's directory by its name is nobody's to touch.
  await at.lxc("lxc-destroy", "web");
  mkdirSync(`${at.lxcPath}/web/rootfs`, { recursive: true });
  writeFileSync(`${at.lxcPath}/web/config`, `lxc.rootfs.path = dir:${at.lxcPath}/web/rootfs\n`);
  const { state, warnings } = await noticed(at);
  assert.deepEqual([state, warnings.length], ["foreign", 1]);
  assert.equal((await at.delta0(["lxc", "repair", "web"])).code, 6);
  await at.ok("rm", "web");
  assert.ok(existsSync(`${at.lxcPath}/web/config`));
});

test("behind our back: a moved container is found, does not start without its changes, and is well when it is back", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  const [here, there] = [`${at.lxcPath}/web`, `${at.lxcPath}/moved`];
  renameSync(here, there);
  const { state, warnings } = await noticed(at);
  assert.equal(state, "missing");
  assert.ok(warnings.some((warning) => warning.startsWith("web: ") && warning.includes(`moved to ${there}`)));
  await assert.rejects(at.lxc("lxc-start", "moved"));
  assert.match(readFileSync(`${there}/delta0.log`, "utf8"), /cannot start/);
  assert.ok(!existsSync(here));
  for (const args of [
    ["start", "web"],
    ["lxc", "repair", "web"],
  ])
    assert.equal((await at.delta0(args)).code, 6);
  renameSync(there, here);
  await assertWhole(at);
  await at.ok("rename", "web", "moved");
  await at.lxc("lxc-start", "moved");
  assert.equal(await at.attach("moved", "cat /root/file"), "one\n");
  await at.lxc("lxc-stop", "moved", "-k");
});

test("behind our back: a config that was edited or lost, a delta that is gone, emptied or no directory", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  const [config, delta] = [`${at.lxcPath}/web/config`, `${at.lxcPath}/web/delta0`];
  const harms: [harm: () => void, state: string, repaired: string[]][] = [
    [() => appendFileSync(config, "lxc.rootfs.path = dir:/tmp\n"), "foreign", ["config"]],
    [() => rmSync(config), "foreign", ["config"]],
    [() => appendFileSync(config, "lxc.idmap = b 0 100000 65536\n"), "stopped", ["config"]],
    [() => rmSync(delta, { recursive: true }), "stopped", ["delta0"]],
    [() => (rmSync(delta, { recursive: true }), mkdirSync(delta)), "stopped", ["delta0"]],
  ];
  for (const [harm, state, expected] of harms) {
    harm();
    await assertNoticed(at, state);
    assert.equal((await at.ok("cat", "web:/root/file")).stdout, "one\n");
    assert.deepEqual(await repaired(at), expected);
  }
  await assertWhole(at);
  rmSync(delta, { recursive: true });
  writeFileSync(delta, "the user's");
  for (const args of [
    ["start", "web"],
    ["lxc", "repair", "web"],
  ])
    assert.equal((await at.delta0(args)).code, 6);
  assert.equal(readFileSync(delta, "utf8"), "the user's");
  rmSync(delta);
  assert.deepEqual(await repaired(at), ["delta0"]);
  await assertWhole(at);
});

test("behind our back: what nobody has captured survives the loss of its export, its mount and its config", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo two >/root/file");
  const init = (await at.lxc("lxc-info", "web", "-p", "-H")).trim();
  const monitor = (await run("ps", ["-o", "ppid=", "-p", init])).trim();
  await run("kill", ["-9", monitor, init]);
  while ((await at.state("web")) !== "STOPPED") await sleep(50);
  const [before, lower] = [
    await run("cat", [`${at.lxcPath}/web/config`]),
    await run("readlink", [`${at.lxcPath}/web/rootfs`]),
  ];
  await run("umount", [`${at.store}/exports`]);
  const secret = lower.trim().replace("/exports/", "/private/exports/");
  await run("chattr", ["-i", secret]);
  await run("rm", ["-rf", secret]);
  rmSync(`${at.lxcPath}/web/config`);
  await assertNoticed(at, "foreign");
  assert.deepEqual(await repaired(at), ["config"]);
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "two\n");
  assert.equal(await run("cat", [`${at.lxcPath}/web/config`]), before);
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /root/file"), "two\n");
  await at.lxc("lxc-stop", "web", "-k");
  // An export without its flag gets it back with the next start.
  await run("chattr", ["-i", secret]);
  await at.ok("start", "web");
  await at.lxc("lxc-stop", "web", "-k");
  assert.match(await run("lsattr", ["-d", secret]), /^-*i/);
});

test("behind our back: what is put into a delta by hand is captured when it is asked for", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  const delta = `${at.lxcPath}/web/delta0`;
  writeFileSync(`${delta}/root/hand`, "by hand");
  await run("mkfifo", [`${delta}/root/fifo`]);
  assert.equal((await at.delta0(["cat", "web:/root/hand"])).code, 4);
  assert.equal(documentOf(await at.ok("capture", "web", "--json"))["changed"], true);
  assert.equal((await at.ok("cat", "web:/root/hand")).stdout, "by hand");
  assert.equal(documentOf(await at.ok("capture", "web", "--json"))["changed"], false);
  // LXC's own copies of it are noticed too.
  await at.lxc("lxc-copy", "web", "-N", "copy", "-s");
  const { items } = documentOf(await at.ok("ls", "--foreign", "--json")) as { items: { name: string }[] };
  assert.deepEqual(
    items.map(({ name }) => name),
    ["copy"],
  );
  // These it refuses for an overlay, and leaves it as it is.
  await assert.rejects(at.lxc("lxc-copy", "web", "-N", "whole"));
  await assert.rejects(at.lxc("lxc-copy", "web", "-N", "renamed", "-R"));
  assert.equal((await noticed(at)).state, "stopped");
  assert.equal((await at.ok("cat", "web:/root/hand")).stdout, "by hand");
});
