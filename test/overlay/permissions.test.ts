import assert from "node:assert/strict";
import { constants } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { ACCESS_ACL, type Acl, decodeAcl, DEFAULT_ACL, encodeAcl, isCompleteAcl } from "../../src/format/acl.ts";
import type { Owned } from "../../src/overlay/credentials.ts";
import {
  afterChange,
  afterChmod,
  afterChown,
  mayAccess,
  mayChown,
  mayCreate,
  mayOpen,
  mayRemove,
  mayRename,
  mayUtimes,
  newNode,
} from "../../src/overlay/permissions.ts";
import {
  afterRemovexattr,
  afterSetxattr,
  flawOfXattr,
  mayGetxattr,
  mayRemovexattr,
  maySetxattr,
  visibleXattrs,
} from "../../src/overlay/xattr-permissions.ts";
import { aclValues, callers, completeAcls, gids, modes, uids } from "./permissions-support.ts";

// test/root/permissions.test.ts holds all of it against a kernel; here is what no kernel shows, and what can be read.

const { R_OK, W_OK, X_OK, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR } = constants;
const ALICE = { uid: 1001, gid: 101, groups: [102] };
const BOB = { uid: 1002, gid: 103 };
const DAMAGED = Uint8Array.of(2, 0, 0, 0, 1);
const CAPABILITY = {
  name: "security.capability",
  value: new Uint8Array(Buffer.from("01000002".padEnd(40, "0"), "hex")),
};

function file(mode: number, { uid = ALICE.uid, gid = ALICE.gid, xattrs = [] }: Partial<Owned> = {}): Owned {
  return { mode: S_IFREG | mode, uid, gid, xattrs };
}

function directory(mode: number, { uid = 0, gid = 0, xattrs = [] }: Partial<Owned> = {}): Owned {
  return { mode: S_IFDIR | mode, uid, gid, xattrs };
}

const owned: fc.Arbitrary<Owned> = fc.record({
  mode: fc.tuple(modes, fc.constantFrom(S_IFREG, S_IFDIR)).map(([mode, format]) => mode | format),
  uid: uids,
  gid: gids,
  xattrs: fc.option(completeAcls, { nil: [] }).map((acl) => aclXattrs(acl)),
});

function aclXattrs(acl: Acl): Owned["xattrs"] {
  return acl.length > 3 ? [{ name: ACCESS_ACL, value: encodeAcl(acl) }] : [];
}

test("ACL: a complete one comes back from its xattr", () => {
  fc.assert(
    fc.property(completeAcls, (acl) => {
      assert.deepEqual(decodeAcl(encodeAcl(acl)), acl);
      assert.ok(isCompleteAcl(acl));
    }),
  );
});

test("ACL: any bytes decode to entries that decode again, or are refused", () => {
  fc.assert(
    fc.property(fc.oneof(aclValues, fc.uint8Array({ maxLength: 30 })), (value) => {
      const acl = decodeAcl(value);
      if (typeof acl === "string") assert.ok(["EINVAL", "ENOTSUP"].includes(acl));
      else assert.deepEqual(decodeAcl(encodeAcl(acl)), acl);
    }),
  );
});

for (const [hex, decoded] of [
  ["", []],
  ["02000000", []],
  ["020000", "EINVAL"],
  ["01000000", "ENOTSUP"],
  ["0200000001", "EINVAL"],
  ["0200000040000700ffffffff", "EINVAL"],
  ["0200000002000700ffffffff", "EINVAL"],
  ["0200000002000700e9030000", [{ tag: 2, permissions: 7, id: 1001 }]],
  ["020000000100070000000000", [{ tag: 1, permissions: 7, id: 0xffffffff }]],
] as const) {
  test(`ACL: ${hex || "an empty value"} is ${JSON.stringify(decoded)}`, () => {
    assert.deepEqual(decodeAcl(Buffer.from(hex, "hex")), decoded);
  });
}

