import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { errnoOf } from "../../src/errors.ts";
import type { Dialect } from "../../src/format/overlay-xattrs.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { TreePath } from "../../src/model/name.ts";
import { deltaChanges } from "../../src/sources/delta.ts";
import { directoryChanges } from "../../src/sources/directory.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import { type Engine, openEngine } from "../support/engine.ts";
import { requireRoot } from "../support/requirements.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** How `mount -t overlay` is asked to keep its marks. */
interface Variant {
  readonly options: string;
  readonly dialect: Dialect;
}

const VARIANTS: Readonly<Record<string, Variant>> = {
  "LXC's default options": { options: "", dialect: "trusted" },
  userxattr: { options: ",userxattr", dialect: "user" },
  "redirects and metadata-only copies": { options: ",redirect_dir=on,metacopy=on", dialect: "trusted" },
};

const names = fc.constantFrom("a", "b", "c");
const paths = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const KINDS = [
  ...["write", "append", "truncate", "touch", "unlink", "unlink", "unlink", "rmdir", "mkdir", "mkdir"],
  ...["rename", "rename", "remove", "replace"],
  ...["chmod", "chown", "xattr", "mark", "link", "symlink", "fifo", "device"],
] as const;
const steps = fc.record({
  kind: fc.constantFrom(...KINDS),
  path: paths,
  to: paths,
  number: fc.integer({ min: 0, max: 0o777 }),
});
type Step = typeof steps extends fc.Arbitrary<infer S> ? S : never;

for (const [name, { options, dialect }] of Object.entries(VARIANTS)) {
  test(`delta source: over its base, a delta of the kernel with ${name} is the tree that the mount showed`, async (t) => {
    if (!requireRoot(t)) return;
    await using directory = await temporaryDirectory();
    await using engine = await openEngine();
    let round = 0;
    const lowers = fc.array(steps, { minLength: 15, maxLength: 30 });
    const work = fc.array(steps, { minLength: 30, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lowers, work, async (before, after) => {
        const { lower, upper, mounted } = await mountOverlay(`${directory.path}/${round++}`, options, (at) => {
          makeSome(at);
          for (const step of before) if (step.kind !== "mark") perform(at, step);
        });
        for (const step of after) perform(mounted, step);
        const shown = await treeOf(engine, directoryChanges(mounted, engine.content.writer()));
        await run("umount", [mounted]);

        const base = await treeOf(engine, directoryChanges(lower, engine.content.writer()));
        const captured = await treeOf(engine, deltaChanges(upper, engine.content.writer(), { dialect }), base);
        assert.deepEqual([...diffTrees(engine.trees, shown, captured)], []);
        assert.equal(captured.digest, shown.digest);
      }),
      { numRuns: 30 },
    );
  });
}

test("delta source: redirects are paths of the base, also of directories moved and renamed within moved ones", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  await using engine = await openEngine();
  const { lower, upper, mounted } = await mountOverlay(directory.path, ",redirect_dir=on,metacopy=on", (at) => {
    fs.mkdirSync(`${at}/p/q/r`, { recursive: true });
    fs.mkdirSync(`${at}/d`);
    for (const path of ["p/f", "p/q/f", "p/q/r/f"]) fs.writeFileSync(`${at}/${path}`, path);
  });
  const move = (from: TreePath, to: TreePath): void => fs.renameSync(`${mounted}/${from}`, `${mounted}/${to}`);
  move("p/q/r", "d/inner");
  move("p", "d/outer");
  move("d/outer/q", "d/outer/renamed");
  move("d/inner", "d/outer/renamed/r");
  fs.chmodSync(`${mounted}/d/outer/renamed/f`, 0o600);
  move("d/outer/renamed/f", "d/outer/renamed/r/g");
  fs.chmodSync(`${mounted}/d/outer/renamed/r/f`, 0o640);
  fs.mkdirSync(`${mounted}/p`);
  const shown = await treeOf(engine, directoryChanges(mounted, engine.content.writer()));
  await run("umount", [mounted]);

  const base = await treeOf(engine, directoryChanges(lower, engine.content.writer()));
  const changes: RawChange[] = [];
  for await (const batch of deltaChanges(upper, engine.content.writer())) changes.push(...batch);
  assert.deepEqual(
    changes.flatMap((change) => (change.kind === "redirect" ? [[change.path, change.from]] : [])).sort(),
    [
      ["d/outer", "p"],
      ["d/outer/renamed", "p/q"],
      ["d/outer/renamed/r", "p/q/r"],
    ],
  );
  assert.deepEqual([...diffTrees(engine.trees, shown, await treeOf(engine, [changes], base))], []);
});

