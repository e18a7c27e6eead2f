import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { documentOf, failureOf } from "../support/cli.ts";
import { requireCommands, requireLxc } from "../support/requirements.ts";
import { busyboxRootfs, lxcHost, SLEEP } from "./support.ts";

test("lxc: a container that was rebased starts on the new layer with its own changes; refused, it is as it was", async (t) => {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return;
  await using at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  mkdirSync(`${rootfs}/srv`);
  for (const name of ["both", "kept", "gone"]) writeFileSync(`${rootfs}/etc/${name}`, `${name} as in base\n`);
  await at.ok("import", rootfs, "base");
  appendFileSync(`${rootfs}/etc/both`, "newer\n");
  writeFileSync(`${rootfs}/etc/new`, "new\n");
  rmSync(`${rootfs}/etc/gone`);
  await at.ok("import", rootfs, "newer");

  await at.ok("create", "base", "web", ...SLEEP);
  const look = "cat /etc/both /etc/kept; ls /etc/new /etc/gone /srv/page /bin/touch 2>/dev/null; true";
  const told = async (): Promise<string> => {
    await at.lxc("lxc-start", "web");
    const said = await at.attach("web", look);
    await at.lxc("lxc-stop", "web", "-k");
    return said;
  };
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo web >/etc/both; echo web >/etc/kept; echo page >/srv/page; rm /bin/touch");
  assert.equal((await at.delta0(["rebase", "web", "--onto", "newer"])).code, 6, "it runs");
  await at.lxc("lxc-stop", "web", "-k");

  const refused = await at.delta0(["rebase", "web", "--onto", "newer", "--json"]);
  assert.equal(refused.code, 6);
  assert.equal(failureOf(refused)["code"], "REFUSED");
  const conflicts = documentOf(refused)["conflicts"] as { path: string; differs: string[] }[];
  assert.deepEqual(
    conflicts.map(({ path, differs }) => [path, differs]),
    [["etc/both", ["content"]]],
  );
  assert.equal(await told(), "web\nweb\n/etc/gone\n/srv/page\n");
  await at.ok("rebase", "web", "--onto", "newer", "--theirs");
  const rebased = "both as in base\nnewer\nweb\n/etc/new\n/srv/page\n";
  assert.equal(await told(), rebased);
  await at.ok("rm", "base");
  assert.equal(await told(), rebased, "it needs the old layer no more");
});
