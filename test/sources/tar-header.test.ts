import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readNumber } from "../../src/sources/tar-header.ts";
import { archive, entry, header, type HeaderFields, nodeAt, numberField, readTar } from "./tar-support.ts";

test("tar header: every number comes back from its field, octal or base 256, negative too", () => {
  const value = fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.nat(100));
  fc.assert(
    fc.property(value, fc.constantFrom(8, 12), (number, length) => {
      assert.equal(readNumber(numberField(length, number), 0, length), number);
    }),
  );
});

for (const [field, value] of [
  ["0000644\0", 0o644],
  ["000644 \0", 0o644],
  ["   644 \0", 0o644],
  ["644\0\0\0\0\0", 0o644],
  ["644 junk", 0o644],
  ["77777777", 0o77777777],
  ["\x000000644", 0o644],
  ["\0\0\0\0\0\0\0\0", 0],
  ["        ", 0],
  ["\x80\0\0\0\0\0\x01\0", 256],
  ["\xff\xff\xff\xff\xff\xff\xff\xfe", -2],
  ["0000648\0", NaN],
  ["rw-r--r-", NaN],
] as const) {
  test(`tar header: ${JSON.stringify(field)} is ${value}`, () => {
    assert.equal(readNumber(Buffer.from(field, "latin1"), 0, 8), value);
  });
}

const HIGH_NAME = "\xe9\xff name";
for (const checksum of ["signed", "unsigned"] as const) {
  test(`tar header: a check sum of ${checksum} bytes fits`, async () => {
    const read = await readTar(archive(header({ name: HIGH_NAME, checksum })));
    assert.deepEqual([...read.nodes.keys()], [HIGH_NAME]);
  });
}

test("tar header: a name is the prefix and the name, where the dialect has a prefix", async () => {
  const [name, prefix] = ["n".repeat(100), "p".repeat(155)];
  const nameOf = async (fields: HeaderFields) => [...(await readTar(archive(header(fields)))).nodes.keys()];
  assert.deepEqual(await nameOf({ name, prefix }), [`${prefix}/${name}`]);
  assert.deepEqual(await nameOf({ name, prefix, dialect: "gnu" }), [name]);
  assert.deepEqual(await nameOf({ name, prefix, dialect: "v7" }), [name]);
  // star keeps times where the prefix of others goes on.
  const star = { name, prefix: "p".repeat(130), dialect: "star", raw: { 476: "14000000000 14000000000 " } } as const;
  assert.deepEqual(await nameOf(star), [`${"p".repeat(130)}/${name}`]);
});

test("tar header: type bits in a mode are left out, a link name fills its field", async () => {
  const target = "t".repeat(100);
  const read = await readTar(
    archive(entry({ name: "a", mode: 0o104755 }), entry({ name: "b", type: "2", linkName: target })),
  );
  assert.equal(nodeAt(read, "a", "file").mode, 0o4755);
  assert.equal(nodeAt(read, "b", "symlink").target, target);
});
