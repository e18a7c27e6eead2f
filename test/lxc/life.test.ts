import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { documentOf } from "../support/cli.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { requireCommands, requireLxc, requireRootfs } from "../support/requirements.ts";
import { rootfsTar } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { booted, type LxcHost, lxcHost } from "./support.ts";

const CLONES = ["web1", "web2", "web3"] as const;

test("lxc: a Debian boots in three clones at once; what one changed is captured, committed, and boots in a clone", async (t) => {
  if (!requireLxc(t) || !requireRootfs(t, "bookworm") || !requireCommands(t, "dpkg-deb", "setcap")) return;
  await using at = await lxcHost();
  await at.ok("import", await rootfsTar("bookworm"), "base");
  await at.ok("create", "base", "web1");
  await at.ok("clone", "web1", "web2", "web3");
  assert.equal(readdirSync(`${at.lxcPath}/web2`).sort().join(), "config,pending,rootfs");

  await Promise.all(CLONES.map((name) => at.lxc("lxc-start", name)));
  for (const name of CLONES) assert.equal(await booted(at, name), "running", name);
  const shared = readlinkSync(`${at.lxcPath}/web1/rootfs`);
  for (const name of CLONES) assert.equal(readlinkSync(`${at.lxcPath}/${name}/rootfs`), shared);
  assert.equal(readdirSync(`${at.store}/exports`).length, 1);
  const exportBefore = await fingerprint(shared);

  const refused = await at.delta0(["clone", "web1", "web4", "-P", at.lxcPath]);
  assert.equal(refused.code, 6);
  assert.match(refused.stderr, /Original container \(web1\) is running/);
  assert.equal((await at.delta0(["commit", "web1", "early"])).code, 6);

  await changeThings(at, "web1");
  await at.attach("web2", "echo only in web2 >/root/mine");
  for (const name of CLONES) await at.lxc("lxc-stop", name, "-t", "20");
  assert.ok(!existsSync(`${at.lxcPath}/web1/work`), "post-stop has captured it");
  assert.ok(existsSync(`${at.lxcPath}/web1/delta0/opt/hello/made`));
  assert.ok(!existsSync(`${shared}/opt/hello`));

  const shown = await at.mounted("web1", (view) => readManifest(view));
  await at.ok("export", "web1", `${at.path}/captured`);
  const captured = await readManifest(`${at.path}/captured`);
  assert.deepEqual(compareEntries(shown, captured), []);

  const status = await at.delta0(["status", "web1", "--json"]);
  assert.equal(status.code, 1);
  const changes = documentOf(status)["changes"] as { path: string; kind: string }[];
  const kinds = new Map(changes.map(({ path, kind }) => [path, kind]));
  assert.equal(kinds.get("opt/hello/made"), "added");
  assert.equal(
    kinds.get("usr/share/doc/base-files/copyright") ?? kinds.get("usr/share/doc/base-files/README"),
    "removed",
  );
  assert.ok(!kinds.has("root/mine"));

  await at.ok("commit", "web1", "with-hello", "-m", "hello");
  assert.equal((await at.delta0(["status", "web1"])).code, 0);
  assert.deepEqual(readdirSync(`${at.lxcPath}/web1/delta0`), []);
  assert.deepEqual(await fingerprint(shared), exportBefore);

  await at.ok("create", "with-hello", "again");
  for (const name of ["again", "web1"]) {
    await at.lxc("lxc-start", name);
    assert.equal(await booted(at, name), "running", name);
    assert.equal(
      await at.attach(name, "cat /opt/hello/made && dpkg -s hello-test | grep Status"),
      "made\nStatus: install ok installed\n",
    );
    await at.lxc("lxc-stop", name, "-t", "20");
  }
  const { stdout } = await at.ok("cat", "web2:/root/mine");
  assert.equal(stdout, "only in web2\n");
});

/** What people do in containers, and what file systems get wrong. */
async function changeThings(at: LxcHost, name: string): Promise<void> {
  const deb = `${at.path}/deb`;
  mkdirSync(`${deb}/DEBIAN`, { recursive: true });
  mkdirSync(`${deb}/opt/hello`, { recursive: true });
  writeFileSync(`${deb}/opt/hello/made`, "made\n");
  const control =
    "Package: hello-test\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: test\n";
  writeFileSync(`${deb}/DEBIAN/control`, control);
  const root = `/proc/${(await at.lxc("lxc-info", name, "-p", "-H")).trim()}/root`;
  await run("dpkg-deb", ["-b", deb, `${at.path}/hello.deb`]);
  await run("cp", [`${at.path}/hello.deb`, `${root}/root/hello.deb`]);
  const script = `set -e
    dpkg -i /root/hello.deb
    rm -rf /usr/share/doc/base-files && mkdir /usr/share/doc/base-files && echo new >/usr/share/doc/base-files/new
    cp /bin/true /usr/local/bin/capable
    ln /usr/local/bin/capable /usr/local/bin/capable-too
    ln /etc/issue /etc/issue-too
    chmod 4711 /usr/bin/perl
    chown 1234:4321 /etc/hostname
    truncate -s 200M /root/sparse && printf end >>/root/sparse
    mknod /dev-null c 1 3 && mkfifo /root/fifo
    rm /etc/motd && mkdir /etc/motd && mv /etc/issue.net /etc/motd/moved
    ln -s nowhere /root/link`;
  await at.attach(name, script);
  await run("setcap", ["cap_net_raw+ep", `${root}/usr/local/bin/capable`]);
  await run("setfattr", ["-n", "user.note", "-v", "kept", `${root}/root/sparse`]);
  await at.attach(name, "sync");
}

/** Inode, size and times of all, and what it holds: nothing has even been touched. */
async function fingerprint(directory: string): Promise<unknown> {
  const inodes = await run("find", [directory, "-printf", "%P %i %n %s %m %U %G %T@ %C@\\n"]);
  return { inodes, manifest: await readManifest(directory) };
}
