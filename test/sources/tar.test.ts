import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import type { RawChange, RawNode } from "../../src/model/change.ts";
import { EMPTY_CONTENT } from "../../src/model/node.ts";
import { blockKind } from "../../src/sources/tar-header.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import {
  archive,
  END,
  entry,
  header,
  inPieces,
  longName,
  nodeAt,
  pax,
  readTar,
  textAt,
  withChecksum,
  xattrsOf,
} from "./tar-support.ts";

/** A node as these tests write it: what the tar must give back, but with its bytes. */
interface Written {
  readonly path: string;
  readonly type: RawNode["type"];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: readonly [number, number];
  readonly xattrs: Readonly<Record<string, string>>;
  readonly text: string;
  readonly device: readonly [number, number];
}

const byteText = (options: { minLength?: number; maxLength: number; min?: number }) =>
  fc.array(fc.integer({ min: options.min ?? 1, max: 255 }), options).map((codes) => String.fromCharCode(...codes));
const component = byteText({ minLength: 1, maxLength: 40 })
  .map((name) => name.replaceAll("/", "_"))
  .filter((name) => name !== "." && name !== "..");
const wideComponent = fc.oneof(
  { weight: 9, arbitrary: component },
  { weight: 1, arbitrary: fc.constant("n".repeat(255)) },
);
const id = fc.oneof(fc.nat(70_000), fc.constantFrom(0, 2_097_151, 2_097_152, 4_000_000_000, 2 ** 32 - 1));
const xattrName = byteText({ minLength: 1, maxLength: 12, min: 33 }).map((name) => `user.${name}`);
const written: fc.Arbitrary<Written> = fc.record({
  path: fc.array(wideComponent, { minLength: 1, maxLength: 4 }).map((names) => names.join("/")),
  type: fc.constantFrom("file", "directory", "symlink", "character", "block", "fifo"),
  mode: fc.nat(0o7777),
  uid: id,
  gid: id,
  mtime: fc.tuple(fc.oneof(fc.integer(), fc.constantFrom(-1, 0, 2 ** 33, -(2 ** 35), 2 ** 40)), fc.nat(999_999_999)),
  xattrs: fc.dictionary(xattrName, byteText({ maxLength: 40, min: 0 }), { maxKeys: 3, noNullPrototype: true }),
  text: fc.oneof(byteText({ minLength: 1, maxLength: 200 }), byteText({ minLength: 1, maxLength: 2000 })),
  device: fc.tuple(fc.nat(4095), fc.nat(2 ** 20)),
});
const tree = fc.uniqueArray(written, { selector: ({ path }) => path, maxLength: 8 });

const TYPES = { file: "0", directory: "5", symlink: "2", character: "3", block: "4", fifo: "6", socket: "0" };

function fieldsOf(node: Written) {
  return {
    type: TYPES[node.type],
    mode: node.mode,
    uid: node.uid,
    gid: node.gid,
    linkName: node.type === "symlink" ? node.text : "",
    major: node.device[0],
    minor: node.device[1],
  };
}

function asPax(node: Written): Buffer {
  const records: [string, string][] = [
    ["path", node.path],
    ["uid", String(node.uid)],
    ["gid", String(node.gid)],
    ["mtime", decimalTime(...node.mtime)],
  ];
  if (node.type === "symlink") records.push(["linkpath", node.text]);
  for (const [name, value] of Object.entries(node.xattrs))
    records.push([`SCHILY.xattr.${name.replaceAll("%", "%25").replaceAll("=", "%3D")}`, value]);
  return Buffer.concat([
    pax(records),
    entry({ name: "short", ...fieldsOf(node) }, node.type === "file" ? node.text : ""),
  ]);
}

/** Without what only pax can say. */
function asGnu(node: Written): Buffer {
  const symlink = node.type === "symlink" ? [longName("K", node.text)] : [];
  const fields = { name: "short", dialect: "gnu", mtime: node.mtime[0], ...fieldsOf(node) } as const;
  return Buffer.concat([...symlink, longName("L", node.path), entry(fields, node.type === "file" ? node.text : "")]);
}

function decimalTime(sec: number, nsec: number): string {
  if (sec >= 0 || nsec === 0) return `${sec}.${String(nsec).padStart(9, "0")}`;
  return `-${-sec - 1}.${String(1e9 - nsec).padStart(9, "0")}`;
}

