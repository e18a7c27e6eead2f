import { deflateRawSync, gzipSync } from "node:zlib";
import { archive, END, entry, header, longName, numberField, pax } from "../sources/tar-support.ts";

/** An archive that somebody made on purpose. */
export interface HostileTar {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** The paths of the tree that it makes; undefined if it must be refused. */
  readonly paths?: readonly string[];
}

const good = entry({ name: "good" }, "good");
const file = (name: string, data = ""): Buffer => entry({ name }, data);
const link = (name: string, linkName: string): Buffer => entry({ name, type: "1", linkName });
const symlink = (name: string, linkName: string): Buffer => entry({ name, type: "2", linkName });
const directory = (name: string): Buffer => entry({ name, type: "5" });
/** A field of a header as it stands, without the check for a name that fits. */
const raw = (at: number, bytes: string, type = "0"): Buffer => header({ name: "f", type, raw: { [at]: bytes } });
const field = (value: number | bigint): string => numberField(12, Number(value)).toString("latin1");

function tar(name: string, paths: readonly string[] | undefined, ...parts: readonly Uint8Array[]): HostileTar {
  return { name, bytes: archive(good, ...parts), ...(paths && { paths: ["good", ...paths] }) };
}

/** Nothing in them is to be written outside, and none may take long, or more memory than it has bytes, but for a bounded part. */
export const HOSTILE_TARS: readonly HostileTar[] = [
  // Where names lead.
  tar("a name with ..", undefined, file("../evil")),
  tar("a name with .. inside", undefined, file("a/b/../../../evil")),
  tar("a name that is ..", undefined, directory("..")),
  tar("an absolute name begins at the root", ["etc", "etc/evil"], file("/etc/evil")),
  tar("an absolute name with ..", undefined, file("/../evil")),
  tar("a name of slashes", ["a", "a/b"], file("///a////b")),
  tar("the root by all its names", [], directory("."), directory("./"), directory("/"), directory("././.")),
  tar("a file that is the root", undefined, file(".")),
  tar("a file without a name", undefined, file("")),
  tar("a symlink that is the root", undefined, symlink("./", "/etc")),
  tar("a NUL in a name of pax", undefined, pax([["path", "a\0b"]]), file("x")),
  tar("a component above 255 bytes", undefined, longName("L", "x".repeat(256)), file("x")),
  tar("a path above 65535 bytes", undefined, longName("L", "d/".repeat(33_000)), file("x")),
  tar("a long name above what is read", undefined, entry({ name: "l", type: "L", size: 2 ** 33 - 1 })),
  tar("a long name and no entry", undefined, longName("L", "x")),
  tar("through a symlink", undefined, symlink("out", "/etc"), file("out/passwd")),
  tar("through a symlink that was a directory", undefined, directory("d"), symlink("d", "/etc"), file("d/passwd")),
  tar("through a symlink to itself", undefined, symlink("loop", "loop"), file("loop/x")),
  tar("through a file", undefined, file("good/evil")),
  tar("through a device", undefined, entry({ name: "n", type: "3", major: 1, minor: 3 }), file("n/evil")),
  tar("a directory through a symlink", undefined, symlink("out", "/etc"), directory("out/new")),
  tar(
    "a directory in the place of a symlink",
    ["out", "out/new"],
    symlink("out", "/etc"),
    directory("out"),
    file("out/new"),
  ),
  // Hard links.
  tar("a hard link to outside", undefined, link("evil", "../../etc/passwd")),
  tar("a hard link to what the host has", undefined, link("evil", "/etc/passwd")),
  tar("a hard link through a symlink", undefined, symlink("out", "/etc"), link("evil", "out/passwd")),
  tar("a hard link to a directory", undefined, directory("d"), link("evil", "d")),
  tar("a hard link to the root", undefined, link("evil", ".")),
  tar("a hard link that is the root", undefined, link("/", "good")),
  tar("a hard link to itself", undefined, link("evil", "evil")),
  tar("a file that is a hard link to itself", [], link("good", "good")),
  tar("a cycle of hard links", undefined, link("a", "b"), link("b", "a")),
  tar("a hard link to what comes later", undefined, link("a", "later"), file("later")),
  tar("a hard link below its target", undefined, file("f"), link("f/x", "f")),
  tar("a hard link to a symlink out", ["s", "t"], symlink("s", "/etc/passwd"), link("t", "s")),
  tar("a hard link over its target's directory", ["d"], file("d/f"), link("d", "d/f")),
  // The same name again.
  tar("a file again and again", ["f"], ...Array.from({ length: 100 }, (_, i) => file("f", `${i}`))),
  tar("a directory in the place of a file", ["f", "f/x"], file("f"), directory("f"), file("f/x")),
  tar("a file in the place of a full directory", ["f"], file("f/a/b/c"), file("f")),
  tar("one name for all by a global header", ["g"], pax([["path", "g"]], "g"), file("a"), file("b"), file("c")),
  // Numbers.
  tar("a size of 8 GiB and no data", undefined, header({ name: "f", size: 2 ** 33 - 1 })),
  tar("a size of 2^63", undefined, raw(124, field(2n ** 63n))),
  tar("a size of 2^95 - 1", undefined, raw(124, `\x80${"\xff".repeat(11)}`)),
  tar("a size below zero", undefined, raw(124, field(-512))),
  tar("a size that is no number", undefined, raw(124, "size        ")),
  tar("a size of pax above 2^53", undefined, pax([["size", "9007199254740993"]]), file("f")),
  tar("a size of pax below zero", undefined, pax([["size", "-1"]]), file("f")),
  tar("a directory with a size of 2^40", undefined, raw(124, field(2 ** 40), "D")),
  tar("owners above 2^32", undefined, raw(108, numberField(8, 2 ** 33).toString("latin1"))),
  tar("owners below zero", undefined, raw(116, numberField(8, -1).toString("latin1"))),
  tar(
    "a device number above 2^32",
    undefined,
    header({ name: "f", type: "3", raw: { 329: "\x80\0\0\xff\xff\xff\xff\xff" } }),
  ),
  tar("a time before 1970", ["f"], header({ name: "f", mtime: -(2 ** 40) })),
  tar("a time beyond 2^53", undefined, raw(136, `\x80\0\0\0\xff${"\xff".repeat(7)}`)),
  tar("a time of pax with 10 000 digits", ["f"], pax([["mtime", `1.${"1".repeat(10_000)}`]]), file("f")),
  tar("a time of pax that is no number", undefined, pax([["mtime", "1e999999"]]), file("f")),
  // Extended headers.
  tar("a pax record of length 0", undefined, entry({ name: "p", type: "x" }, "0 a=b\n"), file("f")),
  tar("a pax record that goes beyond", undefined, entry({ name: "p", type: "x" }, "99999999999 a=b\n"), file("f")),
  tar("a pax record without =", undefined, entry({ name: "p", type: "x" }, "6 abc\n"), file("f")),
  tar("a pax record without a length", undefined, entry({ name: "p", type: "x" }, " a=b\n"), file("f")),
  tar("a pax header above what is read", undefined, entry({ name: "p", type: "x", size: 2 ** 30 })),
  tar("pax headers and no entry", undefined, pax([["path", "x"]])),
  tar(
    "100 000 pax records",
    undefined,
    pax(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, ""] as const)),
    file("f"),
  ),
  tar("an attribute above 64 KiB", undefined, pax([["SCHILY.xattr.user.a", "x".repeat(65_537)]]), file("f")),
  tar("an attribute without a name", undefined, pax([["SCHILY.xattr.", "x"]]), file("f")),
  tar(
    "an attribute's name above 255 bytes",
    undefined,
    pax([[`SCHILY.xattr.user.${"a".repeat(255)}`, "x"]]),
    file("f"),
  ),
  tar("an ACL of nonsense", undefined, pax([["SCHILY.acl.access", "user::rwx,group::,#\n::::"]]), file("f")),
  tar("an ACL of blanks", undefined, pax([["SCHILY.acl.access", " ".repeat(1 << 20)]]), file("f")),
  // Sparse files.
  tar(
    "one hole of 2^53 - 1 bytes",
    ["f"],
    pax([
      ["GNU.sparse.size", "9007199254740991"],
      ["GNU.sparse.map", "0,0"],
    ]),
    file("f"),
  ),
  tar(
    "a sparse map out of order",
    undefined,
    pax([
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "5,1,0,1"],
    ]),
    file("f", "ab"),
  ),
  tar(
    "a sparse map that overlaps",
    undefined,
    pax([
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "0,2,1,1"],
    ]),
    file("f", "abc"),
  ),
  tar(
    "a sparse map beyond the end",
    undefined,
    pax([
      ["GNU.sparse.size", "1"],
      ["GNU.sparse.map", "0,2"],
    ]),
    file("f", "ab"),
  ),
  tar(
    "a sparse map beyond 2^53",
    undefined,
    pax([
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "9007199254740991,9007199254740991"],
    ]),
    file("f"),
  ),
  tar(
    "a sparse map of an odd number",
    undefined,
    pax([
      ["GNU.sparse.size", "9"],
      ["GNU.sparse.map", "0"],
    ]),
    file("f"),
  ),
  tar(
    "a sparse map of 10^12 pieces",
    undefined,
    pax([
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.realsize", "9"],
    ]),
    file("f", "1000000000000\n"),
  ),
  tar(
    "a sparse map that never ends",
    undefined,
    pax([
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.realsize", "9"],
    ]),
    file("f", "5\n0\n"),
  ),
  {
    name: "an old sparse file whose map never ends",
    bytes: Buffer.concat([
      header({ name: "f", type: "S", dialect: "gnu", raw: { 482: "\x01", 483: field(9) } }),
      Buffer.alloc(64 * 512, 1),
    ]),
  },
  tar(
    "a sparse format of the future",
    undefined,
    pax([
      ["GNU.sparse.major", "2"],
      ["GNU.sparse.minor", "0"],
    ]),
    file("f"),
  ),
  // What archives end with, and what they are not.
  { name: "no byte", bytes: Buffer.alloc(0) },
  { name: "blocks of zeros alone", bytes: END, paths: [] },
  { name: "one block of zeros", bytes: Buffer.alloc(512), paths: [] },
  { name: "no block of zeros", bytes: good, paths: ["good"] },
  { name: "half a block at the end", bytes: good.subarray(0, 900) },
  { name: "garbage behind the end", bytes: Buffer.concat([good, END, Buffer.alloc(5000, "garbage")]), paths: ["good"] },
  {
    name: "another archive behind the end",
    bytes: Buffer.concat([good, END, archive(file("../evil"))]),
    paths: ["good"],
  },
  { name: "garbage where a header should be", bytes: archive(good, Buffer.alloc(512, "garbage")) },
  { name: "text", bytes: Buffer.from("no tar\n".repeat(200)) },
  { name: "the second volume of an archive", bytes: archive(entry({ name: "f", type: "M" }, "x")) },
  { name: "a wrong check sum", bytes: archive(good, entry({ name: "f", checksum: "wrong" })) },
];

