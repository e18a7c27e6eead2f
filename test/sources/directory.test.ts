import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { truncate } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import type { ContentWriter, RawChange } from "../../src/model/change.ts";
import { joinPath, type TreePath } from "../../src/model/name.ts";
import { directoryChanges, type DirectoryOptions } from "../../src/sources/directory.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { PathWalker } from "../../src/sys/path-walker.ts";
import { compareEntries, readManifest } from "../support/compare.ts";
import { MemoryContent } from "../support/memory-content.ts";
import { isRoot } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { writeFile } from "../sys/support.ts";
import { collected, folded, manifestOf } from "./fold.ts";

const KINDS = ["file", "file", "directory", "directory", "directory", "symlink", "fifo", "socket", "link"] as const;
const names = fc.constantFrom("a", "a", "a", "b", "-rf", ".wh.x", "\xff\xfe", "new\nline", "n".repeat(255));

/** Something to make at a path, where it can be made. */
const makings = fc.array(
  fc.record({
    path: fc.array(names, { minLength: 1, maxLength: 3 }),
    kind: fc.constantFrom(...KINDS),
    mode: fc.constantFrom(0o644, 0o7777, 0o700),
    sec: fc.constantFrom(-1000, 0, 1_700_000_000, 5_000_000_000),
    nsec: fc.constantFrom(0, 1, 999_999_999),
    bytes: fc.uint8Array({ maxLength: 40 }),
    xattr: fc.option(fc.uint8Array({ maxLength: 20 })),
    to: fc.nat(),
  }),
  { maxLength: 25 },
);
type Making = typeof makings extends fc.Arbitrary<(infer M)[]> ? M : never;

test("directory source: it says of random trees what an independent reader says, and reads the same bytes", async () => {
  await fc.assert(
    fc.asyncProperty(makings, async (steps) => {
      await using directory = await temporaryDirectory();
      make(directory.path, steps);
      const content = new MemoryContent();
      const nodes = folded(await collected(directoryChanges(directory.path, content.writer())));
      const expected = await readManifest(directory.path);
      const differences = compareEntries(expected, manifestOf(nodes), { ignore: ["sha256", "blocks"] });
      assert.deepEqual(differences, []);
      for (const [path, node] of nodes) {
        if (node.type !== "file" || "base" in node.content) continue;
        const bytes = readFileSync(Buffer.from(`${directory.path}/${path}`, "latin1"));
        assert.deepEqual(content.bytes(node.content), bytes);
      }
    }),
    { numRuns: 30 },
  );
});

test("directory source: the root comes first, and each directory before what is in it", async () => {
  await using directory = await temporaryDirectory();
  for (const path of ["a/b/c", "a/d", "e"]) mkdirSync(`${directory.path}/${path}`, { recursive: true });
  const paths = (await read(directory.path)).map((change) => change.path);
  assert.equal(paths[0], "");
  for (const path of ["a", "a/b"]) {
    const below = paths.findIndex((other) => other.startsWith(`${path}/`));
    assert.ok(paths.indexOf(path) < below);
  }
});

test("directory source: it goes deeper than PATH_MAX and than there are file descriptors", async () => {
  await using directory = await temporaryDirectory();
  const name = "d".repeat(10);
  {
    using root = DirectoryHandle.open(directory.path);
    using walker = PathWalker.open(root);
    for (let depth = 0; depth < 1500; depth++) {
      walker.current.makeDirectory(name, 0o755);
      walker.enter(name);
    }
    writeFile(walker.current, "file", "deep");
  }
  const content = new MemoryContent();
  const changes = await collected(directoryChanges(directory.path, content.writer()));
  const last = changes.at(-1);
  assert.equal(last?.path, `${`${name}/`.repeat(1500)}file`);
  assert.ok(last.kind === "put" && last.node.type === "file" && "root" in last.node.content);
  assert.equal(content.bytes(last.node.content).toString(), "deep");
});

