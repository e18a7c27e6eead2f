import assert from "node:assert/strict";
import { closeSync, lstatSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { lstatPath, statPath } from "../../src/sys/stat.ts";
import { asNobody, makeEachType, rootOnly, temporaryDirectory, writeFile } from "./support.ts";

test("directory handle: a name that is no single component is refused by every call", () => {
  using directory = temporaryDirectory();
  const { handle } = directory;
  writeFile(handle, "ok", "");
  for (const name of ["", ".", "..", "/", "a/b", "../x", "/etc", "a\0b", "\u0100"]) {
    const calls: (() => unknown)[] = [
      () => handle.openDirectory(name),
      () => handle.stat(name),
      () => handle.openRead(name),
      () => handle.create(name, 0o600),
      () => handle.readLink(name),
      () => handle.makeDirectory(name, 0o700),
      () => handle.symlink("x", name),
      () => handle.link(name, handle, "x"),
      () => handle.link("ok", handle, name),
      () => handle.makeNode(name, "fifo", 0o600, 0, 0),
      () => handle.rename(name, handle, "x"),
      () => handle.rename("ok", handle, name),
      () => handle.unlink(name),
      () => handle.removeDirectory(name),
      () => handle.removeTree(name),
      () => handle.setOwner(name, 0, 0),
      () => handle.setMode(name, 0),
      () => handle.setTimes(name, 0, 0),
      () => handle.xattrs(name),
      () => handle.setXattr(name, "user.x", new Uint8Array()),
      () => handle.removeXattr(name, "user.x"),
    ];
    for (const call of calls)
      assert.throws(call, { name: "PosixError", code: "EINVAL" }, `${call.toString()} of ${name}`);
  }
  assert.throws(() => handle.stat("n".repeat(256)), { code: "ENAMETOOLONG" });
  assert.deepEqual(handle.list(), ["ok"]);
});

test("directory handle: every byte but / and NUL makes a name, and names come in byte order", () => {
  using directory = temporaryDirectory();
  const bytes = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).filter((char) => char !== "/");
  const long = bytes.join("");
  const names = [...bytes.filter((char) => char !== "."), long, long.slice(0, 253) + "~~", "..."];
  for (const name of names) writeFile(directory.handle, name, Buffer.from(name, "latin1"));
  assert.deepEqual(directory.handle.list(), [...names].sort());
  for (const name of names) assert.equal(directory.handle.stat(name).size, name.length);
});

test("directory handle: a listing longer than one read comes whole, twice", () => {
  using directory = temporaryDirectory();
  const names = Array.from({ length: 3000 }, (_, i) => `${i}`.padStart(200, "0"));
  for (const name of names) directory.handle.symlink("x", name);
  assert.deepEqual(directory.handle.list(), names);
  assert.deepEqual(directory.handle.list(), names);
});

test("directory handle: stat tells what lstat of Node tells", rootOnly, () => {
  using directory = temporaryDirectory();
  makeEachType(directory.handle);
  for (const name of directory.handle.list()) {
    const actual = directory.handle.stat(name);
    const expected = lstatSync(`${directory.path}/${name}`, { bigint: true });
    assert.equal(actual.type, name);
    assert.equal(BigInt(actual.mode), expected.mode & 0o7777n);
    assert.equal(actual.ino, expected.ino);
    assert.equal(BigInt(actual.size), expected.size);
    assert.equal(BigInt(actual.blocks), expected.blocks);
    assert.equal(BigInt(actual.mtimeSec) * 1_000_000_000n + BigInt(actual.mtimeNsec), expected.mtimeNs);
    assert.equal(BigInt(actual.ctimeSec) * 1_000_000_000n + BigInt(actual.ctimeNsec), expected.ctimeNs);
    assert.deepEqual(lstatPath(`${directory.path}/${name}`), actual);
  }
  const { rdevMajor, rdevMinor } = directory.handle.stat("block");
  assert.deepEqual([rdevMajor, rdevMinor], [4095, 1048575]);
  assert.throws(() => directory.handle.makeNode("x", "block", 0, 4096, 0), { code: "EINVAL" });
  assert.equal(statPath("/").type, "directory");
});