test("permissions: the store's owner may all that root may, whatever the ACL, a damaged one too", () => {
  fc.assert(
    fc.property(owned, fc.boolean(), fc.integer({ min: 0, max: 7 }), (node, damaged, wanted) => {
      const xattrs = damaged ? [{ name: ACCESS_ACL, value: DAMAGED }] : node.xattrs;
      const isProgram = (node.mode & 0o111) !== 0 || (node.mode & S_IFDIR) !== 0;
      const refusal = (wanted & X_OK) !== 0 && !isProgram ? "EACCES" : undefined;
      assert.equal(mayAccess(undefined, { ...node, xattrs }, wanted), refusal);
      assert.equal(mayAccess({ uid: 0, gid: 103 }, { ...node, xattrs }, wanted), refusal);
    }),
  );
});

test("permissions: whoever may two things at once, may each of them; without an ACL also the other way round", () => {
  fc.assert(
    fc.property(owned, callers, (node, caller) => {
      const both = mayAccess(caller, node, R_OK | W_OK) === undefined;
      const each = [R_OK, W_OK].every((wanted) => mayAccess(caller, node, wanted) === undefined);
      assert.ok(!both || each);
      if (node.xattrs.length === 0) assert.equal(both, each);
    }),
  );
});

test("permissions: after chmod by its owner a node has these bits, and its ACL says the same", () => {
  fc.assert(
    fc.property(owned, modes, (node, mode) => {
      const changed = afterChmod(undefined, node, mode);
      assert.equal(changed.mode & 0o7777, mode);
      const value = changed.xattrs.find(({ name }) => name === ACCESS_ACL)?.value;
      if (value) assert.deepEqual(afterSetxattr(undefined, changed, ACCESS_ACL, value), changed);
    }),
  );
});

test("permissions: a damaged ACL is EIO for those for whom it decides, and stays as it is", () => {
  const node = file(0o640, { xattrs: [{ name: ACCESS_ACL, value: DAMAGED }] });
  assert.equal(mayAccess(ALICE, node, R_OK), undefined);
  assert.equal(mayAccess(BOB, node, R_OK), "EIO");
  assert.deepEqual(afterChmod(ALICE, node, 0o600).xattrs, node.xattrs);
  const parent = directory(0o777, { xattrs: [{ name: DEFAULT_ACL, value: DAMAGED }] });
  assert.deepEqual(newNode(BOB, parent, S_IFREG | 0o666, 0o022), file(0o644, BOB));
});

test("permissions: an ACL's mask bounds the group and all who are named, not others", () => {
  const none = 0xffffffff;
  const acl: Acl = [
    { tag: 0x01, permissions: 7, id: none },
    { tag: 0x02, permissions: 7, id: BOB.uid },
    { tag: 0x04, permissions: 7, id: none },
    { tag: 0x10, permissions: 4, id: none },
    { tag: 0x20, permissions: 6, id: none },
  ];
  const node = file(0o746, { uid: 1003, xattrs: aclXattrs(acl) });
  assert.equal(mayAccess(BOB, node, R_OK), undefined);
  assert.equal(mayAccess(BOB, node, W_OK), "EACCES");
  assert.equal(mayAccess(ALICE, node, W_OK), "EACCES");
  assert.equal(mayAccess({ uid: 1004, gid: 104 }, node, W_OK), undefined);
});

test("permissions: a group's bits hold for its members, even where others may more", () => {
  const node = file(0o604, { uid: 1003, gid: 102 });
  assert.equal(mayAccess(ALICE, node, R_OK), "EACCES");
  assert.equal(mayAccess(BOB, node, R_OK), undefined);
});

test("permissions: in a sticky directory one removes what is one's own", () => {
  const sticky = directory(0o1777);
  assert.equal(mayRemove(ALICE, sticky, file(0o600), "unlink"), undefined);
  assert.equal(mayRemove(BOB, sticky, file(0o666), "unlink"), "EPERM");
  assert.equal(mayRemove(undefined, sticky, file(0o600), "unlink"), undefined);
  assert.equal(mayRemove(BOB, directory(0o777), file(0o600), "unlink"), undefined);
  assert.equal(mayRemove(BOB, directory(0o755), file(0o666), "unlink"), "EACCES");
  assert.equal(mayRemove(ALICE, sticky, directory(0o755, ALICE), "unlink"), "EISDIR");
  assert.equal(mayRemove(ALICE, sticky, file(0o600), "rmdir"), "ENOTDIR");
});

