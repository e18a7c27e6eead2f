import assert from "node:assert/strict";
import fs from "node:fs";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { finished, pipeline } from "node:stream/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { create, importLayer, openContainer } from "../../src/index.ts";
import type { ContainerView } from "../../src/index.ts";
import { isRoot } from "../support/run.ts";
import type { TestStore } from "../support/store.ts";
import { openTestStore } from "../support/store.ts";
import { CALLS } from "./writing-calls.ts";
import type { Loose } from "./writing-calls.ts";
import { HANDLE_CALLS } from "./writing-handle-calls.ts";

/** A container over a tree with one directory, open to be changed. */
async function openEmpty(at: TestStore): Promise<ContainerView> {
  fs.mkdirSync(`${at.path}/source/at`, { recursive: true });
  await importLayer(at.context, { source: `${at.path}/source`, name: "base" });
  await create(at.context, { source: "base", name: "web", noLxc: true });
  return openContainer(at.context, { name: "web" });
}

test("writing: every call does what node:fs/promises does in a real directory, or fails with the same error", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const there = `${at.path}/real`;
  fs.mkdirSync(there);
  for (const [name, call] of CALLS) {
    const expected = await outcome(() => call(fs.promises as unknown as Loose, there), there);
    assert.deepEqual(await outcome(() => call(view.promises as unknown as Loose, "/at"), "/at"), expected, name);
    assert.deepEqual(await shown(asNode(view).promises, "/at"), await shown(fs.promises, there), `after ${name}`);
  }
});

test("writing: handles do what node:fs/promises's do, also closed ones", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const there = `${at.path}/real`;
  fs.mkdirSync(there);
  for (const [i, [name, flags, ...calls]] of HANDLE_CALLS.entries()) {
    const seen: unknown[][] = [];
    for (const [on, root] of [[fs.promises, there] as const, [asNode(view).promises, "/at"] as const]) {
      const path = `${root}/${i}`;
      await on.writeFile(path, "0123456789");
      const handle = await on.open(path, flags);
      const results: unknown[] = [];
      for (const call of calls) results.push(await outcome(async () => call(handle as never), root));
      await handle.close();
      assert.equal(handle.fd, -1);
      seen.push([...results, await on.readFile(path, "latin1")]);
    }
    assert.deepEqual(seen[1], seen[0], name);
  }
});

test("writing: streams of a view and of its handles end, close and fail as node:fs's do", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const there = `${at.path}/real`;
  fs.mkdirSync(there);
  const pieces = (): Readable => Readable.from(Array.from({ length: 300 }, (_, i) => `line ${i}\n`.repeat(200)));
  const seen = [];
  for (const [on, root] of [[fs, there] as const, [asNode(view), "/at"] as const]) {
    const results: unknown[] = [];
    const path = `${root}/stream`;
    await pipeline(pieces(), on.createWriteStream(path, { mode: 0o600 }));
    await pipeline(["appended"], on.createWriteStream(path, { flags: "a" }));
    await pipeline(["in the middle"], on.createWriteStream(path, { flags: "r+", start: 100, flush: true }));
    results.push(await text(on.createReadStream(path, "utf8")), (await on.promises.stat(path)).mode);
    results.push(await outcome(() => pipeline(["x"], on.createWriteStream(`${root}/no/x`)), root));
    results.push(await outcome(() => pipeline(["x"], on.createWriteStream(path, { flags: "wx" })), root));

    // As graceful-fs makes its own.
    const applied = Object.create(on.WriteStream.prototype) as fs.WriteStream;
    (on.WriteStream as unknown as (...args: unknown[]) => void).call(applied, `${root}/applied`, "latin1");
    applied.end("é");
    await finished(applied);
    results.push(await on.promises.readFile(`${root}/applied`, "hex"), applied instanceof fs.WriteStream);

    const handle = await on.promises.open(path, "r+");
    const writer = handle.createWriteStream({ start: 5, autoClose: false });
    writer.end("from a handle");
    await finished(writer);
    const lines: string[] = [];
    for await (const line of createInterface({
      input: handle.createReadStream({ start: 0, end: 200, autoClose: false }),
    }))
      lines.push(line);
    results.push(lines);
    const other = await on.promises.open(path);
    let count = 0;
    for await (const _line of other.readLines()) count++;
    results.push(count, other.fd);

    const ended = await on.promises.open(path, "w");
    const unfinished = ended.createWriteStream();
    unfinished.write("kept");
    await ended.close();
    results.push(unfinished.writableFinished, ended.fd, await on.promises.readFile(path, "utf8"));
    // Node's own handle waits for ever for a stream that has ended, but was not to close it.
    if (on === fs) writer.destroy();
    await handle.close();
    seen.push(results);
  }
  assert.deepEqual(seen[1], seen[0]);
});