test("directory handle: what is not there fails with ENOENT and its place", () => {
  using directory = temporaryDirectory();
  const expected = { code: "ENOENT", path: `${directory.path}/none` };
  assert.throws(() => directory.handle.stat("none"), expected);
  assert.throws(() => directory.handle.openRead("none"), expected);
  assert.throws(() => directory.handle.unlink("none"), expected);
  assert.throws(() => directory.handle.xattrs("none"), expected);
  assert.throws(() => DirectoryHandle.open(`${directory.path}/none`), expected);
});

for (const parent of ["/tmp", "/dev/shm"]) {
  test(`directory handle: times in ${parent} keep nanoseconds, before 1970, after 2038, in 2400`, () => {
    using directory = temporaryDirectory(parent);
    makeEachType(directory.handle);
    const year2400 = Date.UTC(2400) / 1000;
    for (const [sec, nsec] of [
      [0, 0],
      [-1, 999_999_999],
      [-(2 ** 31) + 1, 1],
      [2 ** 31, 123_456_789],
      [2 ** 32 + 5, 1],
      [year2400, 999_999_999],
    ] as const) {
      for (const name of [...directory.handle.list(), undefined]) {
        directory.handle.setTimes(name, sec, nsec);
        const stat = name === undefined ? directory.handle.statSelf() : directory.handle.stat(name);
        assert.deepEqual([stat.mtimeSec, stat.mtimeNsec], [sec, nsec], name);
      }
    }
  });
}

test("directory handle: owners up to 2^32 - 2, of every type of node", rootOnly, () => {
  using directory = temporaryDirectory();
  makeEachType(directory.handle);
  for (const name of directory.handle.list()) {
    directory.handle.setOwner(name, 4_000_000_000, 4_294_967_294);
    const { uid, gid } = directory.handle.stat(name);
    assert.deepEqual([uid, gid], [4_000_000_000, 4_294_967_294]);
  }
  directory.handle.setOwner(undefined, 7, 8);
  assert.equal(directory.handle.statSelf().gid, 8);
});

test("directory handle: a mode is set with its set-id bits, never through a symlink", () => {
  using directory = temporaryDirectory();
  writeFile(directory.handle, "file", "");
  directory.handle.symlink("file", "symlink");
  directory.handle.setMode("file", 0o6751);
  assert.equal(directory.handle.stat("file").mode, 0o6751);
  assert.throws(() => directory.handle.setMode("symlink", 0o777), { code: "ENOTSUP" });
  assert.equal(directory.handle.stat("file").mode, 0o6751);
  directory.handle.setMode(undefined, 0o1700);
  assert.equal(directory.handle.statSelf().mode, 0o1700);
});

test("directory handle: whatever is planted where a file is opened, nothing hangs and nothing is followed", () => {
  using directory = temporaryDirectory();
  const { handle } = directory;
  makeEachType(handle);
  handle.symlink("file", "to-file");
  handle.symlink("directory", "to-directory");
  for (const name of handle.list().filter((name) => name !== "file")) {
    assert.throws(() => handle.openRead(name), { name: "PosixError" }, name);
  }
  assert.throws(() => handle.openRead("to-file"), { code: "ELOOP" });
  assert.throws(() => handle.openDirectory("to-directory"), { code: "ENOTDIR" });
  assert.throws(() => handle.create("symlink", 0o600), { code: "EEXIST" });
  const fd = handle.openRead("file");
  assert.equal(readFileSync(fd, "utf8"), "content");
  closeSync(fd);
});

