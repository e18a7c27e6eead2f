import assert from "node:assert/strict";
import { chmodSync, rmSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { Metadata } from "../../src/model/node.ts";
import { writeDirectory } from "../../src/sinks/directory.ts";
import type { WriteOptions } from "../../src/sinks/directory.ts";
import type { Losses, Written } from "../../src/sinks/written.ts";
import {
  expectedManifest,
  isWhiteout,
  makeTree,
  plain,
  type Step,
  steps,
  wholeTree,
  withParents,
} from "../sinks/support.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { openEngine } from "../support/engine.ts";
import type { Engine } from "../support/engine.ts";
import { loopFilesystem } from "../support/loop.ts";
import { requireCommands, requireLoop, requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

test("directory sink: any tree is on disk as it was, without losses", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const target = `${directory.path}/target`;
  await fc.assert(
    fc.asyncProperty(steps({ privileged: true }), async (found) => {
      rmSync(target, { recursive: true, force: true });
      const changes = wholeTree(engine, makeTree(engine, found));
      const written = await writeDirectory(target, changes, engine.content);
      assert.deepEqual(written.losses, []);
      const expected = expectedManifest(changes, engine.content);
      assert.deepEqual(compareEntries(expected, await readManifest(target), { ignore: ["blocks"] }), []);
    }),
    { numRuns: 60 },
  );
});

test("directory sink: as a lower, what would be a mark of overlayfs shows as what it is, and whiteouts are losses", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const device = { kind: "put", path: "d/device", node: { type: "character", ...plain, major: 0, minor: 0 } } as const;
  const mark = { name: "trusted.overlay.opaque", value: Buffer.from("y") };
  const marked = { ...plain, xattrs: [mark, { ...mark, name: "trusted.overlay.overlay.x" }] };
  const found: Step[] = withParents([
    { kind: "put", path: "d", node: { type: "directory", ...marked } },
    { kind: "file", path: "f", metadata: marked, pieces: ["x"] },
    device,
  ]);
  const changes = wholeTree(engine, makeTree(engine, found));
  const lower = `${directory.path}/lower`;
  const written = await writeDirectory(lower, changes, engine.content, { lower: "trusted" });
  assert.deepEqual(written.losses, [{ kind: "whiteout", count: 1, examples: ["d/device"] }]);
  await run(
    "mkdir",
    ["empty", "merged"].map((name) => `${directory.path}/${name}`),
  );
  const options = `lowerdir=${directory.path}/empty:${lower}`;
  await run("mount", ["-t", "overlay", "overlay", "-o", options, `${directory.path}/merged`]);
  const expected = expectedManifest(changes, engine.content, (_, node) => !isWhiteout(node));
  const merged = await readManifest(`${directory.path}/merged`);
  // The root is the one of the empty layer on top.
  const ignorePath = (path: string): boolean => path === "";
  assert.deepEqual(compareEntries(expected, merged, { ignore: ["blocks"], ignorePath }), []);
});

const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const foreign: Metadata = { ...plain, uid: 4_000_000_000, gid: 5 };
const nasty: Step[] = withParents([
  { kind: "file", path: "set-id", metadata: { ...foreign, mode: 0o6755 }, pieces: ["x"] },
  { kind: "put", path: "shut", node: { type: "directory", ...plain, uid: 65534, gid: 65534, mode: 0 } },
  { kind: "file", path: "shut/in/file", metadata: { ...plain, uid: 65534, gid: 65534, mode: 0o444 }, pieces: ["x"] },
  { kind: "link", path: "z", target: "shut/in/file" },
  { kind: "put", path: "device", node: { type: "block", ...plain, uid: 65534, gid: 65534, major: 7, minor: 0 } },
  { kind: "link", path: "device-too", target: "device" },
  {
    kind: "file",
    path: "marked",
    metadata: {
      ...plain,
      uid: 65534,
      gid: 65534,
      mode: 0o400,
      xattrs: [
        { name: "security.capability", value: capability },
        { name: "trusted.a", value: Buffer.from("a") },
        { name: "user.a", value: Buffer.from("a") },
      ],
    },
    pieces: ["x"],
  },
]).map((step) =>
  step.kind === "put" && step.path === "" ? { ...step, node: { ...step.node, uid: 65534, gid: 65534 } } : step,
);

