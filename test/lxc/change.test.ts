import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Store } from "../../src/index.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";
import { busyboxRootfs, lxcHost, SLEEP } from "./support.ts";
import type { LxcHost } from "./support.ts";

const UNIT = `[Unit]
Description=Put there by delta0
[Service]
Type=oneshot
ExecStart=/usr/local/bin/say-hello
[Install]
WantedBy=multi-user.target
`;

test("lxc change: what is changed in a stopped container is so when it boots, and what it changes is in the store", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm")) return;
  await using at = await lxcHost();
  await at.ok("create", await rootfsTar("bookworm"), "web", "--identity", "keep");
  mkdirSync(`${at.path}/put`);
  writeFileSync(`${at.path}/put/say-hello`, "#!/bin/sh\nid -u >/run/hello && cat /etc/hostname >>/run/hello\n");
  writeFileSync(`${at.path}/put/hello.service`, UNIT);
  await at.ok("put", `${at.path}/put/say-hello`, "web:/usr/local/bin");
  await at.ok("chmod", "a+x", "web:/usr/local/bin/say-hello");
  await at.ok("put", `${at.path}/put/hello.service`, "web:/etc/systemd/system");
  const wants = "/etc/systemd/system/multi-user.target.wants";
  await at.ok("mkdir", "-p", `web:${wants}`);
  await at.ok("ln", "-s", "../hello.service", `web:${wants}`);
  assert.equal((await at.delta0(["put", "-", "web:/etc/hostname"], { input: "changed\n" })).code, 0);
  await at.ok("mv", "web:/usr/share/doc", "web:/srv/documents");
  await at.ok("unlink", "web:/etc/motd");
  await at.ok("unlink", "-r", "web:/usr/share/man");
  await at.ok("chown", "-R", "www-data:adm", "web:/var/mail");
  await at.ok("xattr", "set", "user.note", "kept", "web:/etc/fstab");

  await at.lxc("lxc-start", "web");
  const inside = await at.attach(
    "web",
    `for i in $(seq 100); do [ -s /run/hello ] && break; sleep 0.3; done
     cat /run/hello; ls /usr/share/doc /etc/motd 2>&1 | wc -l; ls -d /srv/documents/base-files /usr/share/man 2>/dev/null
     stat -c %U:%G /var/mail`,
  );
  assert.equal(inside, "0\nchanged\n2\n/srv/documents/base-files\nwww-data:adm\n");
  const refused = await at.delta0(["mkdir", "web:/x"]);
  assert.equal(refused.code, 6);
  assert.match(refused.stderr, /Original container \(web\) is running/);
  assert.equal((await at.delta0(["put", `${at.path}/put`, "web:/"])).code, 6);
  await at.attach(
    "web",
    "echo inside >>/etc/hostname && mv /srv/documents /usr/share/doc && rm /usr/local/bin/say-hello",
  );
  await at.lxc("lxc-stop", "web", "-t", "20");

  const shown = await at.mounted("web", (view) => readManifest(view));
  await at.ok("export", "web", `${at.path}/whole`);
  assert.deepEqual(compareEntries(shown, await readManifest(`${at.path}/whole`)), []);

  assert.equal((await at.ok("cat", "web:/etc/hostname")).stdout, "changed\ninside\n");
  assert.equal((await at.delta0(["stat", "web:/usr/local/bin/say-hello"])).code, 4);
  await at.ok("mv", "web:/usr/share/doc/base-files", "web:/root");
  await at.lxc("lxc-start", "web");
  assert.equal(
    await at.attach("web", "tail -n1 /etc/hostname; ls -d /root/base-files /usr/share/doc"),
    "inside\n/root/base-files\n/usr/share/doc\n",
  );
  await at.lxc("lxc-stop", "web", "-k");
});

test("lxc change: what a container left that was not captured is captured before it is changed", async (t) => {
  await using at = await openBusybox(t);
  if (at === undefined) return;
  await at.lxc("lxc-start", "web");
  await at.attach("web", "echo inside >/etc/left && rm /tmp/there");
  {
    // Its hook waits for the store in vain.
    await using _store = await Store.open(at.store, { command: "a test" });
    await at.lxc("lxc-stop", "web", "-k");
  }
  assert.ok(existsSync(`${at.lxcPath}/web/work`), "nobody has captured it");
  await at.ok("ln", "web:/etc/left", "web:/tmp/left");
  assert.equal((await at.ok("find", "web:/tmp")).stdout, "/tmp\n/tmp/left\n");
  await at.lxc("lxc-start", "web");
  assert.equal(await at.attach("web", "cat /tmp/left; ls /tmp"), "inside\nleft\n");
});

test("lxc change: what a view has changed is there at the next start, though its process was killed", async (t) => {
  await using at = await openBusybox(t);
  if (at === undefined) return;
  const program = fileURLToPath(new URL("view-worker.ts", import.meta.url));
  const worker = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), program, at.store, "web"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(worker.stdout, "data");
  worker.kill("SIGKILL");
  await once(worker, "exit");
  await at.lxc("lxc-start", "web");
  assert.equal(
    await at.attach("web", "cat /etc/by-view; ls /etc; cat /old-etc/hosts"),
    "written\nby-view\n127.0.0.1\n",
  );
  await at.lxc("lxc-stop", "web", "-k");
  assert.equal((await at.ok("cat", "web:/etc/by-view")).stdout, "written\n");
});

/** With a container `web` that starts, or undefined where there are none. */
async function openBusybox(t: Parameters<typeof requireLxc>[0]): Promise<LxcHost | undefined> {
  if (!requireLxc(t) || !requireCommands(t, "busybox")) return undefined;
  const at = await lxcHost();
  const rootfs = await busyboxRootfs(`${at.path}/rootfs`);
  writeFileSync(`${rootfs}/etc/hosts`, "127.0.0.1\n");
  writeFileSync(`${rootfs}/tmp/there`, "");
  await at.ok("create", rootfs, "web", ...SLEEP);
  return at;
}
