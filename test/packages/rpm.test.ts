import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import { CheckedBytes } from "../../src/packages/checked-bytes.ts";
import type { PackageFiles } from "../../src/packages/package-files.ts";
import { readRpm } from "../../src/packages/rpm.ts";
import { RpmHeader } from "../../src/packages/rpm-header.ts";

/**
 * The same packages in each format. rpmdb.sqlite was made by rpm 4.18 (rpm -i, then vacuumed), Packages.db by that rpm's
 * rpmpkg.c, the others by Berkeley DB 5.3 with small pages; rpm itself reads the same of these. The log removes "long".
 */
function data(name: string): Buffer {
  return gunzipSync(readFileSync(new URL(`data/${name}.gz`, import.meta.url)));
}

function filesOf(files: Readonly<Record<string, Uint8Array>>): PackageFiles {
  return {
    open: (path) => (files[path] === undefined ? undefined : piecesOf(files[path])),
    list: () => [],
    merged: (path) => path.replace(/^lib\//, "usr/lib/"),
  };
}

/** In parts, with a run of zeros. */
function* piecesOf(bytes: Uint8Array): Generator<Uint8Array | number> {
  for (let at = 0; at < bytes.length; at += 4096) {
    const part = bytes.subarray(at, at + 4096);
    yield part.every((byte) => byte === 0) ? part.length : part;
  }
}

const PACKAGES = [
  "kernel 5.9-1, 5.10-1 x86_64",
  "lib.i686 2:3.1-1 i686",
  "lib.x86_64 2:3.1-1 x86_64",
  "long 0-0.1 noarch",
  "web 1.0-1 noarch",
];

function listed(files: PackageFiles): string[] {
  const packages = [...(readRpm(files)?.packages.values() ?? [])];
  return packages.map(({ name, version, architecture }) => `${name} ${version} ${architecture}`).sort();
}

for (const [file, path] of [
  ["rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"],
  ["rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"],
  ["Packages.db", "usr/lib/sysimage/rpm/Packages.db"],
  ["Packages", "var/lib/rpm/Packages"],
  ["Packages-big-endian", "var/lib/rpm/Packages"],
] as const)
  test(`rpm: packages, what protects configuration, and owners, of ${path} (${file})`, () => {
    const files = filesOf({ [path]: data(file) });
    assert.deepEqual(listed(files), PACKAGES);
    const database = readRpm(files);
    const conffiles = [...(database?.packages.values() ?? [])].flatMap((found) => [...found.conffiles]);
    assert.deepEqual(conffiles.map(([name, { algorithm, digest }]) => [name, algorithm, digest.slice(0, 8)]).sort(), [
      ["etc/long.conf", "md5", "0f92c084"],
      ["etc/web/web.conf", "sha256", "2db0a32d"],
    ]);
    const wanted = [
      "usr/bin/web",
      "usr/lib/web/engine",
      "etc/web/made.conf",
      "usr/lib-i686/libx.so",
      "boot/vmlinuz-5.9",
    ];
    assert.deepEqual(
      new Map(database?.owners(new Set([...wanted, "etc/hosts"]))),
      new Map([
        ["usr/bin/web", "web"],
        ["usr/lib/web/engine", "web"],
        ["etc/web/made.conf", "web"],
        ["usr/lib-i686/libx.so", "lib.i686"],
        ["boot/vmlinuz-5.9", "kernel"],
      ]),
    );
  });

test("rpm: what a write-ahead log has counts as far as its transactions are whole", () => {
  const [database, log] = [data("rpmdb.sqlite"), data("rpmdb.sqlite-wal")];
  const directory = "var/lib/rpm/rpmdb.sqlite";
  const withLog = (wal: Uint8Array): string[] => listed(filesOf({ [directory]: database, [`${directory}-wal`]: wal }));
  const without = PACKAGES.filter((line) => !line.startsWith("long"));
  assert.deepEqual(withLog(log), without);
  for (const length of [0, 20, 32, 5000, log.length - 1]) assert.deepEqual(withLog(log.subarray(0, length)), PACKAGES);
  for (const at of [5, 20, 33, 44, log.length - 10]) {
    const damaged = Buffer.from(log);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.deepEqual(withLog(damaged), PACKAGES, `byte ${at}`);
  }
  assert.deepEqual(withLog(Buffer.concat([log, Buffer.alloc(9000)])), without);
});

test("rpm: without a database there is none, and one of another kind is said to be none", () => {
  assert.equal(readRpm(filesOf({ "etc/hosts": Buffer.from("") })), undefined);
  for (const file of ["rpmdb.sqlite", "Packages.db", "Packages"])
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(5000), Buffer.alloc(5000, "text")])
      assert.throws(() => readRpm(filesOf({ [`var/lib/rpm/${file}`]: bytes })), { code: "FORMAT_INVALID" });
  const tree = data("Packages");
  tree.writeUInt32LE(0x053162, 12);
  assert.throws(() => readRpm(filesOf({ "var/lib/rpm/Packages": tree })), { code: "UNSUPPORTED" });
});

test("rpm: whatever bytes a database has, it is read or found damaged, in bounded time", () => {
  const formats = [
    ["rpmdb.sqlite", data("rpmdb.sqlite")],
    ["rpmdb.sqlite-wal", data("rpmdb.sqlite-wal")],
    ["Packages.db", data("Packages.db")],
    ["Packages", data("Packages")],
  ] as const;
  const number = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 127, 128, 255));
  const change = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), number, fc.boolean());
  fc.assert(
    fc.property(
      fc.constantFrom(...formats),
      fc.array(change, { minLength: 1, maxLength: 30 }),
      ([file, good], changes) => {
        const bytes = Buffer.from(good);
        // Half of them where the structure is.
        for (const [place, value, isEarly] of changes)
          bytes[Math.floor(place * (isEarly ? 2000 : bytes.length))] = value;
        const files = { "var/lib/rpm/rpmdb.sqlite": formats[0][1], [`var/lib/rpm/${file}`]: bytes };
        if (file.startsWith("Packages")) delete (files as Record<string, Uint8Array>)["var/lib/rpm/rpmdb.sqlite"];
        onlyDamage(() => readRpm(filesOf(files))?.owners(new Set(["etc/hosts"])));
      },
    ),
    { numRuns: 300 },
  );
});

test("rpm: whatever bytes a header has, it is read or found damaged", () => {
  const word = fc.oneof(
    fc.constantFrom(0, 1, 2, 3, 4, 6, 8, 40, 1000, 1003, 1117, 1118, 1116, 2 ** 20, 2 ** 31, 2 ** 32 - 1),
    fc.nat(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      const bytes = Buffer.alloc(4 * words.length);
      for (const [i, value] of words.entries()) bytes.writeUInt32BE(value, 4 * i);
      onlyDamage(() => {
        const header = new RpmHeader(new CheckedBytes(bytes, "a header"));
        header.text("name");
        header.texts("baseNames");
        header.numbers("epoch");
        header.numbers("directoryIndexes");
      });
    }),
    { numRuns: 2000 },
  );
});

function onlyDamage(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID") && !isStoreError(error, "UNSUPPORTED")) throw error;
  }
}
