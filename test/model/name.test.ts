import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestFromBytes, digestToBytes, parseDigest } from "../../src/model/digest.ts";
import {
  baseName,
  byteString,
  byteStringOf,
  comparePaths,
  displayName,
  isEntryPath,
  joinPath,
  parentPath,
  parseName,
  ROOT,
  splitPath,
} from "../../src/model/name.ts";

const name = fc
  .uint8Array({ minLength: 1, maxLength: 4 })
  .map((bytes) => parseName(bytes.map((byte) => (byte % 5 === 0 ? 0x61 : byte))))
  .filter((parsed) => parsed !== undefined);
const path = fc.array(name, { maxLength: 4 }).map((names) => names.join("/"));

test("names: bytes come back as they were, and order as memcmp has them", () => {
  const bytes = fc.uint8Array({ maxLength: 10 });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      assert.deepEqual(Buffer.from(byteString(a), "latin1"), Buffer.from(a));
      assert.equal(byteString(a) < byteString(b), Buffer.compare(a, b) < 0);
    }),
  );
});

test("names: what Linux takes is a name, and nothing else", () => {
  for (const text of ["", ".", "..", "a/b", "a\0", "n".repeat(256)])
    assert.equal(parseName(Buffer.from(text)), undefined);
  for (const text of ["...", "-", " ", "\n", "n".repeat(255)]) assert.equal(parseName(Buffer.from(text)), text);
  assert.equal(parseName(Buffer.of(0xff)), "\xff");
});

test("paths: they come apart as they were joined", () => {
  fc.assert(
    fc.property(path, name, (directory, last) => {
      const joined = joinPath(directory, last);
      assert.deepEqual([parentPath(joined), baseName(joined)], [directory, last]);
      assert.deepEqual(splitPath(joined), [...splitPath(directory), last]);
      assert.ok(isEntryPath(joined));
    }),
  );
  assert.deepEqual(splitPath(ROOT), []);
  for (const text of ["", "/a", "a/", "a//b", "a/../b", "."]) assert.ok(!isEntryPath(text));
});

test("paths: they order by their names one by one, so that a directory's content follows it", () => {
  const byNames = (a: string, b: string): number => {
    const [x, y] = [splitPath(a), splitPath(b)];
    for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i]! < y[i]! ? -1 : 1;
    return x.length - y.length;
  };
  fc.assert(fc.property(path, path, (a, b) => assert.equal(Math.sign(comparePaths(a, b)), Math.sign(byNames(a, b)))));
  const order = ["", "a", "a/x", "a\x01", "a.b", "b"];
  assert.deepEqual([...order].reverse().sort(comparePaths), order);
});

test("names for people: UTF-8 is shown, and no control character gets through", () => {
  assert.equal(displayName(byteStringOf("größe")), "größe");
  // Some terminals take U+009B for the beginning of a control sequence.
  assert.equal(displayName(byteStringOf("a\x1b[2J\x9b2J\n")), "a\\x1b[2J\\x9b2J\\x0a");
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) =>
      assert.doesNotMatch(displayName(byteString(bytes)), /[\x00-\x1f\x7f-\x9f]/),
    ),
  );
});

test("digests: 64 lower-case hex digits are one, and come back from their bytes", () => {
  const hex = "0123456789abcdef".repeat(4);
  assert.equal(digestFromBytes(digestToBytes(parseDigest(hex)!)), hex);
  for (const text of ["", hex.slice(1), `${hex}0`, hex.toUpperCase(), `${hex}\n`, `blake3:${hex}`])
    assert.equal(parseDigest(text), undefined);
});