test("directory source: holes come as holes, also at both ends", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/sparse`;
  writeFileSync(path, "");
  await truncate(path, 1 << 20);
  writeAt(path, 256 << 10, Buffer.alloc(64 << 10, 1));
  writeFileSync(`${directory.path}/empty`, "");
  await truncate(`${directory.path}/empty`, 5 * 2 ** 30);
  const pieces: (number | string)[] = [];
  let length = 0;
  const flush = (): void => void (length > 0 && pieces.push(`data ${length}`), (length = 0));
  const writer: ContentWriter = {
    write: (bytes) => void (length += bytes.length),
    hole: (size) => void (flush(), pieces.push(size)),
    end: () => (flush(), pieces.push("end"), { size: 0, sparse: false, root: null }),
  };
  await collected(directoryChanges(directory.path, writer));
  assert.deepEqual(pieces, [5 * 2 ** 30, "end", 256 << 10, `data ${64 << 10}`, 704 << 10, "end"]);
});

test("directory source: a file that changes while it is read is read again", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/file`;
  writeFileSync(path, "before");
  const content = new MemoryContent();
  const changes = await collected(
    directoryChanges(
      directory.path,
      meddling(content.writer(), 2, () => appendFileSync(path, "+")),
    ),
  );
  const file = changes[1];
  assert.ok(file?.kind === "put" && file.node.type === "file" && "root" in file.node.content);
  assert.equal(content.bytes(file.node.content).toString(), "before++");
});

test("directory source: a file replaced by another while it is read is read again, and its links are its own", async () => {
  await using directory = await temporaryDirectory();
  using root = DirectoryHandle.open(directory.path);
  writeFile(root, "a", "old");
  root.link("a", root, "b");
  const replace = (): void => {
    writeFile(root, "new", "newer");
    renameSync(`${directory.path}/new`, `${directory.path}/a`);
  };
  const content = new MemoryContent();
  const changes = await collected(directoryChanges(directory.path, meddling(content.writer(), 1, replace)));
  assert.deepEqual(
    [...folded(changes)].map(([path, node]) =>
      node.type === "file" && "root" in node.content ? [path, content.bytes(node.content).toString()] : [path],
    ),
    [[""], ["a", "newer"], ["b", "old"]],
  );
});

for (const [what, meddle] of [
  ["grows", (path: string) => appendFileSync(path, "+")],
  ["is cut short", (path: string) => truncateSync(path, readFileSync(path).length - 1)],
  ["changes its mode", (path: string) => chmodSync(path, Math.floor(Math.random() * 0o777) | 0o400)],
] as const) {
  test(`directory source: a file that ${what} whenever it is read is an error`, async () => {
    await using directory = await temporaryDirectory();
    const path = `${directory.path}/file`;
    writeFileSync(path, "x".repeat(1 << 20));
    const writer = meddling(new MemoryContent().writer(), Infinity, () => meddle(path));
    await assert.rejects(collected(directoryChanges(directory.path, writer)), { code: "SOURCE_INVALID" });
  });
}

for (const kind of ["file", "directory"] as const) {
  test(`directory source: a ${kind} that vanishes after it was listed is an error`, async () => {
    await using directory = await temporaryDirectory();
    const path = `${directory.path}/gone`;
    if (kind === "file") writeFileSync(path, "x");
    else mkdirSync(path);
    writeFileSync(`${directory.path}/zz`, "");
    // It is asked right before each name is looked at.
    const removeAt = kind === "file" ? "gone" : "zz";
    const exclude = (at: TreePath): boolean => {
      if (at === removeAt) rmSync(path, { recursive: true });
      return false;
    };
    await assert.rejects(read(directory.path, { exclude }), { code: "SOURCE_INVALID" });
  });
}

for (const kind of ["file", "directory"] as const) {
  test(`directory source: a ${kind} that may not be read is not permitted, unless it is excluded`, async () => {
    await using directory = await temporaryDirectory();
    const path = `${directory.path}/shut`;
    if (kind === "file") writeFileSync(path, "x");
    else mkdirSync(path);
    chmodSync(path, 0);
    await asSomeUser(async () => {
      await assert.rejects(read(directory.path), { code: "NOT_PERMITTED" });
      assert.equal((await read(directory.path, { exclude: (at) => at === "shut" })).length, 1);
    });
  });
}

test("directory source: what is excluded hides all that is below it", async () => {
  await using directory = await temporaryDirectory();
  mkdirSync(`${directory.path}/a/b`, { recursive: true });
  mkdirSync(`${directory.path}/c/b`, { recursive: true });
  const asked: TreePath[] = [];
  const exclude = (path: TreePath): boolean => asked.push(path) > 0 && path === "a";
  assert.deepEqual(
    (await read(directory.path, { exclude })).map((change) => change.path),
    ["", "c", "c/b"],
  );
  assert.deepEqual(asked, ["a", "c", "c/b"]);
});

