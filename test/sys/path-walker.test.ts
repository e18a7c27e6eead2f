import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { errnoOf } from "../../src/errors.ts";
import { PathWalker } from "../../src/sys/path-walker.ts";
import { temporaryDirectory, writeFile } from "./support.ts";

const DEPTH = 3000;
const LONG = "n".repeat(255);

test("path walker: builds, walks and removes 3000 nested directories of 255-byte names, on few fds", () => {
  using directory = temporaryDirectory();
  const fdsBefore = openFds(directory.path);
  {
    using walker = PathWalker.open(directory.handle);
    for (let i = 0; i < DEPTH; i++) {
      walker.current.makeDirectory(LONG, 0o755);
      walker.enter(LONG);
    }
    assert.equal(walker.path.length, DEPTH * 256 - 1);
    assert.ok(openFds(directory.path) - fdsBefore <= 205, `${openFds(directory.path) - fdsBefore} fds`);
    writeFile(walker.current, "bottom", "here");
  }
  {
    using walker = PathWalker.open(directory.handle);
    let depth = 0;
    for (; walker.current.list()[0] === LONG; depth++) walker.enter(LONG);
    assert.equal(depth, DEPTH);
    assert.deepEqual(walker.current.list(), ["bottom"]);
    for (; depth > 0; depth--) walker.leave();
    assert.equal(walker.current.statSelf().ino, directory.handle.statSelf().ino);
    walker.goTo(Array.from({ length: DEPTH }, () => LONG).join("/"));
    assert.deepEqual(walker.current.list(), ["bottom"]);
    walker.goTo("");
    assert.equal(walker.current, directory.handle);
  }
  directory.handle.removeTree(LONG);
  assert.deepEqual(directory.handle.list(), []);
  assert.equal(openFds(directory.path), fdsBefore);
});

test("path walker: goes from anywhere to anywhere, by names that start alike too", () => {
  using directory = temporaryDirectory();
  using walker = PathWalker.open(directory.handle);
  const paths = ["", "a", "a/b", "a/bc", "a/b/c", "ab", "ab/c"];
  for (const path of paths.slice(1)) {
    walker.goTo(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "");
    walker.current.makeDirectory(path.slice(path.lastIndexOf("/") + 1), 0o755);
    walker.goTo(path);
    writeFile(walker.current, `is ${path.replaceAll("/", ".")}`, "");
  }
  for (const from of paths) {
    for (const to of paths.slice(1)) {
      walker.goTo(from);
      walker.goTo(to);
      assert.equal(walker.path, to);
      assert.ok(walker.current.list().includes(`is ${to.replaceAll("/", ".")}` as never), `${from} to ${to}`);
    }
  }
});

test("path walker: stays where it is when a name is no directory", () => {
  using directory = temporaryDirectory();
  directory.handle.makeDirectory("real", 0o755);
  directory.handle.symlink("real", "symlink");
  using walker = PathWalker.open(directory.handle);
  assert.throws(() => walker.enter("symlink"), { code: "ENOTDIR" });
  assert.throws(() => walker.enter(".."), { code: "EINVAL" });
  assert.throws(() => walker.goTo("real/../.."), { code: "EINVAL" });
  assert.equal(walker.path, "real");
  walker.leave();
  assert.equal(walker.current, directory.handle);
});

test("path walker: a directory that was moved out of the tree does not lead elsewhere", () => {
  using directory = temporaryDirectory();
  directory.handle.makeDirectory("elsewhere", 0o755);
  using elsewhere = directory.handle.openDirectory("elsewhere");
  using walker = PathWalker.open(directory.handle);
  for (let i = 0; i < 300; i++) {
    walker.current.makeDirectory("d", 0o755);
    walker.enter("d");
  }
  {
    using other = PathWalker.open(directory.handle);
    other.goTo(Array.from({ length: 60 }, () => "d").join("/"));
    other.current.rename("d", elsewhere, "moved");
  }
  assert.throws(
    () => {
      while (walker.path !== "") walker.leave();
    },
    { code: "ESTALE" },
  );
});

/** Of what is in `directory` alone: what loads the test's modules opens and closes files when it likes. */
function openFds(directory: string): number {
  const isBelow = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch (error) {
      return errnoOf(error) === "ENAMETOOLONG";
    }
  };
  return readdirSync("/proc/self/fd").filter(isBelow).length;
}
