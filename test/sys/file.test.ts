import assert from "node:assert/strict";
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { test } from "node:test";
import { syncFilesystem, syncPath, writeFileDurably } from "../../src/sys/durable.ts";
import { cloneFile, dataSegments, setFdOwner, setFdTimes } from "../../src/sys/file.ts";
import { statFd } from "../../src/sys/stat.ts";
import { rootOnly, temporaryDirectory, writeFile } from "./support.ts";

const MIB = 1024 * 1024;

for (const parent of ["/tmp", "/dev/shm"]) {
  test(`data segments: holes in ${parent} are found, and all data lies in a segment`, () => {
    using directory = temporaryDirectory(parent);
    const fd = openSync(`${directory.path}/file`, "w+");
    for (const position of [0, 4 * MIB, 9 * MIB]) writeSync(fd, Buffer.alloc(MIB, 1), 0, MIB, position);
    ftruncateSync(fd, 12 * MIB);
    assert.deepEqual(
      [...dataSegments(fd, 12 * MIB)],
      [0, 4, 9].map((at) => ({ offset: at * MIB, length: MIB })),
    );
    assert.deepEqual([...dataSegments(fd, MIB / 2)], [{ offset: 0, length: MIB / 2 }]);
    assert.deepEqual([...dataSegments(fd, 2 * MIB)], [{ offset: 0, length: MIB }]);
    ftruncateSync(fd, 0);
    assert.deepEqual([...dataSegments(fd, 12 * MIB)], []);
    ftruncateSync(fd, 12 * MIB);
    assert.deepEqual([...dataSegments(fd, 12 * MIB)], []);
    closeSync(fd);
  });
}

test("data segments: of a fd that cannot seek fail by code", () => {
  assert.throws(() => [...dataSegments(-1, 1)], { code: "EBADF" });
});

test("clone: shares the bytes, or says that the filesystem cannot", (context) => {
  using directory = temporaryDirectory();
  writeFile(directory.handle, "from", "content");
  const from = directory.handle.openRead("from");
  const to = directory.handle.create("to", 0o644);
  const cloned = cloneFile(from, to);
  context.diagnostic(`cloned: ${cloned}`);
  assert.equal(readFileSync(`${directory.path}/to`, "utf8"), cloned ? "content" : "");
  assert.throws(() => cloneFile(-1, to), { code: "EBADF" });
  closeSync(from);
  closeSync(to);
});

test("file: owner and times by fd", rootOnly, () => {
  using directory = temporaryDirectory();
  const fd = directory.handle.create("file", 0o600);
  setFdOwner(fd, 4_000_000_000, 1);
  setFdTimes(fd, -7, 999_999_999);
  const { uid, gid, mtimeSec, mtimeNsec } = statFd(fd);
  assert.deepEqual([uid, gid, mtimeSec, mtimeNsec], [4_000_000_000, 1, -7, 999_999_999]);
  assert.equal(fstatSync(fd).atimeMs, fstatSync(fd).mtimeMs);
  closeSync(fd);
});

test("durable: the file is there with its bytes and exact mode, and no temporary is left", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  writeFileDurably(path, "old", 0o600);
  writeFileDurably(path, Uint8Array.of(1, 2, 3), 0o666);
  assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
  assert.equal(statSync(path).mode & 0o7777, 0o666);
  writeFileDurably(Buffer.from(`${directory.path}/\xff`, "latin1"), "bytes", 0o600);
  assert.deepEqual(directory.handle.list(), ["file", "\xff"]);
  directory.handle.makeDirectory("taken", 0o700);
  assert.throws(() => writeFileDurably(`${directory.path}/taken`, "x", 0o600), { code: "EISDIR" });
  assert.equal(readdirSync(directory.path).length, 3);
  syncPath(path);
  syncPath(directory.path);
  syncFilesystem(directory.path);
});