test("tar: what is written as pax or as GNU tar comes back, however the stream is cut", async () => {
  const dialect = fc.constantFrom<"pax" | "gnu">("pax", "gnu");
  await fc.assert(
    fc.asyncProperty(tree, dialect, fc.integer({ min: 1, max: 3000 }), async (nodes, how, pieceBytes) => {
      const read = await readTar(archive(...nodes.map(how === "pax" ? asPax : asGnu)), pieceBytes);
      for (const node of nodes) {
        const { path, type, mode, uid, gid, mtime } = node;
        // One that a later entry replaced.
        if (!read.nodes.has(path)) continue;
        const found = nodeAt(read, path, type);
        assert.deepEqual(
          { mode: found.mode, uid: found.uid, gid: found.gid, mtime: [found.mtimeSec, found.mtimeNsec] },
          { mode: type === "symlink" ? 0o777 : mode, uid, gid, mtime: how === "pax" ? mtime : [mtime[0], 0] },
        );
        assert.deepEqual(xattrsOf(found), how === "pax" ? node.xattrs : {});
        assert.deepEqual(
          found.xattrs.map(({ name }) => name),
          found.xattrs.map(({ name }) => name).sort((a, b) => (a < b ? -1 : 1)),
        );
        if (found.type === "symlink") assert.equal(found.target, node.text);
        if (found.type === "file") assert.equal(textAt(read, path), node.text);
        if (found.type === "character" || found.type === "block")
          assert.deepEqual([found.major, found.minor], node.device);
      }
    }),
    { numRuns: 150 },
  );
});

test("tar: cut short at any byte, it gives a beginning of its entries, or fails as an invalid source", async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.boolean(), fc.nat(), async (nodes, gnu, seed) => {
      const whole = archive(...nodes.map(gnu ? asGnu : asPax));
      const all = await changesOf(whole);
      const cut = seed % whole.length;
      const { changes, failed } = await changesOrFailure(whole.subarray(0, cut));
      assert.deepEqual(changes.map(pathOf), all.slice(0, changes.length).map(pathOf));
      if (cut % 512 !== 0 && cut < whole.length - END.length) assert.ok(failed);
      if (cut >= whole.length - END.length && cut > 0 && cut % 512 === 0) assert.equal(changes.length, all.length);
    }),
    { numRuns: 300 },
  );
});

test("tar: with any bytes changed it is read or fails as an invalid source, and nothing else", async () => {
  const change = fc.tuple(fc.nat(), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      tree,
      fc.boolean(),
      fc.array(change, { maxLength: 6 }),
      fc.boolean(),
      async (nodes, gnu, damage, mend) => {
        const bytes = archive(...nodes.map(gnu ? asGnu : asPax));
        for (const [at, value] of damage) {
          const start = at % bytes.length;
          const block = bytes.subarray(start - (start % 512)).subarray(0, 512);
          const wasHeader = blockKind(block) === "header";
          bytes[start] = value;
          // A wrong check sum would keep most damage from being looked at.
          if (mend && wasHeader) withChecksum(block);
        }
        await changesOrFailure(bytes);
      },
    ),
    { numRuns: 1000 },
  );
});

test("tar: it ends with one block of zeros, with none, and what follows two is not looked at", async () => {
  const file = entry({ name: "a" }, "text");
  for (const end of [[], [END.subarray(512)], [END, Buffer.from("garbage, and much of it".repeat(50))]]) {
    const read = await readTar(Buffer.concat([file, ...end]), 700);
    assert.deepEqual([...read.nodes.keys()], ["a"]);
    assert.equal(textAt(read, "a"), "text");
  }
  assert.equal((await readTar(END)).nodes.size, 0);
});

