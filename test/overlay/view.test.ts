import assert from "node:assert/strict";
import fs from "node:fs";
import type { PathLike } from "node:fs";
import { posix } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import type { RawChange } from "../../src/model/change.ts";
import type { Metadata } from "../../src/model/node.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import { BlockCache } from "../../src/overlay/block-cache.ts";
import { LowerTrees } from "../../src/overlay/lower-tree.ts";
import { TreeView } from "../../src/overlay/tree-view.ts";
import { writeDirectory } from "../../src/sinks/directory.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Engine } from "../support/engine.ts";
import { openEngine } from "../support/engine.ts";
import { isRoot } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { build } from "../trees/support.ts";

const NAMES = ["a", "b", "c", "\xc3\xa9", "\xff"] as const;
const names = fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 });
const metadata: fc.Arbitrary<Metadata> = fc.record({
  // What is not root must be able to read it.
  mode: fc.constantFrom(0o700, 0o755, 0o644 | 0o100, 0o1777, 0o6755, 0o600).map((mode) => mode | 0o600),
  uid: fc.constant(process.getuid?.() ?? 0),
  gid: fc.constant(process.getgid?.() ?? 0),
  mtimeSec: fc.constantFrom(0, -1, 1_700_000_000, 2 ** 33),
  mtimeNsec: fc.constantFrom(0, 1, 500_000, 999_999_999),
  xattrs: fc.constant([]),
});

/** Targets are made relative: the host's root is none of the tree's. */
const change = (engine: Engine): fc.Arbitrary<RawChange> =>
  fc
    .tuple(names, metadata, fc.constantFrom("directory", "file", "file", "symlink", "fifo", "link"), names, fc.nat(3))
    .map(([at, own, kind, other, size]): RawChange => {
      const path = at.join("/");
      switch (kind) {
        case "directory":
          return { kind: "put", path, node: { type: "directory", ...own, mode: own.mode | 0o100 } };
        case "symlink": {
          const target = posix.relative(posix.dirname(`/${path}`), `/${other.join("/")}`) || ".";
          return { kind: "put", path, node: { type: "symlink", ...own, mode: 0o777, target } };
        }
        case "fifo":
          return { kind: "put", path, node: { type: "fifo", ...own } };
        case "link":
          return { kind: "link", path, target: other.join("/") };
        default: {
          const writer = engine.content.writer();
          void writer.write(Buffer.alloc([0, 5, 70_000, BLOCK_BYTES + 1][size] ?? 0, path));
          return { kind: "put", path, node: { type: "file", ...own, content: writer.end() } };
        }
      }
    });

const query = fc
  .tuple(
    fc.array(fc.constantFrom(...NAMES, ...NAMES, "..", ".", "", "n".repeat(256)), { minLength: 0, maxLength: 5 }),
    fc.constantFrom("", "", "/", "/."),
  )
  .map(([parts, end]) => `/${parts.join("/")}${end}`);