test("delta source: hard links that index=on keeps elsewhere are refused, not read as broken", async (t) => {
  if (!requireRoot(t)) return;
  await using directory = await temporaryDirectory();
  await using engine = await openEngine();
  const { upper, mounted } = await mountOverlay(directory.path, ",index=on", makeSome);
  fs.appendFileSync(`${mounted}/linked1`, "more");
  await run("umount", [mounted]);
  await assert.rejects(treeOf(engine, deltaChanges(upper, engine.content.writer())), { code: "UNSUPPORTED" });
});

interface Overlay {
  readonly lower: string;
  readonly upper: string;
  readonly mounted: string;
}

async function mountOverlay(path: string, options: string, makeLower: (at: string) => void): Promise<Overlay> {
  const [lower = "", upper = "", work = "", mounted = ""] = ["lower", "upper", "work", "mounted"].map(
    (name) => `${path}/${name}`,
  );
  for (const each of [lower, upper, work, mounted]) fs.mkdirSync(each, { recursive: true });
  makeLower(lower);
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await run("mount", ["-t", "overlay", "overlay", "-o", layers + options, mounted]);
  return { lower, upper, mounted };
}

async function treeOf(
  engine: Engine,
  batches: AsyncIterable<readonly RawChange[]> | Iterable<readonly RawChange[]>,
  base?: Tree,
): Promise<Tree> {
  const builder = new TreeBuilder(engine.trees, base);
  for await (const batch of batches) for (const change of batch) builder.apply(change);
  return builder.finish();
}

/** So that no lower is without directories to merge and hard links to break. */
function makeSome(at: string): void {
  fs.mkdirSync(`${at}/a/b/c`, { recursive: true });
  fs.mkdirSync(`${at}/b/b`, { recursive: true });
  for (const path of ["a/a", "a/b/a", "a/b/c/a", "b/b/b", "c", "linked1"]) fs.writeFileSync(`${at}/${path}`, path);
  fs.linkSync(`${at}/c`, `${at}/a/c`);
  fs.linkSync(`${at}/c`, `${at}/b/c`);
  fs.linkSync(`${at}/linked1`, `${at}/linked2`);
}

function perform(root: string, { kind, path, to, number }: Step): void {
  const at = `${root}/${path}`;
  try {
    switch (kind) {
      case "write":
        return write(at, "w".repeat(number), number % 2 ? TRUNCATE : EXCLUSIVE);
      case "append":
        return write(at, "+", fs.constants.O_APPEND);
      case "truncate":
        return fs.truncateSync(at, number * 100);
      case "touch":
        return fs.lutimesSync(at, number, number);
      case "unlink":
        return fs.unlinkSync(at);
      case "rmdir":
        return fs.rmdirSync(at);
      case "mkdir":
        return fs.mkdirSync(at);
      case "rename":
        return fs.renameSync(at, `${root}/${to}`);
      case "remove":
        return fs.rmSync(at, { recursive: true });
      case "replace":
        fs.rmSync(at, { recursive: true });
        return fs.mkdirSync(at);
      case "chmod":
        return fs.chmodSync(at, number);
      case "chown":
        return fs.lchownSync(at, number, number + 1);
      case "xattr":
        return setXattr(root, path, number % 2 ? "trusted.some" : "user.some");
      case "mark":
        return setXattr(root, path, number % 2 ? "trusted.overlay.opaque" : "user.overlay.opaque");
      case "link":
        return fs.linkSync(at, `${root}/${to}`);
      case "symlink":
        return fs.symlinkSync(to, at);
      case "fifo":
      case "device":
        return makeNode(root, path, kind);
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

const TRUNCATE = fs.constants.O_CREAT | fs.constants.O_TRUNC;
const EXCLUSIVE = fs.constants.O_CREAT | fs.constants.O_EXCL;

function write(path: string, text: string, flags: number): void {
  // O_NONBLOCK: where a fifo stands, an open for writing would wait for ever.
  const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK | flags);
  fs.writeSync(fd, text);
  fs.closeSync(fd);
}

function setXattr(root: string, path: TreePath, name: string): void {
  using directory = DirectoryHandle.open(parent(root, path));
  directory.setXattr(path.slice(path.lastIndexOf("/") + 1), name, Buffer.from("y"));
}

function makeNode(root: string, path: TreePath, kind: "fifo" | "device"): void {
  using directory = DirectoryHandle.open(parent(root, path));
  directory.makeNode(path.slice(path.lastIndexOf("/") + 1), kind === "fifo" ? "fifo" : "character", 0o600, 1, 3);
}

function parent(root: string, path: TreePath): string {
  return `${root}/${path}`.slice(0, -(path.length - path.lastIndexOf("/")));
}