for (const [what, bytes] of [
  ["nothing at all", Buffer.alloc(0)],
  ["less than a block", Buffer.from("hello")],
  ["text", Buffer.alloc(2048, "no tar. ")],
  ["a header with a wrong check sum", archive(header({ name: "a", checksum: "wrong" }))],
  ["a second header that is none", archive(header({ name: "a" }), Buffer.alloc(512, "x"))],
  ["a header cut short", Buffer.concat([header({ name: "a" }), header({ name: "b" }).subarray(0, 511)])],
  ["data cut short", entry({ name: "a" }, "x".repeat(600)).subarray(0, 1100)],
  ["padding cut short", entry({ name: "a" }, "x").subarray(0, 1000)],
  ["an extended header without an entry", archive(pax([["path", "a"]]))],
  ["a long name without an entry", archive(longName("L", "a"))],
  ["a name above its directory", archive(entry({ name: "../a" }))],
  ["a name that goes up on its way", archive(entry({ name: "a/../../b" }))],
  ["a hard link to above", archive(entry({ name: "a" }), entry({ name: "b", type: "1", linkName: "../a" }))],
  ["a component of 256 bytes", archive(longName("L", "n".repeat(256)), entry({ name: "a" }))],
  ["a NUL in a pax path", archive(pax([["path", "a\0b"]]), entry({ name: "a" }))],
  ["no name", archive(entry({ name: "" }))],
  ["a file as root", archive(entry({ name: "/", type: "6" }))],
  ["a symlink to nothing", archive(entry({ name: "a", type: "2" }))],
  ["a symlink longer than any", archive(longName("K", "x".repeat(4096)), entry({ name: "a", type: "2" }))],
  ["the rest of a file of another volume", archive(entry({ name: "a", type: "M" }, "text"))],
  ["an owner above 32 bits", archive(entry({ name: "a", uid: 2 ** 32 }))],
  ["a negative owner", archive(entry({ name: "a", gid: -2 }))],
  ["a negative size", archive(header({ name: "a", size: -1 }))],
  ["a size beyond all", archive(header({ name: "a", size: 2 ** 70 }))],
  ["a size that is no number", archive(header({ name: "a", raw: { 124: "12x4" } }))],
  ["an extended header of 1 TiB", archive(header({ name: "a", type: "x", size: 2 ** 40 }))],
  ["a long name of 2 MiB", archive(longName("L", "a/".repeat(1 << 20)), entry({ name: "a" }))],
] as const) {
  test(`tar: ${what} is an invalid source`, async () => {
    await assert.rejects(readTar(bytes), { code: "SOURCE_INVALID" });
  });
}

test("tar: a data end names the entry and the byte where it ends", async () => {
  const bytes = archive(entry({ name: "a" }), entry({ name: "dir/b" }, "x".repeat(5000))).subarray(0, 3000);
  await assert.rejects(readTar(bytes), {
    details: { source: "x.tar", reason: "ends inside dir/b at byte 3000" },
  });
});

test("tar: names lead from the root of the tree, however they begin; only the root directory is the root", async () => {
  const read = await readTar(
    archive(
      entry({ name: "./", type: "5", mode: 0o700 }),
      entry({ name: "./a" }),
      entry({ name: "/b" }),
      entry({ name: "//c/./d//e/", type: "5" }),
      entry({ name: "f", type: "1", linkName: "/b" }),
      entry({ name: "..g" }),
    ),
  );
  assert.deepEqual([...read.nodes.keys()], ["", "a", "b", "c/d/e", "f", "..g"]);
  assert.equal(nodeAt(read, "", "directory").mode, 0o700);
});

test("tar: a path of 65 535 bytes is the longest; one above is told in a line", async () => {
  const ofBytes = (length: number): string => `${"d/".repeat(Math.floor(length / 2))}${"f".repeat(length % 2)}`;
  const read = (length: number) => readTar(archive(longName("L", ofBytes(length)), entry({ name: "f" })));
  assert.deepEqual([...(await read(65_535)).nodes.keys()], [ofBytes(65_535)]);
  await assert.rejects(read(65_537), (error: Error) => {
    assert.ok(isStoreError(error, "SOURCE_INVALID") && error.message.length < 2000);
    return true;
  });
});

test("tar: a path that comes twice is what came last", async () => {
  const read = await readTar(archive(entry({ name: "a" }, "1"), entry({ name: "a" }, "2")));
  assert.equal(textAt(read, "a"), "2");
});

test("tar: a hard link is another name of its target, and its data, if it has any, is passed over", async () => {
  const link = { name: "b", type: "1", linkName: "a" } as const;
  const first = entry({ name: "a" }, "text");
  const paxHeader = pax([["comment", "this is pax"]]);
  for (const [what, bytes] of [
    ["none", archive(first, entry(link), entry({ name: "c" }, "more"))],
    ["in pax", archive(paxHeader, first, entry(link, "text"), entry({ name: "c" }, "more"))],
    ["in ustar", archive(first, entry(link, "text"), entry({ name: "c" }, "more"))],
    ["a size only, in ustar", archive(first, header({ ...link, size: 4 }), entry({ name: "c" }, "more"))],
    ["a size only, in GNU", archive(first, header({ ...link, size: 4, dialect: "gnu" }), entry({ name: "c" }, "more"))],
    ["a size only, at the end", archive(first, entry({ name: "c" }, "more"), header({ ...link, size: 4 }))],
  ] as const) {
    const read = await readTar(bytes, 333);
    assert.equal(read.nodes.get("b"), read.nodes.get("a"), what);
    assert.equal(textAt(read, "a"), "text", what);
    assert.equal(textAt(read, "c"), "more", what);
  }
});