test("directory source: a source that is missing, or no directory, is an error of its own", async () => {
  await using directory = await temporaryDirectory();
  writeFileSync(`${directory.path}/file`, "");
  await assert.rejects(read(`${directory.path}/none`), { code: "NOT_FOUND" });
  await assert.rejects(read(`${directory.path}/file`), { code: "SOURCE_INVALID" });
});

test("directory source: directories alone come in batches, too", async () => {
  await using directory = await temporaryDirectory();
  for (let i = 0; i < 2000; i++) mkdirSync(`${directory.path}/${i}`);
  const batches: number[] = [];
  for await (const batch of directoryChanges(directory.path, new MemoryContent().writer())) batches.push(batch.length);
  assert.ok(Math.max(...batches) <= 256, `batches of ${batches.join(", ")}`);
});

test("directory source: an aborted signal ends it, and timers run meanwhile", async () => {
  await using directory = await temporaryDirectory();
  for (let i = 0; i < 3000; i++) writeFileSync(`${directory.path}/${i}`, "");
  const controller = new AbortController();
  let batches = 0;
  const reading = async (): Promise<void> => {
    for await (const _ of directoryChanges(directory.path, new MemoryContent().writer(), controller)) {
      if (++batches === 2) setImmediate(() => controller.abort());
    }
  };
  await assert.rejects(reading(), { name: "AbortError" });
  assert.ok(batches < 6);
});

function read(path: string, options?: DirectoryOptions): Promise<RawChange[]> {
  return collected(directoryChanges(path, new MemoryContent().writer(), options));
}

function make(path: string, steps: readonly Making[]): void {
  using root = DirectoryHandle.open(path);
  using walker = PathWalker.open(root);
  const made: TreePath[] = [];
  for (const step of steps) {
    try {
      walker.goTo(step.path.slice(0, -1).join("/"));
      const name = step.path.at(-1) ?? "";
      if (step.kind === "link") link(path, made[step.to % made.length], step.path);
      else makeNode(walker.current, name, step);
      if (step.kind !== "link" && step.kind !== "directory") made.push(step.path.reduce(joinPath));
      if (step.xattr && (step.kind === "file" || step.kind === "directory"))
        walker.current.setXattr(name, "user.test", step.xattr);
      if (step.kind !== "symlink" && step.kind !== "link") walker.current.setMode(name, step.mode | READABLE);
      walker.current.setTimes(name, step.sec, step.nsec);
    } catch (error) {
      // No directory there, or something is there: then nothing is made.
      if (!(error instanceof Error && /^(ENOENT|ENOTDIR|EEXIST|EPERM|ELOOP)/.test(error.message))) throw error;
    }
  }
}

/** Neither reader sees what its user may not. */
const READABLE = isRoot() ? 0 : 0o700;

function makeNode(directory: DirectoryHandle, name: string, { kind, bytes }: Making): void {
  if (kind === "file") writeFile(directory, name, bytes);
  else if (kind === "directory") directory.makeDirectory(name, 0o755);
  else if (kind === "symlink") directory.symlink("some\xffwhere", name);
  else if (kind !== "link") directory.makeNode(name, kind, 0o644, 0, 0);
}

function link(path: string, target: TreePath | undefined, to: readonly string[]): void {
  if (target === undefined) return;
  using root = DirectoryHandle.open(path);
  using from = PathWalker.open(root);
  using there = PathWalker.open(root);
  const names = target.split("/");
  from.goTo(names.slice(0, -1).join("/"));
  there.goTo(to.slice(0, -1).join("/"));
  from.current.link(names.at(-1) ?? "", there.current, to.at(-1) ?? "");
}

/** Does `meddle` at the first write to each of the first `times` contents. */
function meddling(writer: ContentWriter, times: number, meddle: () => void): ContentWriter {
  let contents = 0;
  let written = false;
  return {
    write(bytes) {
      if (!written && contents < times) meddle();
      written = true;
      return writer.write(bytes);
    },
    hole: (length) => writer.hole(length),
    end() {
      contents++;
      written = false;
      return writer.end();
    },
  };
}

function writeAt(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Runs `act` without root's privilege to read everything. */
async function asSomeUser(act: () => Promise<void>): Promise<void> {
  if (!isRoot()) return act();
  process.seteuid?.(65534);
  try {
    await act();
  } finally {
    process.seteuid?.(0);
  }
}
