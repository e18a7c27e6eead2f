import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { getValue, parseConfig } from "../../src/lxc/config-file.ts";
import {
  clearPending,
  makeContainerDirectory,
  markPending,
  readContainerDirectory,
  setLowers,
} from "../../src/lxc/container-directory.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);

function make(parent: string, name: string, delta: "none" | { pending: number }): string {
  const config = parseConfig(`# kept\nlxc.rootfs.path = overlay:/exports/a:${parent}/${name}/delta0\n`);
  makeContainerDirectory(parent, { name, config, exportPath: "/exports/a", delta });
  return `${parent}/${name}`;
}

test("container directory: what was made is read back, with modes of LXC's own, whatever the umask", async () => {
  await using temporary = await temporaryDirectory();
  const umask = process.umask(0o77);
  try {
    const directory = make(temporary.path, "web", { pending: 7 });
    assert.deepEqual(readdirSync(directory).sort(), ["config", "pending", "rootfs"]);
    assert.equal(readlinkSync(`${directory}/rootfs`), "/exports/a");
    assert.equal(readFileSync(`${directory}/pending`, "utf8"), "7\n");
    assert.deepEqual([modeOf(directory), modeOf(`${directory}/config`)], ["770", "640"]);
    const state = readContainerDirectory(directory);
    assert.ok(state.type === "container");
    assert.deepEqual(state.rootfs, { type: "overlay", lowers: ["/exports/a"], upper: `${directory}/delta0` });
    assert.deepEqual([state.pendingGeneration, state.hasUpper, state.uncaptured], [7, false, false]);
  } finally {
    process.umask(umask);
  }
  assert.throws(() => make(temporary.path, "web", "none"), { code: "EXISTS" });
});

test("container directory: an upper and what lies beside it say what state it is in", async () => {
  await using temporary = await temporaryDirectory();
  const directory = make(temporary.path, "web", "none");
  const state = () => {
    const read = readContainerDirectory(directory);
    assert.ok(read.type === "container");
    return [read.pendingGeneration, read.hasUpper, read.uncaptured];
  };
  assert.deepEqual(state(), [undefined, false, false]);
  mkdirSync(`${directory}/delta0`);
  assert.deepEqual(state(), [undefined, true, false]);
  mkdirSync(`${directory}/work`);
  assert.deepEqual(state(), [undefined, true, true]);
  rmSync(`${directory}/work`, { recursive: true });
  mkdirSync(`${directory}/capturing`);
  assert.deepEqual(state(), [undefined, true, true]);
  markPending(directory, 12);
  assert.deepEqual(state(), [12, true, true]);
  markPending(directory, 13);
  assert.deepEqual(state(), [13, true, true]);
  clearPending(directory);
  clearPending(directory);
  assert.deepEqual(state(), [undefined, true, true]);
  writeFileSync(`${directory}/pending`, "soon\n");
  assert.throws(state, { code: "FORMAT_INVALID" });
});

test("container directory: what is none of ours says why", async () => {
  await using temporary = await temporaryDirectory();
  const directory = `${temporary.path}/web`;
  const reason = () => {
    const read = readContainerDirectory(directory);
    return read.type === "none" ? read.reason : "none";
  };
  assert.equal(reason(), "missing");
  mkdirSync(directory);
  assert.equal(reason(), "no config");
  for (const line of ["", "lxc.rootfs.path = dir:/a", "lxc.rootfs.path = zfs:a"]) {
    writeFileSync(`${directory}/config`, line);
    assert.equal(reason(), "foreign rootfs");
    assert.throws(() => setLowers(directory, ["/exports/b"]), { code: "REFUSED" });
  }
});

test("container directory: another export is named in config and symlink, and the upper stays where it is", async () => {
  await using temporary = await temporaryDirectory();
  const directory = make(temporary.path, "web", "none");
  const moved = `lxc.rootfs.path = overlayfs:/exports/a:${directory}/overlay/delta\nlxc.rootfs.options = userxattr\n`;
  writeFileSync(`${directory}/config`, moved);
  setLowers(directory, ["/ex ports/ä:b"]);
  const config = parseConfig(readFileSync(`${directory}/config`));
  assert.equal(getValue(config, "lxc.rootfs.path"), `overlay:/ex ports/ä\\:b:${directory}/overlay/delta`);
  assert.equal(readlinkSync(`${directory}/rootfs`, "utf8"), "/ex ports/ä:b");
  assert.equal(modeOf(`${directory}/config`), "640");
  assert.deepEqual(readdirSync(directory).sort(), ["config", "rootfs"]);
  assert.throws(() => setLowers(directory, [`/${"x".repeat(4000)}`]), { code: "REFUSED" });
});
