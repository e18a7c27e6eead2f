import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ACCESS_ACL, DEFAULT_ACL, encodeAcl, NO_ID, sortedAcl } from "../../src/format/acl.ts";
import type { Acl } from "../../src/format/acl.ts";
import { capabilityRoot, withCapabilityRoot } from "../../src/format/capability.ts";
import { shiftedIn, shiftedOut } from "../../src/format/shift-ids.ts";
import type { RawNode } from "../../src/model/change.ts";
import { hostId, parseIdMap } from "../../src/model/id-map.ts";
import type { IdMap, IdRange } from "../../src/model/id-map.ts";
import { EMPTY_LISTING, IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import type { Node, Xattr } from "../../src/model/node.ts";
import { rawOf } from "../support/random-tree.ts";
import { idMaps } from "../support/id-maps.ts";

const CAPABILITY = "security.capability";
const NET_RAW = new Uint8Array(Buffer.from("0100000200200000" + "00000000".repeat(3), "hex"));

type Lost = [kind: string, path: string, detail?: string | undefined];

function out(node: Node, map: IdMap): { node: Node; lost: Lost[] } {
  const lost: Lost[] = [];
  const [change] = shiftedOut([{ path: "p", before: undefined, after: node }], map, (...loss) => lost.push(loss));
  return { node: change?.after ?? assert.fail(), lost };
}

function back(node: RawNode, map: IdMap): { node: RawNode; lost: Lost[] } {
  const lost: Lost[] = [];
  const change = shiftedIn(map, (...loss) => lost.push(loss))({ kind: "put", path: "p", node });
  return { node: change.kind === "put" ? change.node : assert.fail(), lost };
}

function mapped(ranges: readonly IdRange[]): fc.Arbitrary<number> {
  return fc.oneof(...ranges.map(({ container, count }) => fc.integer({ min: container, max: container + count - 1 })));
}

function acls({ uids, gids }: IdMap): fc.Arbitrary<Acl> {
  const permissions = fc.nat(7);
  const named = (tag: number, ranges: readonly IdRange[]) =>
    fc.array(fc.record({ tag: fc.constant(tag), permissions, id: mapped(ranges) }), { maxLength: 3 });
  const own = (tag: number) => fc.record({ tag: fc.constant(tag), permissions, id: fc.constant(NO_ID) });
  return fc.tuple(own(1), named(2, uids), own(4), named(8, gids), own(16), own(32)).map((parts) => parts.flat());
}

/** Of a node that a host can hold: its capabilities are of revision 2 for root, of revision 3 for others. */
function nodes(map: IdMap): fc.Arbitrary<Node> {
  return fc
    .record({
      uid: mapped(map.uids),
      gid: mapped(map.gids),
      mode: fc.constantFrom(0o755, 0o6755),
      access: fc.option(acls(map)),
      byDefault: fc.option(acls(map)),
      root: fc.option(mapped(map.uids)),
    })
    .map(({ access, byDefault, root, ...rest }) => {
      const xattrs: Xattr[] = [];
      if (root !== null) xattrs.push({ name: CAPABILITY, value: withCapabilityRoot(NET_RAW, root) });
      if (access) xattrs.push({ name: ACCESS_ACL, value: encodeAcl(access) });
      if (byDefault) xattrs.push({ name: DEFAULT_ACL, value: encodeAcl(byDefault) });
      xattrs.push({ name: "user.note", value: NET_RAW });
      return { ...IMPLIED_DIRECTORY, ...rest, type: "directory", linked: false, listing: EMPTY_LISTING, xattrs };
    });
}

const mapAndNode = idMaps.chain((map) => nodes(map).map((node) => ({ map, node })));

test("shifted ids: out and in again is the same node, its ACLs in libacl's order; mapped ids are no losses", () => {
  fc.assert(
    fc.property(mapAndNode, ({ map, node }) => {
      const shifted = out(node, map);
      assert.deepEqual([shifted.lost, shifted.node.uid], [[], hostId(map.uids, node.uid)]);
      const again = back(rawOf(shifted.node), map);
      assert.deepEqual(again, { node: inOrder(rawOf(node)), lost: [] });
    }),
  );
});

function inOrder<N extends Node | RawNode>(node: N): N {
  const sorted = node.xattrs.map(({ name, value }) => {
    if (!name.startsWith("system.")) return { name, value };
    const entries = decoded(value);
    return { name, value: encodeAcl(sortedAcl(entries)) };
  });
  return { ...node, xattrs: sorted };
}

/** Without the codec that is tested. */
function decoded(value: Uint8Array): Acl {
  const bytes = Buffer.from(value);
  return Array.from({ length: (bytes.length - 4) / 8 }, (_, i) => ({
    tag: bytes.readUInt16LE(4 + 8 * i),
    permissions: bytes.readUInt16LE(6 + 8 * i),
    id: bytes.readUInt32LE(8 + 8 * i),
  }));
}

const MAP = parseIdMap(["b:0:100000:1000"]);

function file(uid: number, mode: number, xattrs: readonly Xattr[]): Node {
  const content = { size: 0, sparse: false, root: null };
  return { ...IMPLIED_DIRECTORY, type: "file", linked: false, content, uid, mode, xattrs };
}

test("shifted ids: a program of an owner that is not mapped is nobody's, and sets no id; both ways", () => {
  const shifted = out(file(1000, 0o4755, []), MAP);
  assert.deepEqual([shifted.node.uid, shifted.node.gid, shifted.node.mode], [100_000, 100_000, 0o755]);
  assert.deepEqual(shifted.lost, [
    ["owner", "p"],
    ["mode", "p"],
  ]);
  const taken = back(rawOf(file(0, 0o4755, [])), MAP);
  assert.deepEqual([taken.node.uid, taken.node.gid, taken.node.mode], [65534, 65534, 0o755]);
  assert.equal(out(file(1000, 0o755, []), parseIdMap(["b:0:100000:1000", "b:65534:200000:1"])).node.uid, 200_000);
});

test("shifted ids: of an ACL the entries that are not mapped go, capabilities for another root go; others stay", () => {
  const entry = (tag: number, id: number) => ({ tag, permissions: 5, id });
  const [owner, group, mask, other] = [entry(1, NO_ID), entry(4, NO_ID), entry(16, NO_ID), entry(32, NO_ID)];
  const acl = encodeAcl([owner, entry(2, 7), entry(2, 5000), group, entry(8, 5000), mask, other]);
  const xattrs = [
    { name: CAPABILITY, value: withCapabilityRoot(NET_RAW, 5000) },
    { name: ACCESS_ACL, value: acl },
  ];
  const shifted = out(file(0, 0o755, xattrs), MAP);
  assert.deepEqual(shifted.node.xattrs, [
    { name: ACCESS_ACL, value: encodeAcl([owner, entry(2, 100_007), group, mask, other]) },
  ]);
  assert.deepEqual(shifted.lost, [
    ["xattr", "p", CAPABILITY],
    ["xattr", "p", ACCESS_ACL],
  ]);
});

test("shifted ids: what is no ACL and no capability stays as it is", () => {
  const xattrs = [
    { name: CAPABILITY, value: Buffer.from("01000001" + "00".repeat(8), "hex") },
    { name: ACCESS_ACL, value: Buffer.from("0200000099", "hex") },
    { name: DEFAULT_ACL, value: Buffer.alloc(0) },
  ];
  assert.deepEqual(out(file(0, 0o755, xattrs), MAP), {
    node: { ...file(100_000, 0o755, xattrs), gid: 100_000 },
    lost: [],
  });
});

test("capability: for root it is of revision 2, for another of revision 3 with that id; flags and bits stay", () => {
  const v3 = withCapabilityRoot(NET_RAW, 100_000);
  assert.equal(Buffer.from(v3).toString("hex"), "0100000300200000" + "00000000".repeat(3) + "a0860100");
  assert.equal(capabilityRoot(v3), 100_000);
  assert.deepEqual(withCapabilityRoot(v3, 0), NET_RAW);
  assert.equal(capabilityRoot(NET_RAW), 0);
  for (const other of [v3.subarray(0, 23), NET_RAW.subarray(0, 19), new Uint8Array()])
    assert.equal(capabilityRoot(other), undefined);
});
