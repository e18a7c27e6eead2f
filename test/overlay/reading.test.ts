import assert from "node:assert/strict";
import { buffer, text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import type { RawChange } from "../../src/model/change.ts";
import type { Content } from "../../src/model/node.ts";
import { BLOCK_BYTES, EMPTY_CONTENT, IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import { BlockCache } from "../../src/overlay/block-cache.ts";
import { LowerTrees } from "../../src/overlay/lower-tree.ts";
import { TreeView } from "../../src/overlay/tree-view.ts";
import type { Engine } from "../support/engine.ts";
import { openEngine } from "../support/engine.ts";
import { build } from "../trees/support.ts";

function put(engine: Engine, ...pieces: (Uint8Array | number)[]): Content {
  const writer = engine.content.writer();
  for (const piece of pieces) {
    if (typeof piece === "number") writer.hole(piece);
    else void writer.write(piece);
  }
  return writer.end();
}

function viewOf(engine: Engine, files: Readonly<Record<string, Content>>, more: readonly RawChange[] = []): TreeView {
  const changes = Object.entries(files).map(([path, content]): RawChange => ({
    kind: "put",
    path,
    node: { type: "file", ...IMPLIED_DIRECTORY, content },
  }));
  const { tree } = build(engine.trees, [...changes, ...more]);
  const room = 3 * BLOCK_BYTES;
  return TreeView.of(new LowerTrees(engine.trees).get(tree.digest), new BlockCache(engine.chunks, engine.nodes, room));
}

/** Bytes that differ from block to block, and from byte to byte. */
function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + seed) & 0xff;
  return bytes;
}

test("reading: any range of a file is those of its bytes, from a cache of any size", async () => {
  await using engine = await openEngine();
  const pieces = [bytesOf(300_000, 1), 5 * BLOCK_BYTES, bytesOf(BLOCK_BYTES, 2), 700, bytesOf(10, 3), 40_000];
  const whole = Buffer.concat(pieces.map((piece) => (typeof piece === "number" ? Buffer.alloc(piece) : piece)));
  const content = put(engine, ...pieces);
  fc.assert(
    fc.property(
      fc.nat(whole.length + 10),
      fc.nat(200_000),
      fc.constantFrom(0, 1, BLOCK_BYTES * 2, 2 ** 30),
      (position, length, room) => {
        const cache = new BlockCache(engine.chunks, engine.nodes, room);
        const target = Buffer.alloc(length, 0xee);
        const count = cache.read(content, position, target);
        const expected = whole.subarray(position, position + length);
        assert.equal(count, expected.length);
        assert.ok(target.subarray(0, count).equals(expected));
        assert.ok(target.subarray(count).every((byte) => byte === 0xee));
      },
    ),
    { numRuns: 200 },
  );
});

test("reading: a file of 3 TiB that is nearly all hole has its data where they are, and zeros elsewhere", async () => {
  await using engine = await openEngine();
  const hole = 3 * 2 ** 40;
  const content = put(engine, Buffer.from("start"), hole, Buffer.from("end"));
  const view = viewOf(engine, { file: content, dense: put(engine, Buffer.alloc(BLOCK_BYTES * 3)) });
  await using handle = await view.promises.open("/file");
  const [first, last, ...others] = await handle.dataSegments();
  assert.deepEqual(others, []);
  assert.deepEqual(first, { start: 0, end: BLOCK_BYTES });
  assert.equal(last?.end, hole + 8);
  const { buffer: end } = await handle.read(Buffer.alloc(5), 0, 5, hole + 3);
  assert.equal(end.toString("latin1"), "\0\0end");
  assert.equal((await handle.stat({ bigint: true })).size, BigInt(hole + 8));
  await using dense = await view.promises.open("/dense");
  assert.deepEqual(await dense.dataSegments(), [{ start: 0, end: 3 * BLOCK_BYTES }]);
});

