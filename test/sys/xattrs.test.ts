import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { setFdXattr } from "../../src/sys/file.ts";
import { makeEachType, rootOnly, temporaryDirectory, writeFile } from "./support.ts";

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, i) => i);

for (const [parent, largest] of [
  ["/tmp", 3000],
  ["/dev/shm", 60_000],
] as const) {
  test(`xattrs: on every type of node in ${parent}, empty, binary and ${largest} bytes come back`, rootOnly, () => {
    using directory = temporaryDirectory(parent);
    const { handle } = directory;
    makeEachType(handle);
    const expected = [
      { name: "trusted.a\xff", value: new Uint8Array() },
      { name: "trusted.b", value: new Uint8Array(largest).fill(0xfe) },
      { name: "trusted.c", value: EVERY_BYTE },
    ];
    for (const name of [...handle.list(), undefined]) {
      for (const { name: key, value } of [...expected].reverse()) handle.setXattr(name, key, value);
      assert.deepEqual(handle.xattrs(name), expected, name);
      handle.removeXattr(name, "trusted.b");
      assert.deepEqual(
        handle.xattrs(name).map((xattr) => xattr.name),
        ["trusted.a\xff", "trusted.c"],
      );
    }
  });
}

test("xattrs: a user's own on a file, by name and by fd", () => {
  using directory = temporaryDirectory("/tmp");
  const { handle } = directory;
  writeFile(handle, "file", "");
  handle.setXattr("file", "user.name", EVERY_BYTE);
  const fd = openSync(`${directory.path}/file`, "r+");
  setFdXattr(fd, "user.fd", Buffer.from("x"));
  closeSync(fd);
  assert.deepEqual(handle.xattrs("file"), [
    { name: "user.fd", value: Uint8Array.of(0x78) },
    { name: "user.name", value: EVERY_BYTE },
  ]);
});

test("xattrs: a symlink's are its own, not its target's", rootOnly, () => {
  using directory = temporaryDirectory();
  const { handle } = directory;
  writeFile(handle, "file", "");
  handle.symlink("file", "symlink");
  handle.setXattr("file", "trusted.file", new Uint8Array());
  assert.deepEqual(handle.xattrs("symlink"), []);
  handle.setXattr("symlink", "trusted.link", new Uint8Array());
  assert.deepEqual(
    handle.xattrs("file").map((xattr) => xattr.name),
    ["trusted.file"],
  );
});

test("xattrs: values are the caller's, untouched by later calls", () => {
  using directory = temporaryDirectory("/tmp");
  writeFile(directory.handle, "a", "");
  writeFile(directory.handle, "b", "");
  directory.handle.setXattr("a", "user.x", Buffer.from("aaaa"));
  directory.handle.setXattr("b", "user.x", Buffer.from("bbbb"));
  const first = directory.handle.xattrs("a");
  directory.handle.xattrs("b");
  assert.equal(Buffer.from(first[0]!.value).toString(), "aaaa");
});

test("xattrs: none where the filesystem has none, and errors carry code and place", () => {
  using proc = DirectoryHandle.open("/proc/self");
  assert.deepEqual(proc.xattrs("status"), []);
  using directory = temporaryDirectory("/tmp");
  writeFile(directory.handle, "file", "");
  const path = `${directory.path}/file`;
  assert.throws(() => directory.handle.removeXattr("file", "user.none"), { code: "ENODATA", path });
  assert.throws(() => directory.handle.setXattr("file", "nonsense", new Uint8Array()), { code: "ENOTSUP", path });
  assert.throws(() => directory.handle.setXattr("file", "user.\0", new Uint8Array()), { code: "EINVAL" });
});