test("writing: a signal stops a long write and a long read between two pieces", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const aborting = new AbortController();
  async function* endless(): AsyncGenerator<string> {
    for (let i = 0; ; i++) {
      if (i === 3) aborting.abort(new Error("enough"));
      yield "x";
    }
  }
  const { signal } = aborting;
  const error = { name: "AbortError", code: "ABORT_ERR", cause: new Error("enough") };
  await assert.rejects(view.promises.writeFile("/at/f", endless(), { signal }), error);
  assert.equal(view.readFileSync("/at/f", "utf8"), "xxx");
  await assert.rejects(view.promises.readFile("/at/f", { signal }), error);
  await view.promises.truncate("/at/f", 64 << 20);
  const later = new AbortController();
  const reading = view.promises.readFile("/at/f", { signal: later.signal });
  setImmediate(() => later.abort());
  await assert.rejects(reading, { name: "AbortError" });
});

test("writing: what calls back does what the promises do, and throws at once for wrong arguments", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const there = `${at.path}/real`;
  fs.mkdirSync(there);
  const names = new Set(
    Object.keys(fs.promises).filter((name) => typeof fs[name as "stat"] === "function" && name in view),
  );
  for (const [name, call] of CALLS.filter(([name]) => !/iterable|generator|stream|lchmod|piece/.test(name))) {
    const seen = [];
    for (const [on, root] of [[fs, there] as const, [asNode(view), "/at"] as const]) {
      const late = Object.fromEntries(
        [...names].map((each) => [each, promisify(on[each as "chmod"])]),
      ) as unknown as Loose;
      seen.push(await outcome(() => call(late, root), root));
    }
    // Node's promises and callbacks differ here: what is not there is found before the length is looked at, or after it.
    assert.deepEqual(seen[1], seen[0], name);
  }
  assert.deepEqual(await shown(asNode(view).promises, "/at"), await shown(fs.promises, there));
  const faces = [fs, view] as unknown as Record<string, (...args: unknown[]) => void>[];
  for (const [name, ...args] of [
    ["mkdir", 5, nothing],
    ["chmod", "/x", "x", nothing],
    ["chown", "/x", "0", 0, nothing],
    ["utimes", "/x", "x", 0, nothing],
    ["rename", "/x", null, nothing],
    ["writeFile", "/x", {}, nothing],
    ["writeFile", "/x", "x", "nope", nothing],
    ["open", "/x", "nope", nothing],
    ["write", "fd", "x", nothing],
    ["write", 1, {}, nothing],
    ["write", 1, Buffer.alloc(1), 2, nothing],
    ["writev", 1, "x", nothing],
    ["read", 1, Buffer.alloc(1), 0, 5, 0, nothing],
    ["read", 1, Buffer.alloc(1), 0, 1, "x", nothing],
    ["ftruncate", 1, "x", nothing],
    ["fchmod", 1, "x", nothing],
    ["unlink", "/x"],
    ["rm", "/x", null, nothing],
  ] as const)
    assert.throws(
      () => faces[1]![name]!(...args),
      (error: NodeJS.ErrnoException) => {
        assert.throws(() => faces[0]![name]!(...args), { name: error.name, code: error.code });
        return true;
      },
      name,
    );
});

