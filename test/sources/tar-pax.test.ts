import assert from "node:assert/strict";
import { test } from "node:test";
import type { RawNode } from "../../src/model/change.ts";
import { archive, entry, header, longName, nodeAt, pax, readTar, textAt, xattrsOf } from "./tar-support.ts";

type Records = Parameters<typeof pax>[0];

async function fileWith(records: Records): Promise<RawNode & { type: "file" }> {
  return nodeAt(await readTar(archive(pax(records), entry({ name: "f", uid: 7 }))), "f", "file");
}

for (const [text, sec, nsec] of [
  ["0", 0, 0],
  ["1700000000.123456789", 1700000000, 123456789],
  ["1.5", 1, 500000000],
  ["1.", 1, 0],
  ["1.0000000019", 1, 1],
  ["-1", -1, 0],
  ["-0.25", -1, 750000000],
  ["-1.5", -2, 500000000],
  ["-1.000000001", -2, 999999999],
  ["-1.0000000001", -2, 999999999],
  ["-1.9999999991", -2, 0],
  ["-0.0", 0, 0],
  ["1e-09", 0, 1],
  ["-1.5e-05", -1, 999985000],
  ["-0.000000001", -1, 999999999],
  ["99999999999.000000001", 99999999999, 1],
] as const) {
  test(`pax time: ${text} is ${sec} s and ${nsec} ns`, async () => {
    const { mtimeSec, mtimeNsec } = await fileWith([["mtime", text]]);
    assert.deepEqual([mtimeSec, mtimeNsec], [sec, nsec]);
  });
}

test("pax: the last of two records of a keyword counts, and an empty one takes it back", async () => {
  assert.equal(
    (
      await fileWith([
        ["uid", "1"],
        ["uid", "2"],
      ])
    ).uid,
    2,
  );
  assert.equal(
    (
      await fileWith([
        ["uid", "1"],
        ["uid", ""],
      ])
    ).uid,
    7,
  );
});

test("pax: a global record holds for all entries that follow, one of their own or an empty one goes before it", async () => {
  const read = await readTar(
    archive(
      entry({ name: "before" }),
      pax(
        [
          ["uid", "1"],
          ["gid", "2"],
        ],
        "g",
      ),
      entry({ name: "a" }),
      pax([["uid", "3"]]),
      entry({ name: "b" }),
      pax([["uid", ""]]),
      entry({ name: "c", uid: 9 }),
      pax([["uid", "4"]], "g"),
      entry({ name: "d" }),
    ),
  );
  const owners = [...read.nodes].map(([path, { uid, gid }]) => [path, uid, gid]);
  assert.deepEqual(owners, [
    ["before", 0, 0],
    ["a", 1, 2],
    ["b", 3, 2],
    ["c", 9, 2],
    ["d", 4, 2],
  ]);
});

test("pax: path, linkpath and size go before long names and these before the header", async () => {
  const read = await readTar(
    archive(
      longName("L", "long"),
      pax([
        ["path", "pax"],
        ["size", "4"],
      ]),
      header({ name: "header", size: 999999 }),
      Buffer.from("text".padEnd(512, "\0")),
      longName("K", "long target"),
      longName("L", "long"),
      entry({ name: "header", type: "2", linkName: "header" }),
      pax([["linkpath", "pax"]]),
      entry({ name: "hard", type: "1", linkName: "header" }),
    ),
  );
  assert.deepEqual([...read.nodes.keys()], ["pax", "long", "hard"]);
  assert.equal(textAt(read, "pax"), "text");
  assert.equal(nodeAt(read, "long", "symlink").target, "long target");
  assert.equal(read.nodes.get("hard"), read.nodes.get("pax"));
});

test("pax: device numbers beyond the header's come from records of star", async () => {
  const read = await readTar(
    archive(
      pax([
        ["SCHILY.devmajor", "4095"],
        ["SCHILY.devminor", "1048575"],
      ]),
      entry({ name: "d", type: "4", major: 1 }),
    ),
  );
  const { major, minor } = nodeAt(read, "d", "block");
  assert.deepEqual([major, minor], [4095, 1048575]);
});

test("pax: xattrs of GNU tar keep all bytes, empty values too, and come in byte order of their names", async () => {
  const binary = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const node = await fileWith([
    ["SCHILY.xattr.user.z", binary],
    ["SCHILY.xattr.user.empty", ""],
    ["SCHILY.xattr.user.a%3Db%25", "escaped"],
    ["SCHILY.xattr.security.capability", "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"],
  ]);
  assert.deepEqual(
    node.xattrs.map(({ name }) => name),
    ["security.capability", "user.a=b%", "user.empty", "user.z"],
  );
  assert.equal(xattrsOf(node)["user.z"], binary);
  assert.equal(xattrsOf(node)["user.empty"], "");
});

test("pax: xattrs of bsdtar are taken from where it always escapes the name, each once", async () => {
  const node = await fileWith([
    ["SCHILY.xattr.user.a%3Db%25", "raw name"],
    ["LIBARCHIVE.xattr.user.a%253Db%2525", "cmF3IG5hbWU"],
    ["SCHILY.xattr.user.c=d", "1"],
    ["LIBARCHIVE.xattr.user.c%3Dd", "MQ=="],
    ["SCHILY.xattr.user.%C3%A4", ""],
    ["LIBARCHIVE.xattr.user.%C3%A4", ""],
  ]);
  assert.deepEqual(xattrsOf(node), { "user.a%3Db%25": "raw name", "user.c=d": "1", "user.\xc3\xa4": "" });
});

for (const [what, bytes] of [
  ["a length that is too long", "99 path=a\n"],
  ["a length that is too short", "3 path=a\n"],
  ["no length", "path=a\n"],
  ["no newline", "9 path=abc"],
  ["no equals sign", "8 patha\n"],
  ["no keyword", "5 =a\n"],
  ["a length without end", "9".repeat(400)],
] as const) {
  test(`pax: a record with ${what} is an invalid source`, async () => {
    await assert.rejects(readTar(archive(entry({ name: "x", type: "x" }, bytes), entry({ name: "f" }))), {
      code: "SOURCE_INVALID",
    });
  });
}

for (const record of [
  ["uid", "4294967296"],
  ["uid", "-1"],
  ["gid", "1x"],
  ["size", "99999999999999999999"],
  ["mtime", "soon"],
  ["mtime", "1.5e3"],
  ["mtime", "1e-00"],
  ["mtime", "9".repeat(30)],
  ["SCHILY.xattr.", "no name"],
  [`SCHILY.xattr.user.${"n".repeat(251)}`, "x"],
  ["SCHILY.xattr.user.a", "x".repeat(65537)],
  ["LIBARCHIVE.xattr.user.a%00b", "eA=="],
] as const) {
  test(`pax: ${record[0].slice(0, 20)}=${record[1].slice(0, 20)} is an invalid source`, async () => {
    await assert.rejects(fileWith([record]), { code: "SOURCE_INVALID" });
  });
}

test("pax: more records than an entry can need are an invalid source, in one header or in many", async () => {
  const many = pax(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, "v"] as const));
  await assert.rejects(readTar(archive(many, entry({ name: "f" }))), { code: "SOURCE_INVALID" });
  const large = pax([["comment", "x".repeat(3 << 20)]]);
  await assert.rejects(readTar(archive(large, large, large, entry({ name: "f" }))), { code: "SOURCE_INVALID" });
});
