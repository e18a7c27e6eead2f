import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { documentOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";
import { traces } from "./traces.ts";

async function hostWithWeb(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("create", "base", "web", ...SLEEP);
  return at;
}

/** Starts it, runs a script in it, and stops it. */
async function change(at: LxcHost, name: string, script: string): Promise<void> {
  await at.lxc("lxc-start", name);
  await at.attach(name, script);
  await at.lxc("lxc-stop", name, "-k");
}

async function told(at: LxcHost, name: string, script: string): Promise<string> {
  await at.lxc("lxc-start", name);
  const said = await at.attach(name, script);
  await at.lxc("lxc-stop", name, "-k");
  return said;
}

async function names(at: LxcHost): Promise<string[]> {
  const { items } = documentOf(await at.ok("ls", "--json", "--containers")) as { items: { name: string }[] };
  return items.map(({ name }) => name);
}

/** As by the kernel's OOM killer: no hook runs. */
async function killMonitor(at: LxcHost, name: string): Promise<void> {
  const init = (await at.lxc("lxc-info", name, "-p", "-H")).trim();
  const monitor = (await run("ps", ["-o", "ppid=", "-p", init])).trim();
  await run("kill", ["-9", monitor, init]);
  await until(async () => (await at.state(name)) === "STOPPED");
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await sleep(50);
  }
  assert.fail("it did not come to that in 10 s");
}

test("lxc: a container goes back to each of its snapshots and its base, and starts as it was then", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  const look = "cat /root/file 2>/dev/null; ls /bin/touch 2>/dev/null; ls /srv 2>/dev/null; true";
  await change(at, "web", "echo one >/root/file; mkdir /srv; echo a >/srv/a");
  await at.ok("snapshot", "web", "-m", "first");
  await at.lxc("lxc-start", "web");
  for (const args of [
    ["snapshot", "web"],
    ["rollback", "web", "snap0"],
    ["reset", "web"],
  ]) {
    const refused = await at.delta0(args);
    assert.equal(refused.code, 6, args.join(" "));
    assert.match(refused.stderr, /\(web\) is running/);
  }
  await at.attach("web", "echo two >/root/file; rm /bin/touch; rm -r /srv; mkdir /srv; echo b >/srv/b");
  // Not captured by its hook: the snapshot does that.
  await killMonitor(at, "web");
  await at.ok("snapshot", "web");
  await change(at, "web", "echo three >/root/file");
  const missing = await at.delta0(["rollback", "web", "snap9"]);
  assert.equal(missing.code, 4);
  assert.match(missing.stderr, /web has no snapshot "snap9" \(has: snap0, snap1\); nothing was changed/);
  assert.equal(await told(at, "web", look), "three\nb\n");

  await at.ok("rollback", "web", "snap0");
  assert.equal(await at.mounted("web", (view) => run("cat", [`${view}/root/file`])), "one\n", "ready before its start");
  assert.equal(await told(at, "web", look), "one\n/bin/touch\na\n");
  await at.ok("rollback", "web", "snap1");
  assert.equal(await told(at, "web", look), "two\nb\n");
  await at.ok("rename", "web", "www");
  await at.ok("snapshot", "www", "--restore", "snap0");
  assert.equal(await told(at, "www", look), "one\n/bin/touch\na\n");
  await at.ok("reset", "www");
  assert.equal(await told(at, "www", look), "/bin/touch\n");

  await at.ok("clone", "www@snap1", "twin");
  await at.ok("rm", "www");
  assert.equal(await told(at, "twin", look), "two\nb\n");
  assert.equal(readdirSync(`${at.store}/exports`).length, 1, "all of them stand on one export");
});

