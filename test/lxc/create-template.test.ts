import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { lxcHost, SLEEP } from "./support.ts";

test("lxc: a container of what a template of lxc-create makes starts, with the template's config over our defaults", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  const before = ownTemporaries();
  await at.ok("create", "-n", "box", "-t", "busybox");
  assert.deepEqual(ownTemporaries(), before);
  const config = readFileSync(`${at.lxcPath}/box/config`, "utf8");
  assert.match(config, /^lxc.signal.halt = SIGUSR1$/m);
  assert.match(config, new RegExp(`^lxc.rootfs.path = overlay:${at.store}/exports/.*:${at.lxcPath}/box/delta0$`, "m"));
  assert.match(config, /^lxc.uts.name = "?box"?$/m);
  await at.lxc("lxc-start", "box");
  assert.match(await at.attach("box", "busybox hostname"), /^box$/m);
  await at.lxc("lxc-stop", "box", "-t", "10");
  await at.ok("clone", "box", "twin");
});

test("lxc: a template gets its arguments; what it mounts and forgets is gone; one that fails leaves nothing, and says why", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox", "mount")) return;
  await using at = await lxcHost();
  const script = `${at.path}/template`;
  const precious = `${at.path}/precious`;
  writeFileSync(precious, "");
  writeFileSync(
    script,
    `#!/bin/sh -e
for arg; do case $arg in --rootfs=*) rootfs=\${arg#*=};; --path=*) path=\${arg#*=};; --name=*) name=\${arg#*=};; esac; done
mkdir -p $rootfs/bin $rootfs/etc $rootfs/mnt $rootfs/dev $rootfs/proc $rootfs/sys
cp /usr/bin/busybox $rootfs/bin/busybox; ln -s busybox $rootfs/bin/sleep
echo "$@" | sed "s|$path|PATH|g" >$rootfs/etc/args
mount --bind ${at.path} $rootfs/mnt
echo "lxc.mount.entry = $path/data data none bind 0 0" >>$path/config
case "$*" in *--fail*) echo "no mirror" >&2; exit 3;; esac
`,
  );
  chmodSync(script, 0o755);
  const before = ownTemporaries();
  const failed = await at.delta0(["create", "web", "--template", script, "-P", at.lxcPath, "--", "--fail"]);
  assert.equal(failed.code, 69);
  assert.match(failed.stderr, /ended with 3: no mirror/);
  assert.deepEqual(readdirSync(at.lxcPath), []);
  assert.ok(existsSync(precious));
  const made = await at.delta0(["create", "web", "-t", script, "-P", at.lxcPath, ...SLEEP, "--", "--release", "a b"]);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /left out of its config.*lxc.mount.entry/);
  assert.equal(
    (await at.ok("cat", "web:/etc/args")).stdout,
    "--path=PATH --name=web --rootfs=PATH/rootfs --release a b\n",
  );
  assert.deepEqual((await at.delta0(["find", "web:/mnt"])).stdout.trim().split("\n").length, 1);
  assert.deepEqual(ownTemporaries(), before);
  await at.lxc("lxc-start", "web");
  await at.lxc("lxc-stop", "web", "-k");

  for (const [args, code] of [
    [["create", "x", "-t", "nothing"], 4],
    [["create", "base", "x", "-t", "busybox"], 2],
    [["create", "x"], 2],
    [["create", "base", "x", "--", "arg"], 2],
    [["create", "-n", "web", "-t", "busybox", "-P", at.lxcPath], 5],
  ] as const)
    assert.equal((await at.delta0([...args])).code, code, args.join(" "));
});

function ownTemporaries(): string[] {
  return readdirSync(tmpdir()).filter((name) => /^delta0-[A-Za-z0-9]{6}$/.test(name));
}