test("directory handle: the path that the user gives is followed, bytes that are no UTF-8 too", () => {
  using directory = temporaryDirectory();
  directory.handle.makeDirectory("\xff\xfe", 0o700);
  symlinkSync(Buffer.from("\xff\xfe", "latin1"), `${directory.path}/link`);
  using byLink = DirectoryHandle.open(`${directory.path}/link`);
  using byBytes = DirectoryHandle.open(Buffer.from(`${directory.path}/\xff\xfe`, "latin1"));
  assert.equal(byLink.statSelf().ino, byBytes.statSelf().ino);
});

test("directory handle: link targets are bytes, up to 4095 of them", () => {
  using directory = temporaryDirectory();
  const bytes = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).join("");
  for (const [name, target] of [
    ["bytes", bytes],
    ["long", "/a".repeat(2047) + "b"],
  ] as const) {
    directory.handle.symlink(target, name);
    assert.equal(directory.handle.readLink(name), target);
    assert.equal(readlinkSync(`${directory.path}/${name}`, "latin1"), target);
  }
  assert.throws(() => directory.handle.symlink("a\0b", "nul"), { code: "EINVAL" });
});

test("directory handle: rename replaces, refuses to, or swaps; link adds a name", () => {
  using directory = temporaryDirectory();
  const { handle } = directory;
  handle.makeDirectory("sub", 0o700);
  using sub = handle.openDirectory("sub");
  writeFile(handle, "a", "A");
  writeFile(sub, "b", "BB");
  assert.throws(() => handle.rename("a", sub, "b", { noReplace: true }), { code: "EEXIST" });
  handle.rename("a", sub, "b", { exchange: true });
  assert.deepEqual([handle.stat("a").size, sub.stat("b").size], [2, 1]);
  handle.rename("a", sub, "b");
  assert.deepEqual([handle.list(), sub.list()], [["sub"], ["b"]]);
  sub.link("b", handle, "c");
  assert.deepEqual([handle.stat("c").ino, handle.stat("c").nlink], [sub.stat("b").ino, 2]);
  sub.sync();
});

test("directory handle: a closed one fails with EBADF, even when its fd number is in use again", () => {
  using directory = temporaryDirectory();
  const closed = DirectoryHandle.open(directory.path);
  closed.close();
  closed.close();
  using _reuses = DirectoryHandle.open("/");
  for (const call of [() => closed.list(), () => closed.stat("a"), () => closed.xattrs("a"), () => closed.xattrs()]) {
    assert.throws(call, { code: "EBADF" });
  }
});

test("directory handle: who does not own a file can read it, without O_NOATIME", rootOnly, () => {
  using directory = temporaryDirectory();
  directory.handle.setMode(undefined, 0o755);
  writeFile(directory.handle, "file", "x");
  asNobody(() => {
    using handle = DirectoryHandle.open(directory.path);
    closeSync(handle.openRead("file"));
  });
});

test("directory handle: removeTree takes all below, and nothing behind a symlink", () => {
  using directory = temporaryDirectory();
  const { handle } = directory;
  makeEachType(handle);
  writeFile(handle, "kept", "");
  handle.makeDirectory("tree", 0o700);
  using tree = handle.openDirectory("tree");
  makeEachType(tree);
  tree.symlink(directory.path, "up");
  using inner = tree.openDirectory("directory");
  makeEachType(inner);
  inner.symlink("../..", "up");
  const before = handle.list();
  handle.removeTree("tree");
  assert.deepEqual(
    handle.list(),
    before.filter((name) => name !== "tree"),
  );
  handle.removeTree("symlink");
  assert.throws(() => handle.removeTree("symlink"), { code: "ENOENT" });
});

test("directory handle: the owner removes a tree of directories that he may not write to", rootOnly, () => {
  using directory = temporaryDirectory();
  directory.handle.setOwner(undefined, 65534, 65534);
  asNobody(() => {
    using handle = DirectoryHandle.open(directory.path);
    handle.makeDirectory("tree", 0o700);
    using tree = handle.openDirectory("tree");
    tree.makeDirectory("inner", 0o000);
    tree.setMode(undefined, 0o555);
    handle.removeTree("tree");
    assert.deepEqual(handle.list(), []);
  });
});