test("writing: descriptors are for one view, and go through the calls that libraries make", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const seen = [];
  for (const [on, path] of [[fs, `${at.path}/fd`] as const, [asNode(view), "/at/fd"] as const]) {
    const fd = await promisify(on.open)(path, "w+", 0o600);
    const results: unknown[] = [];
    const call = async (name: string, ...args: unknown[]): Promise<void> => {
      const late = promisify(on[name as "fsync"]) as unknown as (...args: unknown[]) => Promise<unknown>;
      results.push(await outcome(() => late(...args), path));
    };
    await call("write", fd, "text");
    await call("write", fd, Buffer.from("bytes"), 1, 3, 10);
    await call("writev", fd, [Buffer.from("a"), Buffer.from("b")]);
    await call("read", fd, Buffer.alloc(4), 0, 4, 0);
    await call("read", fd, { buffer: Buffer.alloc(2), position: 1 });
    await call("readv", fd, [Buffer.alloc(2), Buffer.alloc(1)], 0);
    await call("ftruncate", fd, 8);
    await call("fchmod", fd, 0o640);
    await call("fchown", fd, -1, -1);
    await call("futimes", fd, 1, new Date(2500));
    await call("fsync", fd);
    await call("fdatasync", fd);
    await call("writeFile", fd, "more");
    await call("appendFile", fd, "and more");
    await call("readFile", path, "latin1");
    await call("close", fd);
    await call("write", 2 ** 29, "x");
    await call("fsync", 2 ** 29);
    await call("close", 2 ** 29);
    const { mode, size } = on.statSync(path);
    seen.push([...results, mode, size]);
  }
  assert.deepEqual(seen[1], seen[0]);
});

test("writing: what Linux has and node:fs lacks: nodes, attributes, exchanges, holes and nanoseconds", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  const { promises } = view;
  await promises.mknod("/at/fifo", fs.constants.S_IFIFO | 0o600);
  await promises.mknod("/at/null", fs.constants.S_IFCHR | 0o666, { major: 1, minor: 3 });
  assert.ok(view.statSync("/at/fifo").isFIFO());
  assert.equal(view.statSync("/at/null").rdev, 0x103);
  await assert.rejects(promises.mknod("/at/fifo", fs.constants.S_IFIFO), { code: "EEXIST", syscall: "mknod" });
  await assert.rejects(promises.mknod("/at/x", "x" as never), { code: "ERR_INVALID_ARG_VALUE" });

  await promises.writeFile("/at/a", "a");
  await promises.writeFile("/at/b", "b");
  await promises.symlink("a", "/at/link");
  await promises.setxattr("/at/link", "user.ä", Buffer.of(0, 255));
  assert.deepEqual(await promises.getxattr("/at/a", "user.ä"), Buffer.of(0, 255));
  assert.deepEqual(await promises.listxattr("/at/a"), ["user.ä"]);
  await assert.rejects(promises.setxattr("/at/a", "user.ä", Buffer.of(), { flag: "create" }), { code: "EEXIST" });
  await assert.rejects(promises.setxattr("/at/a", "user.b", Buffer.of(), { flag: "replace" }), { code: "ENODATA" });
  await assert.rejects(promises.lsetxattr("/at/link", "user.b", Buffer.of()), { code: "EPERM" });
  await assert.rejects(promises.setxattr("/at/a", "user.b", "text" as never), { code: "ERR_INVALID_ARG_TYPE" });
  await promises.removexattr("/at/link", "user.ä");
  await assert.rejects(promises.removexattr("/at/a", "user.ä"), { code: "ENODATA", path: "/at/a" });

  const renaming = { code: "EEXIST", syscall: "rename", path: "/at/a", dest: "/at/b" };
  await assert.rejects(promises.rename("/at/a", "/at/b", { flag: "noreplace" }), renaming);
  await promises.rename("/at/a", "/at/b", { flag: "exchange" });
  assert.equal(view.readFileSync("/at/a", "utf8"), "b");

  await promises.utimes("/at/a", 1n, 1_700_000_000_123_456_789n);
  assert.equal(view.statSync("/at/a", { bigint: true }).mtimeNs, 1_700_000_000_123_456_789n);
  await promises.lutimes("/at/link", 0n, -1n);
  assert.equal(view.lstatSync("/at/link", { bigint: true }).mtimeNs, -1n);

  await promises.lchmod("/at/a", 0o640);
  assert.equal(view.statSync("/at/a").mode & 0o777, 0o640);
  await assert.rejects(promises.lchmod("/at/link", 0o640), { code: "ENOTSUP", path: "/at/link" });

  await using handle = await promises.open("/at/holes", "w+");
  await handle.write(Buffer.alloc(1 << 20, 1));
  await handle.punchHole(128 << 10, 256 << 10);
  assert.deepEqual(await handle.dataSegments(), [
    { start: 0, end: 128 << 10 },
    { start: 384 << 10, end: 1 << 20 },
  ]);
  await handle.truncate(16 << 20);
  assert.equal((await handle.stat()).size, 16 << 20);

  const { type, bsize, blocks, bfree } = await promises.statfs("/at");
  assert.ok(type === 0x794c7630 && bsize === 4096 && blocks >= bfree && bfree > 0);
  assert.equal(typeof (await promises.statfs("/", { bigint: true })).blocks, "bigint");
});

