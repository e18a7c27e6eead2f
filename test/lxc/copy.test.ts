import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { compareManifests } from "../support/compare.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { busyboxRootfs, type LxcHost, lxcHost, SLEEP } from "./support.ts";

async function hostWithWeb(): Promise<LxcHost> {
  const at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  writeFileSync(`${rootfs}/etc/hostname`, "base\n");
  await at.ok("import", rootfs, "base");
  await at.ok("create", "base", "web", ...SLEEP, "--set", "lxc.net.0.type=none", "--set", "lxc.start.auto=1");
  await at.lxc("lxc-start", "web");
  await at.attach(
    "web",
    "echo one >/root/file; ln /root/file /root/twin; rm /bin/touch; busybox mkfifo /srv; busybox chown 33:44 /root/file",
  );
  await at.lxc("lxc-stop", "web", "-k");
  await run("setfattr", ["-n", "user.note", "-v", "kept", `${at.lxcPath}/web/delta0/root/file`]);
  mkdirSync(`${at.lxcPath}/web/work`);
  return at;
}

const configOf = (at: LxcHost, name: string): string => readFileSync(`${at.lxcPath}/${name}/config`, "utf8");

test("lxc: a copy is a container by itself, with all of the original's files: no store, no delta0, on another LXC path too", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "setfattr")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "--copy", "--identity", "keep", "web", "plain");
  assert.deepEqual(await at.mounted("web", (view) => compareManifests(view, `${at.lxcPath}/plain/rootfs`)), []);
  const config = configOf(at, "plain");
  assert.match(config, new RegExp(`^lxc.rootfs.path = dir:${at.lxcPath}/plain/rootfs$`, "m"));
  assert.doesNotMatch(config, new RegExp(`${at.store}|lxc.start.auto`));
  assert.deepEqual(readdirSync(`${at.lxcPath}/plain`).sort(), ["config", "rootfs"]);

  const told = await at.ok("clone", "--copy", "web", "own-1", "own-2");
  assert.match(told.stderr, /lxc-destroy/);
  for (const name of ["own-1", "own-2"]) {
    assert.equal(readFileSync(`${at.lxcPath}/${name}/rootfs/etc/hostname`, "utf8"), `${name}\n`);
    assert.match(configOf(at, name), new RegExp(`^lxc.uts.name = ${name}$`, "m"));
  }
  const { items } = documentOf(await at.ok("ls", "--json", "--containers")) as { items: { name: string }[] };
  assert.deepEqual(
    items.map(({ name }) => name),
    ["web"],
  );
  await at.ok("config", "lxc.path", at.lxcPath);
  const refused = await at.delta0(["rm", "plain"]);
  assert.equal(refused.code, 4);
  assert.match(refused.stderr, /lxc-destroy -P .* -n plain/);

  await run("umount", [`${at.store}/exports`]);
  renameSync(at.store, `${at.path}/gone`);
  const other = `${at.path}/other`;
  mkdirSync(other);
  await run("cp", ["-a", `${at.lxcPath}/plain`, other]);
  await run("sed", ["-i", `s|${at.lxcPath}/|${other}/|`, `${other}/plain/config`]);
  const elsewhere = ["-P", other, "-n", "plain"];
  await run("lxc-start", elsewhere);
  await at.lxc("lxc-start", "own-1");
  try {
    assert.equal(await run("lxc-attach", [...elsewhere, "--", "/bin/cat", "/root/twin"]), "one\n");
    assert.equal(await at.attach("own-1", "ls /bin/touch 2>/dev/null; cat /root/file; echo two >/root/file"), "one\n");
  } finally {
    await run("lxc-stop", [...elsewhere, "-k"]);
    await at.lxc("lxc-stop", "own-1", "-k");
  }
  assert.equal(readFileSync(`${at.lxcPath}/own-1/rootfs/root/twin`, "utf8"), "two\n");
  await at.lxc("lxc-destroy", "own-1");
  assert.ok(!existsSync(`${at.lxcPath}/own-1`));
  renameSync(`${at.path}/gone`, at.store);
});

test("lxc: a copy has the ids of its id map on disk, and its overlay's options not in its config", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "setfattr")) return;
  await using at = await hostWithWeb();
  await at.ok("clone", "--copy", "web", "mapped", "--idmap", "b:0:100000:65536");
  const { uid, gid } = statSync(`${at.lxcPath}/mapped/rootfs/root/file`);
  assert.deepEqual([uid, gid], [100_033, 100_044]);
  assert.match(configOf(at, "mapped"), /^lxc.idmap = u 0 100000 65536$/m);
  assert.doesNotMatch(configOf(at, "mapped"), /userxattr/);
  const { mode, gid: group } = statSync(`${at.lxcPath}/mapped`);
  assert.deepEqual([mode & 0o777, group], [0o710, 100_000]);
});

test("lxc: a copy of a snapshot, of a layer, and of one that runs; what has no record cannot have labels", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "setfattr")) return;
  await using at = await hostWithWeb();
  await at.ok("snapshot", "web");
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo two >/root/file");
  assert.equal((await at.delta0(["clone", "--copy", "web", "now", "-P", at.lxcPath])).code, 6);
  await at.ok("clone", "--copy", "-a", "web", "now");
  await at.ok("clone", "--copy", "web@snap0", "then");
  await at.ok("clone", "--copy", "base", "layer", ...SLEEP);
  const read = (name: string): string => readFileSync(`${at.lxcPath}/${name}/rootfs/root/file`, "utf8");
  assert.deepEqual([read("now"), read("then")], ["two\n", "one\n"]);
  await at.lxc("lxc-start", "layer");
  await at.lxc("lxc-stop", "layer", "-k");
  for (const option of [["-e"], ["--label", "a=b"], ["--expires", "1h"], ["--no-lxc"], ["-s"]])
    assert.equal((await at.delta0(["clone", "--copy", "base", "none", ...option])).code, 2, option.join(" "));
  assert.equal((await at.delta0(["clone", "--copy", "base", "then", "-P", at.lxcPath])).code, 5);
});