/** Zeros that unpack to `bytes`, a thousandth of that itself. */
export function gzipBomb(bytes: number): Buffer {
  return gzipSync(Buffer.concat([good, Buffer.alloc(bytes)]), { level: 9 });
}

/** An archive of `count` entries, each with the same global attribute of 64 KiB, in few bytes. */
export function attributeBomb(count: number): Buffer {
  const names = Array.from({ length: 100 }, (_, i) => [`SCHILY.xattr.user.a${i}`, "A".repeat(65_000)] as const);
  return gzipSync(archive(pax(names, "g"), ...Array.from({ length: count }, (_, i) => file(`f${i}`))), { level: 9 });
}

/** An archive of `count` entries with different names of one directory, made as it is read. */
export function* entryBomb(count: number, type: "0" | "5" = "0"): Generator<Buffer> {
  for (let i = 0; i < count; i += 1000)
    yield Buffer.concat(Array.from({ length: 1000 }, (_, j) => header({ name: `e${i + j}`, type })));
  yield END;
}

/** A gzip stream whose header and trailer are right, and whose middle ends too early. */
export function cutGzip(bytes: Uint8Array): Buffer {
  const whole = gzipSync(bytes);
  return Buffer.concat([whole.subarray(0, 10), deflateRawSync(bytes).subarray(0, -9), whole.subarray(-8)]);
}