test("directory sink: without privileges all else is made, and what is not is counted by kind", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const written = await writeAsNobody(engine, directory.path, nasty);
  assert.deepEqual(counts(written.losses), { device: 2, mode: 1, owner: 2, xattr: 2 });
  assert.deepEqual(written.omitted, []);
  await assertNastyAsNobody(engine, `${directory.path}/target`);
});

test("directory sink: as a user it leaves the same out on demand, which is no loss", async (t) => {
  if (!requireRoot(t)) return;
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  const written = await writeAsNobody(engine, directory.path, nasty, { asUser: true });
  assert.deepEqual(written.losses, []);
  assert.deepEqual(counts(written.omitted), { device: 2, mode: 1, owner: 2, xattr: 2 });
  await assertNastyAsNobody(engine, `${directory.path}/target`);
});

async function assertNastyAsNobody(engine: Engine, target: string): Promise<void> {
  const changes = wholeTree(engine, makeTree(engine, nasty));
  const expected = expectedManifest(changes, engine.content, (path) => !path.startsWith("device"));
  const setId = expected.get("set-id");
  assert.ok(setId);
  expected.set("set-id", { ...setId, uid: 65534, gid: 65534, mode: 0o755 });
  const inner = expected.get("shut/in");
  assert.ok(inner);
  expected.set("shut/in", { ...inner, uid: 65534, gid: 65534 });
  const ignoreXattr = (name: string): boolean => !name.startsWith("user.");
  const differences = compareEntries(expected, await readManifest(target), { ignore: ["blocks"], ignoreXattr });
  assert.deepEqual(differences, []);
}

test("directory sink: an owner that the user namespace does not map is a loss", async (t) => {
  if (!requireCommands(t, "unshare")) return;
  await using directory = await temporaryDirectory();
  const script = new URL("../sinks/write-foreign.ts", import.meta.url).pathname;
  const args = ["--user", "--map-root-user", process.execPath, "--import", "tsx", script, `${directory.path}/target`];
  const written = JSON.parse(await run("unshare", args)) as Written;
  assert.deepEqual(counts(written.losses), { owner: 1 });
});

test("directory sink: a full filesystem is an error of its own", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using engine = await openEngine();
  await using filesystem = await loopFilesystem("ext4", 8);
  const file: Step = { kind: "file", path: "f", metadata: plain, pieces: [Buffer.alloc(16 * 1024 * 1024, "x")] };
  const changes = wholeTree(engine, makeTree(engine, withParents([file])));
  const writing = writeDirectory(`${filesystem.path}/target`, changes, engine.content);
  await assert.rejects(writing, { code: "NO_SPACE" });
});

test("directory sink: an attribute too large for the filesystem, and a time beyond it, are losses", async (t) => {
  if (!requireLoop(t, "ext4")) return;
  await using engine = await openEngine();
  await using filesystem = await loopFilesystem("ext4", 64);
  const xattrs = [{ name: "user.large", value: Buffer.alloc(60_000, "x") }];
  const found: Step[] = withParents([
    { kind: "file", path: "large", metadata: { ...plain, xattrs }, pieces: ["x"] },
    { kind: "file", path: "late", metadata: { ...plain, mtimeSec: 2 ** 35 }, pieces: ["x"] },
  ]);
  const changes = wholeTree(engine, makeTree(engine, found));
  const { losses } = await writeDirectory(`${filesystem.path}/target`, changes, engine.content);
  assert.deepEqual(losses, [
    { kind: "xattr", count: 1, examples: ["large (user.large)"] },
    { kind: "time", count: 1, examples: ["late"] },
  ]);
});

function counts(losses: Losses): Record<string, number> {
  return Object.fromEntries(
    losses.map(({ kind, count }) => [kind, count] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

async function writeAsNobody(
  engine: Engine,
  directory: string,
  found: readonly Step[],
  options: WriteOptions = {},
): Promise<Written> {
  const changes = wholeTree(engine, makeTree(engine, found));
  chmodSync(directory, 0o777);
  const groups = process.getgroups?.() ?? [];
  process.setgroups?.([]);
  process.setegid?.(65534);
  process.seteuid?.(65534);
  try {
    return await writeDirectory(`${directory}/target`, changes, engine.content, options);
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
    process.setgroups?.(groups);
  }
}
