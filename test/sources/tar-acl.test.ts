import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedTar } from "../../src/sources/tar-malformed.ts";
import { aclValue } from "../../src/sources/tar-acl.ts";
import { archive, entry, nodeAt, pax, readTar } from "./tar-support.ts";

const USER_1000 =
  "02000000" + "01000600ffffffff" + "02000700e8030000" + "04000400ffffffff" + "10000700ffffffff" + "20000400ffffffff";

for (const text of [
  "user::rw-,user:lisp:rwx:1000,group::r--,mask::rwx,other::r--",
  "user::rw-\nuser:1000:rwx\ngroup::r--\nmask::rwx\nother::r--\n",
  "u::rw-, u:1000:rwx, g::r--, m::rwx, o::r--",
  "other:r--,mask:rwx,group::r--,user:lisp:rwx:1000,user::rw-",
  "user::rw-,user:1000:rwx:1000,group::r--\t#effective:r--,mask::rwx,other::r--",
]) {
  test(`acl: ${JSON.stringify(text)} is what the kernel keeps for it`, () => {
    assert.equal(Buffer.from(aclValue(text)).toString("hex"), USER_1000);
  });
}

test("acl: a name without a number is this host's account", () => {
  const acl = (who: string) =>
    Buffer.from(aclValue(`user::rw-,${who},group::r--,mask::rwx,other::r--`)).toString("hex");
  assert.equal(acl("user:root:r--"), acl("user:0:r--"));
  assert.equal(acl("group:root:r--"), acl("group:0:r--"));
});

for (const text of [
  "user::rw-,group::r--",
  "user::rw-,user:1000:rwx,group::r--,other::r--",
  "user::rw-,user:nobody-has-this-name:rwx,group::r--,mask::rwx,other::r--",
  "user::rw-,user:4294967295:rwx,group::r--,mask::rwx,other::r--",
  "user::rwz,group::r--,other::r--",
  "constructor::rw-,group::r--,other::r--",
  "mask:1:rwx,user::rw-,group::r--,other::r--",
  "nonsense",
  "",
]) {
  test(`acl: ${JSON.stringify(text)} is malformed`, () => {
    assert.throws(() => aclValue(text), MalformedTar);
  });
}

test("acl: text becomes the xattr, unless that is there, or the mode says it all, or the file can have none", async () => {
  const access = ["SCHILY.acl.access", "user::rw-,user:lisp:rwx:1000,group::r--,mask::rwx,other::r--"] as const;
  const minimal = ["SCHILY.acl.access", "user::rw-,group::r--,other::r--"] as const;
  const byDefault = ["SCHILY.acl.default", "user::rwx,group::r-x,other::---"] as const;
  const read = await readTar(
    archive(
      pax([access, byDefault]),
      entry({ name: "dir", type: "5" }),
      pax([access, byDefault]),
      entry({ name: "file" }),
      pax([minimal]),
      entry({ name: "minimal" }),
      pax([access]),
      entry({ name: "symlink", type: "2", linkName: "x" }),
      pax([access, ["SCHILY.xattr.system.posix_acl_access", "given"]]),
      entry({ name: "given" }),
    ),
  );
  const found = Object.fromEntries(
    [...read.nodes].map(([path, { xattrs }]) => [
      path,
      xattrs.map(({ name, value }) => `${name}: ${Buffer.from(value).toString("hex")}`),
    ]),
  );
  assert.deepEqual(found, {
    dir: [
      `system.posix_acl_access: ${USER_1000}`,
      "system.posix_acl_default: 02000000" + "01000700ffffffff" + "04000500ffffffff" + "20000000ffffffff",
    ],
    file: [`system.posix_acl_access: ${USER_1000}`],
    minimal: [],
    symlink: [],
    given: [`system.posix_acl_access: ${Buffer.from("given").toString("hex")}`],
  });
});

test("acl: the mode is in step with it, as the kernel keeps it", async () => {
  const acl = ["SCHILY.acl.access", "user::rw-,user:lisp:rwx:1000,group::r--,mask::rwx,other::--x"] as const;
  const read = await readTar(
    archive(
      pax([acl]),
      entry({ name: "a", mode: 0o4644 }),
      pax([["SCHILY.xattr.system.posix_acl_access", "no acl"]]),
      entry({ name: "b", mode: 0o640 }),
    ),
  );
  assert.equal(nodeAt(read, "a", "file").mode, 0o4671);
  assert.equal(nodeAt(read, "b", "file").mode, 0o640);
});