test("handles: they read on from where they were, at a position, into several buffers, as a stream", async () => {
  await using engine = await openEngine();
  const bytes = bytesOf(400_000, 5);
  const view = viewOf(engine, { "etc/file": put(engine, bytes) });
  const handle = await view.promises.open("/etc/file");
  assert.deepEqual((await handle.read(Buffer.alloc(3))).buffer, bytes.subarray(0, 3));
  assert.deepEqual((await handle.read({ length: 4 })).bytesRead, 4);
  assert.deepEqual((await handle.read(Buffer.alloc(2), { position: 100 })).buffer, bytes.subarray(100, 102));
  const [a, b] = [Buffer.alloc(5), Buffer.alloc(6)];
  assert.equal((await handle.readv([a, b])).bytesRead, 11);
  assert.deepEqual(Buffer.concat([a, b]), bytes.subarray(7, 18));
  assert.ok((await view.promises.readFile(handle)).equals(bytes.subarray(18)));
  assert.equal((await handle.read()).bytesRead, 0);
  assert.equal((await handle.stat()).size, 400_000);
  assert.ok((await buffer(handle.createReadStream({ start: 10, end: 299_999 }))).equals(bytes.subarray(10, 300_000)));
  await assert.rejects(handle.read(), { code: "EBADF", syscall: "read" });
  await handle.close();
  const streamed = await text(view.createReadStream("/etc/file", { encoding: "latin1", highWaterMark: 1000 }));
  assert.equal(streamed, bytes.toString("latin1"));
  await assert.rejects(buffer(view.createReadStream("/etc/none")), { code: "ENOENT", path: "/etc/none" });
  const fd = await promisify(view.open)("/etc/file");
  assert.equal(typeof fd, "number");
  const target = Buffer.alloc(4);
  const read = await new Promise((resolve) =>
    view.read(fd, target, 0, 4, 8, (_error: unknown, n: number) => resolve(n)),
  );
  assert.deepEqual([read, target], [4, bytes.subarray(8, 12)]);
  view.closeSync(fd as number);
  assert.throws(() => view.closeSync(fd as number), { code: "EBADF", message: "EBADF: bad file descriptor, close" });
});

test("reading: a damaged chunk is EIO with the path, and says which; everything else stays readable", async () => {
  await using engine = await openEngine();
  const [good, bad] = [bytesOf(BLOCK_BYTES, 1), bytesOf(BLOCK_BYTES, 77)];
  const content = put(engine, bad);
  await engine.flush();
  for await (const key of engine.values.keys({ reverse: true, limit: 1 })) {
    const value = Buffer.from(engine.values.getSync(key) ?? []);
    value[value.length - 1]! ^= 1;
    await engine.values.write([{ type: "put", key, value }]);
  }
  const view = viewOf(engine, { good: put(engine, good), bad: content, both: put(engine, good, bad) });
  await assert.rejects(view.promises.readFile("/bad"), (error: NodeJS.ErrnoException) => {
    const { code, errno, syscall, path, cause } = error;
    assert.deepEqual({ code, errno, syscall, path }, { code: "EIO", errno: -5, syscall: "read", path: "/bad" });
    assert.ok(isStoreError(cause, "CHUNK_CORRUPT"));
    assert.equal(cause.details.digest, content.root);
    return true;
  });
  assert.ok(view.readFileSync("/good").equals(good));
  const fd = view.openSync("/both");
  assert.equal(view.readSync(fd, Buffer.alloc(BLOCK_BYTES)), BLOCK_BYTES);
  assert.throws(() => view.readSync(fd, Buffer.alloc(1)), { code: "EIO", path: "/both" });
});

