import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Store, StorePaths } from "../../src/index.ts";
import { DELTA0, documentOf } from "../support/cli.ts";
import { readManifest } from "../support/compare.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

/** A container "web" that has changed something, and is captured. */
async function hostWithWeb(): Promise<LxcHost> {
  const at = await lxcHost();
  await busyboxRootfs(`${at.path}/rootfs`);
  await at.ok("import", `${at.path}/rootfs`, "base");
  await at.ok("create", "base", "web", ...SLEEP);
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo one >/root/file && rm /bin/touch");
  await at.lxc("lxc-stop", "web", "-k");
  return at;
}

async function states(at: LxcHost): Promise<Map<string, string>> {
  const { items } = documentOf(await at.ok("ls", "--json")) as { items: { name: string; state: string }[] };
  return new Map(items.map(({ name, state }) => [name, state]));
}

test("lxc: LXC's own destroy, copies, snapshots and restoring leave exports and the store alone", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "rsync")) return;
  await using at = await hostWithWeb();
  const shared = readlinkSync(`${at.lxcPath}/web/rootfs`);
  const look = async (): Promise<unknown> => [
    await readManifest(shared),
    await run("find", [shared, "-printf", "%P %i %C@\n"]),
  ];
  const before = await look();

  await at.lxc("lxc-copy", "web", "-N", "copy", "-s");
  await at.lxc("lxc-start", "copy");
  assert.equal(await at.attach("copy", "cat /root/file"), "one\n");
  await at.attach("copy", "rm -rf /root /etc");
  await at.lxc("lxc-stop", "copy", "-k");
  assert.equal((await states(at)).get("copy"), "foreign");
  const kept = await at.delta0(["unexport"]);
  assert.equal(kept.code, 0);
  assert.deepEqual(await look(), before);

  await at.lxc("lxc-copy", "web", "-e", "-N", "fleeting");
  assert.equal(await at.attach("fleeting", "cat /root/file"), "one\n");
  await at.lxc("lxc-stop", "fleeting", "-k");
  assert.ok(!existsSync(`${at.lxcPath}/fleeting`));

  // LXC itself restores no container that has clones of its making.
  await at.lxc("lxc-destroy", "copy");
  await at.lxc("lxc-snapshot", "web");
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo two >/root/file");
  await at.lxc("lxc-stop", "web", "-k");
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "two\n");
  await at.lxc("lxc-snapshot", "web", "-r", "snap0");
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "one\n");
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo three >/root/file");
  await at.lxc("lxc-stop", "web", "-k");
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "three\n");
  await at.ok("commit", "web", "three");
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /root/file; ls /bin/touch 2>/dev/null || echo gone"), "three\ngone\n");
  await at.lxc("lxc-stop", "web", "-k");

  await at.lxc("lxc-destroy", "web", "-s");
  assert.equal((await states(at)).get("web"), "missing");
  assert.deepEqual(await look(), before);
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "three\n");
  await at.ok("rm", "web");
  assert.deepEqual([...(await states(at)).keys()].sort(), ["base", "three"]);
});

test("lxc: a container whose export exists starts without Node, and while an import holds the store", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "base", "web2", ...SLEEP);

  const importing = spawn(DELTA0[0] ?? "", [...DELTA0.slice(1), "import", "-", "long"], {
    env: { ...process.env, DELTA0_STORE: at.store },
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(importing, "close");
  try {
    while (!existsSync(new StorePaths(at.store).socket)) await sleep(50);
    for (const name of ["web", "web2"]) await startAndStop(at, name, "beside");
    assert.equal(importing.exitCode, null);
    assert.ok(!existsSync(`${at.lxcPath}/web/delta0.log`), "the hooks had it captured by the import's process");
  } finally {
    importing.stdin.destroy();
    await ended;
  }
  for (const name of ["web", "web2"]) assert.equal((await at.ok("cat", `${name}:/root/file`)).stdout, "beside\n");
  {
    await using _held = await Store.open(at.store, { command: "a program that does nothing for others" });
    await startAndStop(at, "web", "while");
    assert.match(readFileSync(`${at.lxcPath}/web/delta0.log`, "utf8"), /not captured/);
  }
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "while\n");

  // The hooks name the Node and the delta0 that wrote them: now both are gone.
  for (const hook of ["pre-start", "post-stop"]) {
    const script = `${at.store}/lxc/${hook}`;
    writeFileSync(script, readFileSync(script, "utf8").replaceAll(process.execPath, "/gone/node"));
  }
  await at.lxc("lxc-start", "web");
  assert.equal(await at.state("web"), "RUNNING");
  await at.attach("web", "echo without >/root/file");
  await at.lxc("lxc-stop", "web", "-k");
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "without\n");
});

