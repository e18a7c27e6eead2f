import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setImmutable } from "../../src/sys/attributes.ts";
import {
  bindMount,
  bindReadOnly,
  isMountPoint,
  mountedOverlays,
  optionValue,
  readMounts,
  unmount,
  upperIsMounted,
} from "../../src/sys/mounts.ts";
import { rootOnly, temporaryDirectory } from "./support.ts";

test("mounts: lines are parsed, with optional fields or none, and escapes decoded", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/mountinfo`;
  writeFileSync(
    file,
    [
      "22 1 254:0 / / rw,relatime - ext4 /dev/root rw,errors=continue",
      "36 35 98:0 /mnt\\0401 /mnt\\011x\\134y\\303\\274 rw,noatime master:1 shared:2 - ext3 /dev/a\\040b rw",
      "64 42 0:38 / /m rw - overlay overlay rw,lowerdir=/l,upperdir=/a\\134\\054b\\040c,workdir=/w",
      "",
    ].join("\n"),
  );
  const [first, second, third] = readMounts(file);
  assert.deepEqual(first, {
    mountPoint: "/",
    type: "ext4",
    root: "/",
    source: "/dev/root",
    options: ["rw", "relatime"],
    superOptions: ["rw", "errors=continue"],
  });
  assert.deepEqual(second, {
    mountPoint: "/mnt\tx\\yü",
    type: "ext3",
    root: "/mnt 1",
    source: "/dev/a b",
    options: ["rw", "noatime"],
    superOptions: ["rw"],
  });
  assert.equal(optionValue(third!.superOptions, "upperdir"), "/a\\,b c");
  assert.equal(optionValue(third!.superOptions, "workdir"), "/w");
  assert.equal(optionValue(third!.superOptions, "rw"), undefined);
});

test("mounts: this process's own are read, / and /proc among them", () => {
  const points = readMounts().map((mount) => mount.mountPoint);
  assert.ok(points.includes("/") && points.includes("/proc"));
  assert.ok(isMountPoint("/proc"));
  assert.ok(!isMountPoint("/proc/self"));
  assert.ok(!isMountPoint("/nonexistent"));
});

test("mounts: a bind shows the same directory; a read-only one refuses changes", rootOnly, () => {
  using directory = temporaryDirectory();
  const [from, to] = [`${directory.path}/from`, `${directory.path}/to ü`];
  mkdirSync(from);
  mkdirSync(to);
  bindMount(from, to);
  try {
    assert.ok(isMountPoint(to));
    writeFileSync(`${to}/a`, "");
  } finally {
    unmount(to);
  }
  assert.ok(!isMountPoint(to));
  bindReadOnly(from, to);
  try {
    assert.throws(() => writeFileSync(`${to}/b`, ""), { code: "EROFS" });
    writeFileSync(`${from}/c`, "");
  } finally {
    unmount(to);
  }
  assert.throws(() => unmount(to), { code: "EINVAL" });
  assert.throws(() => bindMount(`${directory.path}/none`, to), { code: "ENOENT" });
});

for (const name of ["upper", "a,b", "c:d", "e\\f g", "ü"]) {
  test(
    `mounts: an overlay over "${name}" in another mount namespace is seen, by any path to it`,
    rootOnly,
    async () => {
      using directory = temporaryDirectory();
      for (const child of [name, "lower", "work", "merged", "other"]) mkdirSync(`${directory.path}/${child}`);
      symlinkSync(directory.path, `${directory.path}/link`);
      const upper = `${directory.path}/${name}`;
      assert.equal(upperIsMounted(upper), false);
      const escaped = upper.replace(/[\\,:]/g, "\\$&");
      const script = `mount -t overlay overlay -o "$1" merged && echo mounted && exec sleep 60`;
      const options = `lowerdir=lower,upperdir=${escaped},workdir=work`;
      const child = spawn("env", ["unshare", "-m", "sh", "-c", script, "sh", options], {
        cwd: directory.path,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [said] = (await once(child.stdout, "data")) as [Buffer];
      assert.equal(said.toString(), "mounted\n");
      assert.equal(upperIsMounted(upper), true);
      assert.equal(upperIsMounted(`${directory.path}/link/${name}`), true);
      assert.equal(upperIsMounted(`${directory.path}/other`), false);
      child.kill("SIGKILL");
      await once(child, "exit");
      assert.equal(upperIsMounted(upper), false);
    },
  );
}

test("mounts: the lowers and uppers of all overlays are known from one look", rootOnly, () => {
  using directory = temporaryDirectory();
  const lowers = ["plain", "a,b", "c:d", "e\\f g"].map((name) => `${directory.path}/${name}`);
  for (const path of [...lowers, `${directory.path}/alias`]) mkdirSync(path);
  for (const child of ["upper", "work", "merged", "other"]) mkdirSync(`${directory.path}/${child}`);
  const options = [
    `lowerdir=${lowers.map((path) => path.replace(/[\\,:]/g, "\\$&")).join(":")}`,
    `upperdir=${directory.path}/upper`,
    `workdir=${directory.path}/work`,
  ];
  const merged = `${directory.path}/merged`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options.join(","), merged]);
  try {
    bindMount(lowers[1]!, `${directory.path}/alias`);
    const overlays = mountedOverlays();
    for (const path of [...lowers, `${directory.path}/alias`]) {
      assert.deepEqual([path, overlays.hasLower(path), overlays.hasUpper(path)], [path, true, false]);
    }
    assert.equal(overlays.hasUpper(`${directory.path}/upper`), true);
    for (const name of ["upper", "work", "other", "gone", "a", "plai"]) {
      assert.equal(overlays.hasLower(`${directory.path}/${name}`), false);
    }
    unmount(`${directory.path}/alias`);
  } finally {
    unmount(merged);
  }
  assert.equal(mountedOverlays().hasLower(lowers[0]!), false);
});

test("mounts: an overlay whose upperdir was given as a relative path is seen", rootOnly, async () => {
  using directory = temporaryDirectory();
  for (const child of ["upper", "lower", "work", "merged"]) mkdirSync(`${directory.path}/${child}`);
  const script =
    "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && echo && exec sleep 60";
  const child = spawn("env", ["unshare", "-m", "sh", "-c", script], {
    cwd: directory.path,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  assert.equal(upperIsMounted(`${directory.path}/upper`), true);
  child.kill("SIGKILL");
  await once(child, "exit");
});

test("attributes: an immutable directory takes no names, until it is turned off", rootOnly, (context) => {
  using directory = temporaryDirectory();
  if (!setImmutable(directory.path, true)) {
    context.skip("the filesystem has no immutable flag, or the privilege is missing");
    return;
  }
  try {
    assert.equal(setImmutable(directory.path, true), true);
    assert.throws(() => writeFileSync(`${directory.path}/a`, ""), { code: "EPERM" });
  } finally {
    assert.equal(setImmutable(directory.path, false), true);
  }
  writeFileSync(`${directory.path}/a`, "");
});

test("attributes: a filesystem without flags says so", () => {
  assert.equal(setImmutable("/proc/self", true), false);
  assert.throws(() => setImmutable("/nonexistent", true), { code: "ENOENT" });
});