test("permissions: a rename needs both directories, and the node itself if it is a directory that moves", () => {
  const open = directory(0o777);
  const node = directory(0o555, BOB);
  const rename = { node, from: open, to: open, stays: true, replaced: undefined, exchange: false };
  assert.equal(mayRename(BOB, rename), undefined);
  assert.equal(mayRename(BOB, { ...rename, stays: false }), "EACCES");
  assert.equal(mayRename(BOB, { ...rename, to: directory(0o755), stays: false }), "EACCES");
  assert.equal(mayRename(BOB, { ...rename, to: directory(0o1777), replaced: directory(0o777) }), "EPERM");
  assert.equal(mayRename(BOB, { ...rename, replaced: file(0o777) }), "ENOTDIR");
  assert.equal(mayRename(BOB, { ...rename, replaced: file(0o777), exchange: true }), undefined);
});

test("permissions: what is made in a setgid directory has its group; a directory also its S_ISGID", () => {
  const parent = directory(0o2777, { gid: 500 });
  assert.deepEqual(newNode(BOB, parent, S_IFDIR | 0o6777, 0o022), directory(0o2755, { uid: BOB.uid, gid: 500 }));
  assert.deepEqual(newNode(BOB, parent, S_IFREG | 0o2777, 0o022), file(0o755, { uid: BOB.uid, gid: 500 }));
  assert.deepEqual(newNode(BOB, parent, S_IFREG | 0o2666, 0o022), file(0o2644, { uid: BOB.uid, gid: 500 }));
  assert.deepEqual(newNode(undefined, parent, S_IFREG | 0o2777, 0), file(0o2777, { uid: 0, gid: 500 }));
  assert.deepEqual(newNode(BOB, directory(0o777), S_IFLNK, 0o077), { ...BOB, mode: S_IFLNK | 0o777, xattrs: [] });
});

test("permissions: devices are made by root", () => {
  assert.equal(mayCreate(ALICE, directory(0o777), S_IFCHR), "EPERM");
  assert.equal(mayCreate(ALICE, directory(0o777), S_IFREG), undefined);
  assert.equal(mayCreate(undefined, directory(0), S_IFCHR), undefined);
});

test("permissions: a write by others than root clears set-id bits, and by anybody file capabilities", () => {
  const node = file(0o6755, { xattrs: [CAPABILITY] });
  assert.deepEqual(afterChange(ALICE, node), file(0o755));
  assert.deepEqual(afterChange(undefined, node), file(0o6755));
  assert.deepEqual(afterChange(ALICE, file(0o2644)), file(0o2644));
  assert.deepEqual(afterChange(BOB, file(0o2666)), file(0o666));
});

test("permissions: chown clears set-id bits and capabilities of files, by root too, and none of directories", () => {
  assert.deepEqual(afterChown(undefined, file(0o6755, { xattrs: [CAPABILITY] }), 0, -1), file(0o755, { uid: 0 }));
  assert.deepEqual(afterChown(undefined, directory(0o6755), 7, 8), directory(0o6755, { uid: 7, gid: 8 }));
});

test("permissions: an owner gives a file to his groups alone, and to nobody", () => {
  assert.equal(mayChown(ALICE, file(0o644), -1, 102), undefined);
  assert.equal(mayChown(ALICE, file(0o644), -1, 103), "EPERM");
  assert.equal(mayChown(ALICE, file(0o644), BOB.uid, -1), "EPERM");
  assert.equal(mayChown(BOB, file(0o644), -1, -1), undefined);
  assert.equal(mayChown(BOB, file(0o4644), -1, -1), "EPERM");
});

test("permissions: whoever may write may set times to now, and the owner to any time", () => {
  assert.equal(mayUtimes(BOB, file(0o666), true), undefined);
  assert.equal(mayUtimes(BOB, file(0o666), false), "EPERM");
  assert.equal(mayUtimes(BOB, file(0o644), true), "EACCES");
  assert.equal(mayUtimes(ALICE, file(0), false), undefined);
});