test("tar: types of others are a regular file, those that say something about the archive are passed over", async () => {
  const read = await readTar(
    archive(
      entry({ name: "label", type: "V" }),
      entry({ name: "contiguous", type: "7" }, "1"),
      entry({ name: "unknown", type: "Z" }, "2"),
      entry({ name: "old", type: "\0", dialect: "v7" }, "3"),
      entry({ name: "olddir/", type: "\0", dialect: "v7" }),
      entry({ name: "dumped/", type: "D", dialect: "gnu" }, "Ya\0Yb\0\0"),
      entry({ name: "dir", type: "5", size: 4096 }),
      entry({ name: "last" }, "4"),
    ),
  );
  const types = [...read.nodes].map(([path, node]) => [path, node.type]);
  assert.deepEqual(Object.fromEntries(types), {
    contiguous: "file",
    unknown: "file",
    old: "file",
    olddir: "directory",
    dumped: "directory",
    dir: "directory",
    last: "file",
  });
  assert.deepEqual(
    ["contiguous", "unknown", "old", "last"].map((path) => textAt(read, path)),
    ["1", "2", "3", "4"],
  );
});

test("tar: the stream is closed when its consumer leaves, when it fails, and at its end", async () => {
  const whole = archive(...Array.from({ length: 300 }, (_, i) => entry({ name: `f${i}` }, "x")));
  for (const bytes of [whole, whole.subarray(0, 1000), Buffer.alloc(5000, "x")]) {
    for (const leave of [true, false]) {
      let closed = false;
      async function* stream() {
        try {
          yield* inPieces(bytes, 512);
        } finally {
          closed = true;
        }
      }
      try {
        for await (const _ of tarChanges(stream(), nullWriter(), { source: "x.tar" })) if (leave) break;
      } catch (error) {
        if (!isStoreError(error, "SOURCE_INVALID")) throw error;
      }
      assert.ok(closed);
    }
  }
});

test("tar: an abort ends it with the signal's reason, within a file too", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  async function* endless() {
    yield header({ name: "a", size: 2 ** 40 });
    for (let i = 0; ; i++) {
      if (i === 20) controller.abort(reason);
      yield Buffer.alloc(1 << 20);
    }
  }
  await assert.rejects(
    async () => {
      for await (const _ of tarChanges(endless(), nullWriter(), { source: "x.tar", signal: controller.signal }));
    },
    (error) => error === reason,
  );
});

test("tar: progress counts entries and bytes, and moves within a file", async () => {
  const seen: { entries: number; bytes: number }[] = [];
  const bytes = archive(entry({ name: "a" }), entry({ name: "b" }, Buffer.alloc(20 << 20)));
  const options = { source: "x.tar", onProgress: (progress: (typeof seen)[number]) => void seen.push({ ...progress }) };
  for await (const _ of tarChanges(inPieces(bytes, 1 << 20), nullWriter(), options));
  assert.deepEqual(seen.at(-1), { entries: 2, bytes: 20 << 20 });
  assert.ok(seen.some((progress) => progress.bytes > 0 && progress.bytes < 20 << 20));
});

test("tar: a writer that wants to be waited for is", async () => {
  let pending = 0;
  const writer = {
    ...nullWriter(),
    write: async () => {
      assert.equal(pending++, 0);
      await new Promise((resolve) => setImmediate(resolve));
      pending--;
    },
  };
  const bytes = archive(entry({ name: "a" }, "x".repeat(3000)), entry({ name: "b" }, "y"));
  for await (const _ of tarChanges(inPieces(bytes, 100), writer, { source: "x.tar" }));
  assert.equal(pending, 0);
});

async function changesOf(bytes: Uint8Array): Promise<RawChange[]> {
  const { changes, failed } = await changesOrFailure(bytes);
  assert.ok(!failed);
  return changes;
}

/** What was delivered before it failed as an invalid source, if it did; any other failure is thrown. */
async function changesOrFailure(bytes: Uint8Array): Promise<{ changes: RawChange[]; failed: boolean }> {
  const changes: RawChange[] = [];
  try {
    for await (const batch of tarChanges(inPieces(bytes, 1000), nullWriter(), { source: "x.tar" }))
      changes.push(...batch);
    return { changes, failed: false };
  } catch (error) {
    if (!isStoreError(error, "SOURCE_INVALID")) throw error;
    return { changes, failed: true };
  }
}

function nullWriter() {
  return { write: () => undefined, hole: () => undefined, end: () => EMPTY_CONTENT };
}

function pathOf(change: RawChange): string {
  return change.path;
}