/** The calls that are compared, each with what of its result is the same on any filesystem. */
const CALLS: Readonly<Record<string, (on: typeof fs, path: PathLike) => unknown>> = {
  stat: (on, path) => statOf(on.statSync(path, { bigint: true })),
  lstat: (on, path) => statOf(on.lstatSync(path, { bigint: true })),
  "lstat in floats": (on, path) => {
    const stats = on.lstatSync(path);
    const { mtimeMs, mtime, mode } = stats;
    return { mtimeMs, mtime, mode, ...ownerOf(stats) };
  },
  "stat without a throw": (on, path) => on.statSync(path, { throwIfNoEntry: false })?.mode,
  readdir: (on, path) => on.readdirSync(path).sort(),
  "readdir of bytes": (on, path) => on.readdirSync(path, "buffer").sort((a, b) => a.compare(b)),
  "readdir with types": (on, path) => on.readdirSync(path, { withFileTypes: true }).map(typeOf).sort(),
  "readdir of all below": (on, path) =>
    typeof path === "string" ? on.readdirSync(path, { withFileTypes: true, recursive: true }).map(typeOf).sort() : null,
  opendir: (on, path) => {
    const directory = on.opendirSync(path);
    const found: string[] = [];
    for (let at = directory.readSync(); at !== null; at = directory.readSync()) found.push(typeOf(at));
    directory.closeSync();
    return found.sort();
  },
  readFile: (on, path) => (isFifo(on, path) ? null : on.readFileSync(path)),
  "readFile as text": (on, path) => (isFifo(on, path) ? null : on.readFileSync(path, "latin1")),
  readlink: (on, path) => on.readlinkSync(path),
  "readlink as bytes": (on, path) => on.readlinkSync(path, { encoding: "buffer" }),
  exists: (on, path) => on.existsSync(path),
  access: (on, path) => on.accessSync(path),
  "access to read": (on, path) => on.accessSync(path, fs.constants.R_OK),
  "access to execute": (on, path) => on.accessSync(path, fs.constants.X_OK),
  "open of directories": (on, path) =>
    on.closeSync(on.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)),
  "open of no symlink": (on, path) =>
    isFifo(on, path) ? null : on.closeSync(on.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)),
  "open to make": (on, path) =>
    on.existsSync(path) ? on.openSync(path, fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_WRONLY) : null,
  read: (on, path) => {
    if (isFifo(on, path)) return null;
    const fd = on.openSync(path, "r");
    try {
      const [start, more, end] = [Buffer.alloc(3), Buffer.alloc(10), Buffer.alloc(200_000)];
      const counts = [
        on.readSync(fd, start, 0, 3, null),
        on.readSync(fd, more, 2, 5, null),
        on.readSync(fd, end, { position: 69_000 }),
        on.readSync(fd, more, 0, 1, null),
      ];
      return [counts, start, more, end];
    } finally {
      on.closeSync(fd);
    }
  },
};