test("writing: there are no functions that write and do not wait", async () => {
  await using at = await openTestStore();
  await using view = await openEmpty(at);
  assert.equal("writeFileSync" in view, false);
  assert.throws(() => view.openSync("/at/new", "w"), { code: "EROFS" });
});

/** Its types say less than those of node:fs: less of what is old, and of what writes and does not wait nothing. */
function asNode(view: ContainerView): typeof fs {
  return view as unknown as typeof fs;
}

function nothing(): void {
  throw new Error("called back");
}

/** What a call gives, or all that node:fs says in an error, without the directory. */
async function outcome(call: () => unknown, root: string): Promise<unknown> {
  try {
    return plain(await call(), root);
  } catch (error) {
    assert.ok(error instanceof Error);
    const { name } = error;
    const { code, errno, syscall, path, dest, info } = error as NodeJS.ErrnoException &
      Record<"dest" | "info", unknown>;
    return plain({ name, code, errno, syscall, path, dest, info: info }, root);
  }
}

function plain(value: unknown, root: string): unknown {
  if (typeof value === "string") return value.replaceAll(root, "");
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
  if (Array.isArray(value)) return value.map((each) => plain(each, root));
  if (!isPlainObject(value)) return value.constructor.name.replace(/^View/, "");
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each, root)]));
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** All that there is, with what the calls say of it; times where a call sets them. */
async function shown(on: typeof fs.promises, root: string, top = root): Promise<unknown[]> {
  const found: unknown[] = [];
  const listing = await on.readdir(Buffer.from(root), { encoding: "buffer" });
  for (const name of listing.map((each) => each.toString("latin1")).sort()) {
    const path = Buffer.from(`${root}/${name}`, "latin1");
    const { mode, nlink, size, uid, gid, mtimeNs } = await on.lstat(path, { bigint: true });
    // What a view makes is root's.
    const owner = isRoot() ? [uid, gid] : [];
    const kind = Number(mode) & fs.constants.S_IFMT;
    const set = mtimeNs < 1_750_000_000_000_000_000n ? mtimeNs : "now";
    const shownName = name.replace(/^t-.{6}$/, "t-XXXXXX");
    if (kind === fs.constants.S_IFDIR) {
      found.push([shownName, mode, ...owner, set], ...(await shown(on, `${root}/${name}`, top)));
    } else {
      const bytes =
        kind === fs.constants.S_IFLNK
          ? (await on.readlink(path, "buffer")).toString("latin1").replace(top, "")
          : size < 50_000n
            ? await on.readFile(path, "latin1")
            : size;
      found.push([shownName, mode, nlink, ...owner, set, bytes]);
    }
  }
  return found;
}
