import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { RawChange } from "../../src/model/change.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { collected, sizesOnly } from "../sources/fold.ts";
import { requireRoot } from "../support/requirements.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** What is opened by mistake waits for ever. */
const OPTIONS = { timeout: 30_000 };

test(
  "hostile delta: fifos, sockets, devices and loops of symlinks are nodes, and nothing waits for them",
  OPTIONS,
  async (t) => {
    if (!requireRoot(t)) return;
    await using directory = await temporaryDirectory();
    const { path } = directory;
    {
      using here = DirectoryHandle.open(path);
      here.makeNode("fifo", "fifo", 0o600, 0, 0);
      here.makeNode("socket", "socket", 0o600, 0, 0);
      here.makeNode("zero", "character", 0o600, 1, 5);
      here.makeNode("tty", "character", 0o600, 5, 0);
      here.makeNode("watchdog", "character", 0o600, 10, 130);
      here.makeNode("tape", "character", 0o600, 9, 0);
      here.makeNode("disk", "block", 0o600, 8, 0);
      here.makeNode("gone", "character", 0, 0, 0);
    }
    symlinkSync("loop", `${path}/loop`);
    symlinkSync(".", `${path}/here`);
    symlinkSync("/proc/self/fd/0", `${path}/proc`);
    for (let i = 0; i < 50; i++) symlinkSync(`chain${i + 1}`, `${path}/chain${i}`);
    mkdirSync(`${path}/sub`);
    symlinkSync("..", `${path}/sub/up`);
    writeFileSync(`${path}/sub/file`, "x");
    const changes = await collected(deltaChanges(path, sizesOnly()));
    const kinds = new Map(changes.map((change) => [change.path, kindOf(change)]));
    for (const [name, kind] of Object.entries({
      fifo: "fifo",
      socket: "socket",
      zero: "character",
      tty: "character",
      watchdog: "character",
      tape: "character",
      disk: "block",
      gone: "whiteout",
      loop: "symlink",
      here: "symlink",
      proc: "symlink",
      chain49: "symlink",
      sub: "directory",
      "sub/up": "symlink",
      "sub/file": "file",
    }))
      assert.equal(kinds.get(name), kind, name);
    assert.equal(kinds.size, 15 + 49 + 1);
  },
);

function kindOf(change: RawChange): string {
  return change.kind === "put" ? change.node.type : change.kind;
}