async function startAndStop(at: LxcHost, name: string, text: string): Promise<void> {
  await run("env", ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "lxc-start", "-P", at.lxcPath, "-n", name]);
  assert.equal(await at.state(name), "RUNNING");
  await at.attach(name, `echo ${text} >/root/file`);
  await at.lxc("lxc-stop", name, "-k");
}

test("lxc: a monitor that is killed runs no hook: the next command captures", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo killed >/root/file");
  const init = (await at.lxc("lxc-info", "web", "-p", "-H")).trim();
  const monitor = (await run("ps", ["-o", "ppid=", "-p", init])).trim();
  await run("kill", ["-9", monitor, init]);
  while ((await at.state("web")) !== "STOPPED") await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(existsSync(`${at.lxcPath}/web/work`));
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "killed\n");
  assert.ok(!existsSync(`${at.lxcPath}/web/work`));
});

test("lxc: a delta that is missing though it held changes stops the start, and nothing else is lost", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  renameSync(`${at.lxcPath}/web/delta0`, `${at.lxcPath}/web/away`);
  await assert.rejects(at.lxc("lxc-start", "web"));
  assert.ok(!existsSync(`${at.lxcPath}/web/delta0`));
  assert.match(readFileSync(`${at.lxcPath}/web/delta0.log`, "utf8"), /delta0 is missing/);
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "one\n");
  renameSync(`${at.lxcPath}/web/away`, `${at.lxcPath}/web/delta0`);
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /root/file"), "one\n");
});

test("lxc: a clone of a changed container costs one record and four inodes until its start, which brings the changes", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "web", "twin");
  assert.equal((await run("find", [`${at.lxcPath}/twin`])).trim().split("\n").length, 4);
  assert.ok(existsSync(`${at.lxcPath}/twin/pending`));
  await at.lxc("lxc-start", "twin");
  assert.equal(await at.attach("twin", "cat /root/file; ls /bin/touch 2>/dev/null || echo gone"), "one\ngone\n");
  await at.attach("twin", "echo twin >/root/file");
  await at.lxc("lxc-stop", "twin", "-k");
  assert.equal((await at.ok("cat", "twin:/root/file")).stdout, "twin\n");
  assert.equal((await at.ok("cat", "web:/root/file")).stdout, "one\n");

  await at.ok("clone", "twin", "grandchild");
  await at.ok("rename", "grandchild", "renamed");
  await at.ok("rm", "web", "base", "twin");
  await at.lxc("lxc-start", "renamed");
  assert.equal(await at.attach("renamed", "cat /root/file"), "twin\n");
  await at.lxc("lxc-stop", "renamed", "-k");
});

test("lxc: after a reboot of the host the first start mounts the exports, and a changed export is seen", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await hostWithWeb();
  await run("umount", [`${at.store}/exports`]);
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /root/file"), "one\n");
  await at.lxc("lxc-stop", "web", "-k");
  const [shared = ""] = readlinkSync(`${at.lxcPath}/web/rootfs`).split("\n");
  assert.throws(() => mkdirSync(`${shared}/new`), { code: "EROFS" });
  const secret = shared.replace("/exports/", "/private/exports/");
  assert.throws(() => mkdirSync(`${secret}/new`), { code: "EPERM" });
  writeFileSync(`${secret}/etc/changed`, "from outside");
  const { items } = documentOf(await at.ok("exports", "--json")) as { items: { changed: string[] }[] };
  assert.deepEqual(
    items.map(({ changed }) => changed),
    [["etc", "etc/changed"]],
  );
});