test("view: every reading call gives what node:fs gives on the same tree in a real directory, or the same error", async () => {
  await using engine = await openEngine();
  await using directory = await temporaryDirectory();
  let trees = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(change(engine), { maxLength: 25 }),
      fc.array(query, { minLength: 10, maxLength: 40 }),
      async (changes, queries) => {
        const { tree } = build(engine.trees, changes);
        const root = `${directory.path}/${trees++}`;
        await writeDirectory(root, diffTrees(engine.trees, undefined, tree), engine.content);
        const view = TreeView.of(new LowerTrees(engine.trees, 12).get(tree.digest), blocksOf(engine));
        for (const path of queries) {
          if (leadsOut(root, path)) continue;
          // What node:fs cannot list: it joins names as text.
          const isListable = !changes.some((each) => each.path.includes("\xff"));
          const [here, there] = [Buffer.from(path, "latin1"), Buffer.from(root + path, "latin1")];
          const isText = Buffer.from(here.toString()).equals(here);
          for (const [name, call] of Object.entries(CALLS)) {
            if (name === "readdir of all below" && !isListable) continue;
            // There the root has a name.
            if (name === "open to make" && /^\/+$/.test(path)) continue;
            const [ours, theirs] = [outcome(view as never, call, here, ""), outcome(fs, call, there, root)];
            assert.deepEqual(ours, theirs, `${name} of ${JSON.stringify(path)}`);
            if (isText)
              assert.deepEqual(
                outcome(view as never, call, here.toString(), ""),
                outcome(fs, call, there.toString(), root),
                `${name} of ${JSON.stringify(path)} as text`,
              );
          }
          const real = (on: typeof fs, at: PathLike): unknown =>
            on.realpathSync.native(at, "buffer").toString("latin1");
          const ours = outcome(view as never, real, here, "");
          const theirs = outcome(fs, real, there, root);
          assert.deepEqual(ours, theirs === "" ? "/" : theirs, `realpath of ${path}`);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("view: the faces that promise and that call back give what the synchronous one gives", async () => {
  await using engine = await openEngine();
  await fc.assert(
    fc.asyncProperty(
      fc.array(change(engine), { maxLength: 15 }),
      fc.array(query, { maxLength: 10 }),
      async (changes, queries) => {
        const { tree } = build(engine.trees, changes);
        const view = TreeView.of(new LowerTrees(engine.trees).get(tree.digest), blocksOf(engine));
        for (const path of queries.map((each) => Buffer.from(each, "latin1").toString())) {
          const url = pathToFileURL(path);
          // URLs have no dots and no empty names.
          const same = !/\.|\/\//.test(path);
          for (const name of ["stat", "lstat", "readdir", "readFile", "readlink", "access"] as const) {
            const call: (path: PathLike) => unknown = view[`${name}Sync`];
            const expected = await settled(async () => call(path));
            assert.deepEqual(await settled(() => (view.promises[name] as Late)(path)), expected, `${name} of ${path}`);
            assert.deepEqual(
              await settled(() => promisify(view[name] as LateCall)(path)),
              expected,
              `${name} of ${path}`,
            );
            if (same && !path.endsWith("/")) assert.deepEqual(await settled(async () => call(url)), expected, url.href);
          }
        }
      },
    ),
    { numRuns: 30 },
  );
});

type Late = (path: string) => Promise<unknown>;
type LateCall = (path: string, callback: (error: unknown, result?: unknown) => void) => void;

function blocksOf(engine: Engine, room?: number): BlockCache {
  return new BlockCache(engine.chunks, engine.nodes, room);
}

function isFifo(on: typeof fs, path: PathLike): boolean {
  return on.statSync(path, { throwIfNoEntry: false })?.isFIFO() ?? false;
}

function statOf(stats: fs.BigIntStats): unknown {
  const { mode, rdev, mtimeNs, mtimeMs } = stats;
  const counted = stats.isDirectory() ? {} : { size: stats.size, nlink: stats.nlink };
  const is = [stats.isFile(), stats.isDirectory(), stats.isSymbolicLink(), stats.isFIFO(), stats.isSocket()];
  return { mode, ...ownerOf(stats), rdev, mtimeNs, mtimeMs, is, isStats: stats.mode === mode, ...counted };
}

/** Directories that are implied are root's in a tree, and in an export that another user made, that user's. */
function ownerOf({ uid, gid }: fs.Stats | fs.BigIntStats): object {
  return isRoot() ? { uid, gid } : {};
}

function typeOf(dirent: fs.Dirent): string {
  assert.ok(dirent instanceof fs.Dirent);
  const is = [dirent.isFile(), dirent.isDirectory(), dirent.isSymbolicLink(), dirent.isFIFO(), dirent.isBlockDevice()];
  return `${displayed(dirent.parentPath)
    .replace(/^\/var\/tmp\/[^/]*\/[0-9]*/, "")
    .replace(/^$/, "/")} ${dirent.name} ${is.join()}`;
}

/** Of bytes, if the path was given as bytes. */
function displayed(path: string | Buffer): string {
  return path.toString();
}

/** What a call gives, or the error it throws, without the directory that stands for the root. */
function outcome(
  on: typeof fs,
  call: (on: typeof fs, path: PathLike) => unknown,
  path: PathLike,
  root: string,
): unknown {
  try {
    const result = call(on, path);
    return typeof result === "string" && result.startsWith(root) ? result.slice(root.length) : result;
  } catch (error) {
    assert.ok(error instanceof Error);
    const { message } = error;
    const { code, errno, syscall, path } = error as NodeJS.ErrnoException;
    // Some versions of Node leave the path out.
    if (syscall === "opendir") return code;
    return { code, errno, syscall, path: path?.replace(root, ""), message: message.replace(root, "") };
  }
}

async function settled(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    assert.ok(error instanceof Error);
    const { message, code, errno, syscall, path } = error as NodeJS.ErrnoException;
    return { message, code, errno, syscall, path };
  }
}

/** True if a ".." on the way leads above `root`, as it cannot in a view. */
function leadsOut(root: string, path: string): boolean {
  const parts = path.split("/");
  return parts.some((part, i) => {
    if (part !== "..") return false;
    try {
      const real = fs.realpathSync.native(Buffer.from(root + parts.slice(0, i + 1).join("/"), "latin1"), "buffer");
      return !`${real.toString("latin1")}/`.startsWith(`${root}/`);
    } catch {
      return false;
    }
  });
}