test("view: what would write is EROFS in each face, and wrong arguments are what node:fs calls them", async () => {
  await using engine = await openEngine();
  const view = viewOf(engine, { file: put(engine, Buffer.from("x")) });
  const faces = view as unknown as Record<string, (...args: unknown[]) => unknown>;
  const promises = view.promises as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  for (const [name, syscall, ...args] of [
    ["mkdir", "mkdir", "/new"],
    ["writeFile", "open", "/new", "y"],
    ["writeFile", "open", "/file", "y"],
    ["truncate", "open", "/file"],
    ["rm", "unlink", "/file"],
    ["rename", "rename", "/file", "/y"],
    ["symlink", "symlink", "/file", "/y"],
    ["copyFile", "copyfile", "/file", "/y"],
    ["chmod", "chmod", "/file", 0o600],
    ["utimes", "utime", "/file", 1, 1],
    ["unlink", "unlink", "/file"],
  ] as const) {
    const error = { code: "EROFS", errno: -30, path: args[0] };
    assert.throws(() => faces[`${name}Sync`]!(...args), { ...error, syscall: name });
    await assert.rejects(promises[name]!(...args), { ...error, syscall });
    const late: (...args: unknown[]) => Promise<unknown> = promisify(faces[name]!);
    await assert.rejects(late(...args), { ...error, syscall });
  }
  await assert.rejects(view.promises.mkdir("/file"), { code: "EEXIST" });
  assert.equal(await view.promises.mkdir("/", { recursive: true }), undefined);
  await assert.rejects(view.promises.mkdir("/a/b", { recursive: true }), { code: "EROFS" });
  await view.promises.rm("/none", { force: true });
  await using handle = await view.promises.open("/file");
  await assert.rejects(handle.write("y"), { code: "EBADF", syscall: "write" });
  await assert.rejects(handle.chmod(0), { code: "EROFS", syscall: "fchmod" });
  await handle.sync();
  await assert.rejects(pipeline(["y"], view.createWriteStream("/new")), { code: "EROFS", path: "/new" });
  assert.equal((await view.promises.statfs("/")).type, 0x794c7630);
  for (const flags of ["w", "r+", "a"]) assert.throws(() => view.openSync("/file", flags), { code: "EROFS" });
  assert.throws(() => view.openSync("/new", "w"), { code: "EROFS" });
  assert.throws(() => view.accessSync("/file", 2), { code: "EROFS" });
  assert.throws(() => view.statSync(5 as never), { code: "ERR_INVALID_ARG_TYPE", name: "TypeError" });
  assert.throws(() => view.statSync("/a\0b"), { code: "ERR_INVALID_ARG_VALUE" });
  assert.throws(() => view.statSync(Buffer.from("/a\0b")), { code: "ERR_INVALID_ARG_VALUE" });
  assert.throws(() => view.readFileSync("/file", "nonsense" as never), { code: "ERR_INVALID_ARG_VALUE" });
  assert.throws(() => view.openSync("/file", "z"), { code: "ERR_INVALID_ARG_VALUE" });
  const fd = view.openSync("/file");
  assert.throws(() => view.readSync(fd, {} as never), { code: "ERR_INVALID_ARG_TYPE" });
  assert.throws(() => view.readSync(fd, Buffer.alloc(2), 3), { code: "ERR_OUT_OF_RANGE" });
  assert.throws(() => view.readSync(fd, Buffer.alloc(2), 1, 2), { code: "ERR_OUT_OF_RANGE" });
  assert.throws(() => view.readSync(fd, Buffer.alloc(2), "0"), { code: "ERR_INVALID_ARG_TYPE" });
  assert.throws(() => view.stat("/file", undefined as never), { code: "ERR_INVALID_ARG_TYPE" });
  assert.equal(view.existsSync(undefined as never), false);
});

test("view: extended attributes are bytes; a symlink has its own", async () => {
  await using engine = await openEngine();
  const value = Uint8Array.of(0, 255, 10);
  const view = viewOf(engine, {}, [
    {
      kind: "put",
      path: "file",
      node: { type: "file", content: EMPTY_CONTENT, ...IMPLIED_DIRECTORY, xattrs: [{ name: "user.\xc3\xa4", value }] },
    },
    { kind: "put", path: "link", node: { type: "symlink", ...IMPLIED_DIRECTORY, target: "file" } },
  ]);
  assert.deepEqual(await view.promises.listxattr("/link"), ["user.ä"]);
  assert.deepEqual(await view.promises.llistxattr("/link"), []);
  assert.deepEqual(view.getxattrSync("/link", "user.ä"), Buffer.from(value));
  await assert.rejects(view.promises.lgetxattr("/link", "user.ä"), { code: "ENODATA", path: "/link" });
  assert.throws(() => view.getxattrSync("/none", "user.ä"), { code: "ENOENT" });
});

test("view: a listing of 20 000 entries is read in order, and left at any time", async () => {
  await using engine = await openEngine();
  const names = Array.from({ length: 20_000 }, (_, i) => `n${String(i).padStart(6, "0")}`);
  const view = viewOf(
    engine,
    {},
    names.map((name) => ({ kind: "put", path: `d/${name}`, node: { type: "fifo", ...IMPLIED_DIRECTORY } })),
  );
  const found: unknown[] = [];
  for await (const dirent of await view.promises.opendir("/d")) found.push(dirent.name);
  assert.deepEqual(found, names);
  const directory = view.opendirSync("/d");
  for await (const dirent of directory) {
    assert.equal(dirent.isFIFO(), true);
    break;
  }
  assert.throws(() => directory.readSync(), { code: "ERR_DIR_CLOSED" });
});
