import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { readDpkg } from "../../src/packages/dpkg.ts";
import { hashesTo } from "../../src/packages/package-files.ts";
import { packageFiles } from "./support.ts";

const STATUS = `Package: nginx
Status: install ok installed
Conffiles:
 /etc/nginx/nginx.conf 0123456789abcdef0123456789abcdef
 /lib/nginx/obsolete 0123456789abcdef0123456789abcdef obsolete
 /etc/new newconffile
Architecture: all
Version: 1.22.1-9
Description: small
 Version: 9 is a line of this

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: never
Status: unknown ok not-installed
Architecture: all

Version: 3
`;

test("dpkg: packages with versions and conffiles; those for several architectures by both names; what is left of removed ones", () => {
  const database = readDpkg(packageFiles({ "var/lib/dpkg/status": STATUS }));
  const packages = [...(database?.packages.values() ?? [])];
  assert.deepEqual(
    packages.map(({ name, version, installed }) => [name, version, installed]),
    [
      ["nginx", "1.22.1-9", true],
      ["libc6:amd64", "2.36", true],
      ["gone", "1", false],
    ],
  );
  assert.deepEqual(
    [...(packages[0]?.conffiles ?? [])],
    [["etc/nginx/nginx.conf", { algorithm: "md5", digest: "0123456789abcdef0123456789abcdef" }]],
  );
  assert.equal(readDpkg(packageFiles({ "etc/hosts": "" })), undefined);
});

test("dpkg: images without dpkg have a file for each package, and sums in place of lists", () => {
  const files = packageFiles({
    "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12\nArchitecture: amd64\n",
    "var/lib/dpkg/status.d/base.md5sums": "0123456789abcdef0123456789abcdef  usr/bin/base\nno sum\n",
  });
  const database = readDpkg(files);
  assert.deepEqual([...(database?.packages.keys() ?? [])], ["base-files"]);
  assert.deepEqual([...(database?.owners(new Set(["usr/bin/base", "usr/bin/x"])) ?? [])], [["usr/bin/base", "base"]]);
});

test("dpkg: owners by lists, through merged directories and diversions", () => {
  const files = packageFiles({
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/libc6:amd64.list": "/.\n/lib\n/lib/x.so\n/bin/sh\n",
    "var/lib/dpkg/info/dash.list": "/bin/other\n",
    "var/lib/dpkg/info/dash.postinst": "/bin/none\n",
    "var/lib/dpkg/diversions": "/bin/sh\n/bin/sh.distrib\ndash\n/bin/other\n/bin/other.mine\n:\n/cut\n",
  });
  const wanted = new Set(["usr/lib/x.so", "bin/sh", "bin/sh.distrib", "bin/other", "bin/other.mine", "bin/none"]);
  assert.deepEqual(
    new Map(readDpkg(files)?.owners(wanted)),
    new Map([
      ["usr/lib/x.so", "libc6:amd64"],
      ["bin/sh", "dash"],
      ["bin/sh.distrib", "libc6:amd64"],
      ["bin/other", "dash"],
      ["bin/other.mine", "dash"],
    ]),
  );
});

test("dpkg: whatever a status file holds, reading it ends without a failure", () => {
  const piece = fc.oneof(
    fc.constantFrom("Package: ", "\n", "\n\n", "Version: 1\n", "Conffiles:\n", " /etc/x ", "\0", ":", "Status: a b\n"),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const status = Buffer.from(pieces.join(""), "utf8").toString("latin1");
      const files = packageFiles({ "var/lib/dpkg/status": status, "var/lib/dpkg/diversions": status });
      for (const { name, version } of readDpkg(files)?.packages.values() ?? [])
        assert.ok(name !== "" && version !== "");
      readDpkg(files)?.owners(new Set(["x"]));
    }),
    { numRuns: 500 },
  );
  const endless = packageFiles({ "var/lib/dpkg/status": `Package: a\nVersion: ${"1".repeat(3_000_000)}` });
  assert.ok((readDpkg(endless)?.packages.get("a")?.version.length ?? 0) <= 64 * 1024);
});

test("sums: runs of zeros count as their bytes", () => {
  const digest = createHash("md5").update(Buffer.alloc(200_000)).update("end").digest("hex");
  assert.equal(hashesTo([200_000, Buffer.from("end")], { algorithm: "md5", digest }), true);
  assert.equal(hashesTo([200_001, Buffer.from("end")], { algorithm: "md5", digest }), false);
});
