import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { compareManifests, readManifest } from "../support/compare.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireLoop, requireRoot, requireRootfs } from "../support/requirements.ts";
import { unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

test("temporary directory: goes with read-only bind mounts and immutable files below it", async (t) => {
  if (!requireRoot(t)) return;
  let path: string;
  {
    await using directory = await temporaryDirectory();
    path = directory.path;
    for (const name of ["exports", "private", "private/export"]) await mkdir(join(path, name));
    await writeFile(join(path, "private/export/file"), "");
    await run("mount", ["--bind", join(path, "private"), join(path, "exports")]);
    await run("mount", ["-o", "remount,ro,bind", join(path, "exports")]);
    await run("chattr", ["+i", join(path, "private/export")]);
  }
  assert.ok(!existsSync(path));
});

test("manifest: tells devices, owners, capabilities, ACLs and xattrs of symlinks apart", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  const [a, b] = [join(directory.path, "a"), join(directory.path, "b")];
  await mkdir(a);
  await run("mknod", [join(a, "device"), "c", "1", "3"]);
  for (const name of ["acl", "capable", "owned"]) await writeFile(join(a, name), "");
  await run("ln", ["-s", "nowhere", join(a, "symlink")]);
  await run("cp", ["-a", a, b]);
  await run("setfacl", ["-m", "u:1000:rwx", join(b, "acl")]);
  await run("setcap", ["cap_net_raw+ep", join(b, "capable")]);
  await run("chown", ["1:2", join(b, "owned")]);
  await run("setfattr", ["-h", "-n", "trusted.test", "-v", "x", join(b, "symlink")]);
  await run("rm", [join(b, "device")]);
  await run("mknod", [join(b, "device"), "c", "1", "5"]);
  const found = await compareManifests(a, b, { ignore: ["mtime_ns"] });
  assert.deepEqual(
    found.map(({ path, what }) => `${path}: ${what}`),
    ["acl: mode", "acl: xattrs", "capable: xattrs", "device: rdev", "owned: uid", "owned: gid", "symlink: xattrs"],
  );
});

for (const kind of ["ext4", "xfs", "btrfs"] as const) {
  test(`loop filesystem: ${kind} is mounted, takes files and is gone after its scope`, async (t) => {
    if (!requireLoop(t, kind)) return;
    let path: string;
    {
      await using filesystem = await loopFilesystem(kind, 16);
      path = filesystem.path;
      await writeFile(join(path, "file"), "content");
      assert.equal((await run("stat", ["-f", "-c", "%T", path])).trim(), kind === "ext4" ? "ext2/ext3" : kind);
    }
    assert.ok(!existsSync(path));
  });
}

test("root filesystem: bookworm is unpacked with its devices, links and file modes", async (t) => {
  if (!requireRootfs(t, "bookworm")) return;
  const entries = await readManifest(await unpackedRootfs("bookworm"), { hash: false });
  assert.ok(entries.size > 5000);
  assert.equal(entries.get("sbin")?.type, "symlink");
  assert.equal(entries.get("usr/bin/passwd")?.mode, 0o4755);
  assert.ok(entries.has("usr/lib/systemd/systemd"));
});
