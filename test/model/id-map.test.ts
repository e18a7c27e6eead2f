import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { containerId, formatIdMap, hostId, parseIdMap, rootOf } from "../../src/model/id-map.ts";
import { idMaps } from "../support/id-maps.ts";

test("id map: its text is read back as itself, in whatever order and with blanks for colons", () => {
  fc.assert(
    fc.property(idMaps, fc.boolean(), (map, blanks) => {
      const lines = formatIdMap(map).toReversed();
      assert.deepEqual(parseIdMap(blanks ? lines.map((line) => line.replaceAll(":", " ")) : lines), map);
    }),
  );
});

test("id map: out and in again is the same id; what is not mapped has none", () => {
  fc.assert(
    fc.property(idMaps, fc.nat(300_000), ({ uids }, id) => {
      const out = hostId(uids, id);
      assert.equal(out === undefined ? id : containerId(uids, out), id);
      const inside = containerId(uids, id);
      assert.equal(inside === undefined ? id : hostId(uids, inside), id);
      assert.equal(
        out === undefined,
        uids.every(({ container, count }) => id < container || id >= container + count),
      );
    }),
  );
});

test("id map: b is users and groups both", () => {
  const both = parseIdMap(["b:0:100000:65536"]);
  assert.deepEqual(both, parseIdMap(["g:0:100000:65536", "u:0:100000:65536"]));
  assert.deepEqual(rootOf(both), { uid: 100_000, gid: 100_000 });
});

for (const [what, ranges] of [
  ["nothing", []],
  ["users alone", ["u:0:100000:65536"]],
  ["no root", ["b:1:100000:65536"]],
  ["an id of the container twice", ["b:0:100000:10", "u:9:200000:1"]],
  ["an id of the host twice", ["b:0:100000:10", "g:10:100009:1"]],
  ["no range at all", ["b:0:100000:0"]],
  ["what is above all ids", ["b:0:4294967295:1"]],
  ["a kind that is none", ["x:0:100000:65536"]],
  ["two numbers", ["b:0:100000"]],
  ["a negative number", ["b:0:-1:10"]],
] as const) {
  test(`id map: ${what} is refused`, () => {
    assert.throws(() => parseIdMap(ranges), { code: "USAGE" });
  });
}
