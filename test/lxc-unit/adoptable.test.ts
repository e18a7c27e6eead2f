import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { readAdoptable } from "../../src/lxc/adoptable.ts";
import { requireConvertible } from "../../src/lxc/convertible.ts";
import { dependantsOf, parseDependences } from "../../src/lxc/dependants.ts";
import { temporaryDirectory } from "../support/temporary.ts";

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function overlay(directory: string, lower: string, upper = "overlay/delta"): void {
  mkdirSync(`${directory}/${upper}`, { recursive: true });
  write(`${directory}/config`, `lxc.rootfs.path = overlay:${lower}:${directory}/${upper}\n`);
}

async function lxcPath(): Promise<{ path: string } & AsyncDisposable> {
  const directory = await temporaryDirectory();
  const path = `${directory.path}/lxc path`;
  mkdirSync(`${path}/base/rootfs`, { recursive: true });
  write(`${path}/base/config`, `lxc.rootfs.path = dir:${path}/base/rootfs\n`);
  overlay(`${path}/web`, `${path}/base/rootfs`);
  return { path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

test("adoptable: a container is read with its snapshots in their order, of both layouts, with comments and times", async () => {
  await using at = await lxcPath();
  for (const [directory, name] of [
    [`${at.path}/web/snaps`, "snap10"],
    [`${at.path}/web/snaps`, "snap9"],
    [`${at.path}snaps/web`, "snap2"],
  ] as const)
    overlay(`${directory}/${name}`, `${at.path}/base/rootfs`);
  write(`${at.path}/web/snaps/snap9/ts`, "2020:01:02 03:04:05");
  write(`${at.path}/web/snaps/snap9/comment`, "two\nlines\n");
  mkdirSync(`${at.path}/web/snaps/no-container`);
  const web = readAdoptable(at.path, "web");
  assert.deepEqual(web.rootfs, {
    lowers: [`${at.path}/base/rootfs`],
    upper: `${at.path}/web/overlay/delta`,
    idMap: null,
  });
  assert.deepEqual(
    web.snapshots.map(({ snapshot }) => snapshot),
    ["snap2", "snap9", "snap10"],
  );
  const [, snap9] = web.snapshots;
  assert.equal(snap9?.message, "two\nlines");
  assert.equal(snap9.created, new Date(2020, 0, 2, 3, 4, 5).toISOString().replace("Z", "000000Z"));
  overlay(`${at.path}snaps/web/snap9`, `${at.path}/base/rootfs`);
  assert.throws(() => readAdoptable(at.path, "web"), { code: "REFUSED" });
});

test("adoptable: ids are shifted on disk by the config's map, unless the kernel shifts them at the mount", async () => {
  await using at = await lxcPath();
  const text = `lxc.rootfs = ${at.path}/base/rootfs\nlxc.id_map = u 0 100000 65536\nlxc.id_map = g 0 100000 65536\n`;
  write(`${at.path}/base/config`, text);
  assert.deepEqual(readAdoptable(at.path, "base").rootfs.idMap?.uids, [{ container: 0, host: 100_000, count: 65_536 }]);
  write(`${at.path}/base/config`, `${text}lxc.rootfs.options = idmap=container\n`);
  assert.equal(readAdoptable(at.path, "base").rootfs.idMap, null);
});

test("adoptable: what is missing or of another kind is told by its code", async () => {
  await using at = await lxcPath();
  const config = `${at.path}/web/config`;
  const code = (): unknown => {
    try {
      readAdoptable(at.path, "web");
      return undefined;
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
  };
  for (const [rootfs, expected] of [
    [`overlay:${at.path}/gone:${at.path}/web/overlay/delta`, "NOT_FOUND"],
    [`overlay:${at.path}/base/rootfs:${at.path}/web/gone`, "NOT_FOUND"],
    [`overlay:${config}:${at.path}/web/overlay/delta`, "SOURCE_INVALID"],
    [config, "UNSUPPORTED"],
    ["loop:/image", "UNSUPPORTED"],
    ["aufs:/a:/b", "UNSUPPORTED"],
    ["", "UNSUPPORTED"],
    [`btrfs:${at.path}/base/rootfs`, undefined],
  ] as const) {
    write(config, `lxc.rootfs.path = ${rootfs}\n`);
    assert.equal(code(), expected, rootfs);
  }
  write(`${at.path}/web/pending`, "1\n");
  assert.equal(code(), "REFUSED");
  rmSync(config);
  assert.equal(code(), "NOT_FOUND");
});

test("dependants: those whose configs reach into the directory, clones elsewhere and by symlinks too, but not its own snapshots", async () => {
  await using at = await lxcPath();
  const elsewhere = `${at.path}/../elsewhere`;
  overlay(`${at.path}/web/snaps/snap0`, `${at.path}/base/rootfs`);
  overlay(`${at.path}snaps/base/snap0`, `${at.path}/base/rootfs`);
  overlay(`${elsewhere}/far`, `${at.path}/base/rootfs`);
  symlinkSync(`${at.path}/base`, `${at.path}/link`);
  overlay(`${at.path}/by-link`, `${at.path}/link/rootfs`);
  overlay(`${at.path}/basement`, `${at.path}/web/overlay/delta`);
  write(`${at.path}/zfs/config`, "lxc.rootfs.path = zfs:pool/x\n");
  write(`${at.path}/base/lxc_snapshots`, `${elsewhere}\nfar\n${at.path}\ngone\n`);
  assert.deepEqual(
    dependantsOf(at.path, "base"),
    [`${elsewhere}/far`, `${at.path}/by-link`, `${at.path}/web`, `${at.path}/web/snaps/snap0`].sort(),
  );
  assert.deepEqual(dependantsOf(at.path, "web"), [`${at.path}/basement`]);
  assert.deepEqual(parseDependences("/a\nb\n/c\n"), [{ lxcPath: "/a", name: "b" }]);
});

test("convertible: what no config names is kept from being deleted, and what LXC itself leaves behind is not in the way", async () => {
  await using at = await lxcPath();
  const check = (): void => requireConvertible(readAdoptable(at.path, "web"));
  overlay(`${at.path}/web/snaps/snap0`, `${at.path}/base/rootfs`);
  for (const directory of [`${at.path}/web`, `${at.path}/web/snaps/snap0`]) {
    mkdirSync(`${directory}/rootfs`);
    mkdirSync(`${directory}/overlay/work/work`, { recursive: true });
    write(`${directory}/lxc_rdepends`, `${at.path}\nbase\n`);
  }
  write(`${at.path}/web/fstab`, "");
  check();
  for (const unread of ["rootfs/file", "delta0/file", "overlay/other/file", "snaps/snap1/rootfs/file"]) {
    write(`${at.path}/web/${unread}`, "");
    assert.throws(check, { code: "REFUSED" }, unread);
    rmSync(`${at.path}/web/${unread.replace(/\/(?:rootfs\/)?file$/, "")}`, { recursive: true });
    check();
  }
});
