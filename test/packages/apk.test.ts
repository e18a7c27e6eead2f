import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readApk } from "../../src/packages/apk.ts";
import { packageFiles } from "./support.ts";

const INSTALLED = `C:Q1ppO8Hk
P:musl
V:1.2.5-r0
A:x86_64
F:lib
R:ld-musl.so
a:0:0:755
Z:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=

P:nginx
V:1.26.2-r0
A:x86_64
F:etc/nginx
M:0:0:755
R:nginx.conf
Z:Q1ISMz19w0k2zBjsPxA8zcyHwWS5Q=
F:usr/sbin
R:nginx
R:../escape
`;

for (const path of ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
  test(`apk: packages, what protects configuration, and owners, of ${path}`, () => {
    const database = readApk(packageFiles({ [path]: INSTALLED }));
    const packages = [...(database?.packages.values() ?? [])];
    assert.deepEqual(
      packages.map(({ name, version }) => [name, version]),
      [
        ["musl", "1.2.5-r0"],
        ["nginx", "1.26.2-r0"],
      ],
    );
    const [[file, sum] = []] = packages[1]?.conffiles ?? [];
    assert.equal(file, "etc/nginx/nginx.conf");
    assert.deepEqual([sum?.algorithm, sum?.digest.length], ["sha1", 40]);
    assert.equal(packages[0]?.conffiles.size, 0);
    assert.deepEqual(
      [...(database?.owners(new Set(["usr/lib/ld-musl.so", "usr/sbin/nginx", "usr/sbin/../escape"])) ?? [])],
      [
        ["usr/lib/ld-musl.so", "musl"],
        ["usr/sbin/nginx", "nginx"],
      ],
    );
  });

test("apk: whatever its file holds, reading it ends without a failure", () => {
  const piece = fc.oneof(
    fc.constantFrom("P:", "V:1\n", "\n", "F:etc\n", "R:", "Z:Q1", "Z:Q2AAAA\n", "\0"),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = Buffer.from(pieces.join(""), "utf8").toString("latin1");
      readApk(packageFiles({ "lib/apk/db/installed": text }))?.owners(new Set(["etc/x"]));
    }),
    { numRuns: 500 },
  );
});