test("permissions: open asks for what its flags do", () => {
  assert.equal(mayOpen(BOB, file(0o644), constants.O_RDONLY), undefined);
  assert.equal(mayOpen(BOB, file(0o644), constants.O_RDONLY | constants.O_TRUNC), "EACCES");
  assert.equal(mayOpen(BOB, file(0o622), constants.O_WRONLY), undefined);
  assert.equal(mayOpen(undefined, directory(0o777), constants.O_RDWR), "EISDIR");
});

test("xattrs: names and values of no size that Linux has are refused before all else", () => {
  assert.equal(flawOfXattr(""), "ERANGE");
  assert.equal(flawOfXattr(`user.${"n".repeat(251)}`), "ERANGE");
  assert.equal(flawOfXattr("user.n", new Uint8Array(65537)), "E2BIG");
  assert.equal(flawOfXattr(`user.${"n".repeat(250)}`, new Uint8Array(65536)), undefined);
});

test("xattrs: an access ACL sets the mode, and stays when it says more", () => {
  const minimal = encodeAcl([
    { tag: 0x01, permissions: 6, id: 0 },
    { tag: 0x04, permissions: 4, id: 0 },
    { tag: 0x20, permissions: 0, id: 0 },
  ]);
  assert.deepEqual(afterSetxattr(ALICE, file(0o2777), ACCESS_ACL, minimal), file(0o2640));
  assert.deepEqual(afterSetxattr({ uid: 1001, gid: 7 }, file(0o2777), ACCESS_ACL, minimal), file(0o640));
  assert.equal(maySetxattr(ALICE, file(0o777), DEFAULT_ACL, minimal), "EACCES");
  const parent = afterSetxattr(undefined, directory(0o755), DEFAULT_ACL, minimal);
  assert.deepEqual(newNode(ALICE, parent, S_IFREG | 0o666, 0o777), file(0o640));
  assert.deepEqual(afterRemovexattr(parent, DEFAULT_ACL), directory(0o755));
});

test("xattrs: trusted ones are there for root alone, and what no Linux has can be read", () => {
  const xattrs = ["nfs4.acl", "trusted.a", "user.a"].map((name) => ({ name, value: Uint8Array.of(1) }));
  const node = file(0o644, { xattrs });
  assert.equal(mayGetxattr(BOB, node, "trusted.a"), "ENODATA");
  assert.equal(mayGetxattr(undefined, node, "trusted.a"), undefined);
  assert.equal(mayGetxattr(BOB, node, "nfs4.acl"), undefined);
  assert.equal(mayGetxattr(BOB, node, "nfs4.b"), "ENOTSUP");
  assert.deepEqual(
    visibleXattrs(BOB, node).map(({ name }) => name),
    ["nfs4.acl", "user.a"],
  );
  assert.equal(visibleXattrs(undefined, node), node.xattrs);
});

test("xattrs: create, replace and remove ask whether it is there; capabilities whether they are some", () => {
  const node = file(0o644, { xattrs: [{ name: "user.a", value: Uint8Array.of(1) }] });
  assert.equal(maySetxattr(ALICE, node, "user.a", DAMAGED, "create"), "EEXIST");
  assert.equal(maySetxattr(ALICE, node, "user.b", DAMAGED, "replace"), "ENODATA");
  assert.equal(maySetxattr(BOB, node, "user.b", DAMAGED, "replace"), "EACCES");
  assert.equal(mayRemovexattr(ALICE, node, "user.b"), "ENODATA");
  assert.equal(mayRemovexattr(ALICE, node, ACCESS_ACL), undefined);
  assert.equal(maySetxattr(undefined, node, CAPABILITY.name, new Uint8Array()), "EINVAL");
  assert.equal(maySetxattr(ALICE, node, CAPABILITY.name, CAPABILITY.value), "EPERM");
  assert.equal(maySetxattr(undefined, node, CAPABILITY.name, CAPABILITY.value), undefined);
});