test("lxc: an ephemeral container is gone once it has stopped, however that came, and not when it reboots", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "-e", "web", "fleeting-1", "fleeting-2", "crashed", "unstarted");
  for (const name of ["fleeting-1", "fleeting-2", "crashed"]) {
    await at.lxc("lxc-start", name);
    await at.attach(name, "echo one >/root/file");
  }
  assert.deepEqual(await names(at), ["crashed", "fleeting-1", "fleeting-2", "unstarted", "web"]);

  await at.lxc("lxc-stop", "fleeting-1", "-k");
  assert.ok(!existsSync(`${at.lxcPath}/fleeting-1`), "by its hook, before lxc-stop returns");

  const pid = async (): Promise<string> => (await at.lxc("lxc-info", "fleeting-2", "-p", "-H").catch(() => "")).trim();
  const first = await pid();
  // The reboot kills whoever asked for it, too.
  await at.attach("fleeting-2", "busybox reboot -f").catch(() => undefined);
  await until(async () => !["", first].includes(await pid()));
  assert.equal(await at.attach("fleeting-2", "cat /root/file"), "one\n");
  await at.attach("fleeting-2", "busybox poweroff -f").catch(() => undefined);
  await until(() => !existsSync(`${at.lxcPath}/fleeting-2`));

  await killMonitor(at, "crashed");
  assert.ok(existsSync(`${at.lxcPath}/crashed/delta0/root/file`));
  await at.ok("clone", "-e", "web", "crashed");
  assert.ok(!existsSync(`${at.lxcPath}/crashed/work`), "another one by its name");
  await at.lxc("lxc-start", "crashed");
  await killMonitor(at, "crashed");
  assert.deepEqual(await names(at), ["unstarted", "web"]);
  assert.deepEqual(readdirSync(at.lxcPath).sort(), ["unstarted", "web"]);
  assert.ok(existsSync(`${at.lxcPath}/web/config`));
  await at.ok("rm", "unstarted");
  // Of one whose monitor was killed LXC leaves its cgroups.
  assert.deepEqual(await traces(at.lxcPath, "fleeting-"), []);
});

test("lxc: an ephemeral container that stops while the store is held is gone for the next who looks; LXC can destroy one", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "flock")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "-e", "web", "job", "destroyed");
  await at.lxc("lxc-start", "job");
  await run("flock", [`${at.store}/lock`, "lxc-stop", "-P", at.lxcPath, "-n", "job", "-k"]);
  assert.match(readFileSync(`${at.lxcPath}/job/delta0.log`, "utf8"), /the next command will do it/);
  await at.lxc("lxc-destroy", "destroyed");
  const items = documentOf(await at.ok("ls", "--json", "--containers"))["items"] as { name: string; state: string }[];
  assert.deepEqual(
    items.map(({ name, state }) => `${name} ${state}`),
    ["destroyed missing", "web stopped"],
  );
  assert.deepEqual(readdirSync(at.lxcPath), ["web"]);
  await at.ok("rm", "destroyed");
});

test("lxc: rm takes what has a label or is over its time, and stops with -f what of it runs", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "web", "--count", "3", "--prefix", "job000", "--label", "run=7", "--expires", "0s");
  await at.ok("clone", "web", "other", "--label", "run=8", "--expires", "1h");
  for (const name of ["job0001", "job0002"]) await at.lxc("lxc-start", name);
  const refused = await at.delta0(["rm", "--label", "run=7"]);
  assert.equal(refused.code, 6);
  assert.deepEqual(await names(at), ["job0001", "job0002", "job0003", "other", "web"]);
  const { stdout } = await at.ok("rm", "-f", "--label", "run=7", "--expired", "--dry-run");
  assert.equal(stdout, "would remove job0001\nwould remove job0002\nwould remove job0003\n");
  assert.equal(await at.state("job0001"), "RUNNING");
  const removed = documentOf(await at.ok("rm", "-f", "--label", "run=7", "--expired", "--json"))["removed"];
  assert.deepEqual(removed, ["job0001", "job0002", "job0003"]);
  assert.deepEqual(await names(at), ["other", "web"]);
  assert.deepEqual(readdirSync(at.lxcPath).sort(), ["other", "web"]);
});
