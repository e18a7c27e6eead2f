import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ContentWriter, RawNode } from "../../src/model/change.ts";
import { comparePaths } from "../../src/model/name.ts";
import { plainStream } from "../../src/sources/decompress.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import { readStream, type ReadTree } from "../sources/tar-support.ts";
import { compareEntries, type CompareOptions, type ManifestEntry, readManifest } from "../support/compare.ts";
import { requireCommands, requireRootfs } from "../support/requirements.ts";
import { rootfsTar, unpackedRootfs } from "../support/rootfs.ts";
import { run } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Case {
  /** Writes the tar of a directory. */
  readonly write: (directory: string, tar: string) => Promise<unknown>;
  /** What this writer cannot keep. */
  readonly loses?: CompareOptions["ignore"];
  readonly wholeSeconds?: boolean;
  /** It gets times wrong that are before 1970, or beyond what 33 bits can count. */
  readonly losesFarTimes?: boolean;
  /** Formats of the past cannot hold the nasty tree. */
  readonly tree?: "nasty" | "tame";
}

const gnuTar =
  (...args: string[]) =>
  (directory: string, tar: string) =>
    run("tar", ["--numeric-owner", ...args, "-cf", tar, "-C", directory, "."]);
const gnuTarOfAll = (...args: string[]) => gnuTar("--xattrs", "--xattrs-include=*", "--acls", ...args);
const bsdTar =
  (...args: string[]) =>
  (directory: string, tar: string) =>
    run("bsdtar", ["--numeric-owner", ...args, "-cf", tar, "-C", directory, "."], { env: { LC_ALL: "C.UTF-8" } });
const pythonTar = (format: string) => (directory: string, tar: string) =>
  run("python3", ["-c", PYTHON_TAR, directory, tar, format]);

const CASES: Readonly<Record<string, Case>> = {
  "GNU tar, pax": { write: gnuTarOfAll("--format=pax") },
  "GNU tar, pax, sparse 0.0": { write: gnuTarOfAll("--format=pax", "--sparse", "--sparse-version=0.0") },
  "GNU tar, pax, sparse 0.1": { write: gnuTarOfAll("--format=pax", "--sparse", "--sparse-version=0.1") },
  "GNU tar, pax, sparse 1.0": { write: gnuTarOfAll("--format=pax", "--sparse", "--sparse-version=1.0") },
  "GNU tar, gnu": { write: gnuTar("--format=gnu", "--sparse"), loses: ["xattrs"], wholeSeconds: true },
  "GNU tar, gnu, incremental": {
    write: (directory, tar) => gnuTar("--format=gnu", `--listed-incremental=${tar}.snapshot`)(directory, tar),
    loses: ["xattrs"],
    wholeSeconds: true,
  },
  "GNU tar, oldgnu": { write: gnuTar("--format=oldgnu", "--sparse"), loses: ["xattrs"], wholeSeconds: true },
  "GNU tar, ustar": { write: gnuTar("--format=ustar"), loses: ["xattrs"], wholeSeconds: true, tree: "tame" },
  "GNU tar, v7": { write: gnuTar("--format=v7"), loses: ["xattrs"], wholeSeconds: true, tree: "tame" },
  "bsdtar, pax": { write: bsdTar("--format=pax", "--xattrs", "--acls"), losesFarTimes: true },
  "bsdtar, gnutar": {
    write: bsdTar("--format=gnutar", "--no-acls"),
    loses: ["xattrs"],
    wholeSeconds: true,
    losesFarTimes: true,
  },
  "bsdtar, ustar": { write: bsdTar("--format=ustar"), loses: ["xattrs"], wholeSeconds: true, tree: "tame" },
  "Python, pax": { write: pythonTar("PAX_FORMAT"), loses: ["xattrs", "link", "mtime_ns"] },
  "Python, gnu": { write: pythonTar("GNU_FORMAT"), loses: ["xattrs", "link", "mtime_ns"] },
};

for (const [name, options] of Object.entries(CASES)) {
  const { write, loses = [], wholeSeconds = false, losesFarTimes = false, tree = "nasty" } = options;
  test(`tar source: what ${name} makes of a ${tree} tree is that tree`, async (t) => {
    if (!requirePrograms(t)) return;
    await using directory = await temporaryDirectory();
    const [source, tar] = [join(directory.path, "source"), join(directory.path, "x.tar")];
    await mkdir(source);
    await run("python3", ["-c", TREES, source, tree]);
    await write(source, tar);
    const read = await readStream(plainStream(createReadStream(tar), { source: tar }));
    const expected = await readManifest(source);
    const differences = compareEntries(
      wholeSeconds ? inWholeSeconds(expected) : expected,
      manifestOf(read),
      // A node has no blocks; whether it is sparse is looked at below.
      { ignore: [...loses, "blocks"] },
    );
    const isLost = ({ what, path, a }: (typeof differences)[number]) =>
      // Most write each name of a special file as a file of its own.
      (what === "link" && ["device too", "fifo too"].includes(path)) ||
      (losesFarTimes && what === "mtime_ns" && (Number(a) < 0 || Number(a) >= 2 ** 33 * 1e9));
    assert.deepEqual(
      differences.filter((difference) => !isLost(difference)),
      [],
    );
    if (name.includes("sparse 1.0") || name.startsWith("bsdtar, pax")) assert.ok(isSparse(read, "sparse"));
  });
}

test("tar source: ACLs as GNU tar's text alone are those of the disk", async (t) => {
  if (!requirePrograms(t)) return;
  await using directory = await temporaryDirectory();
  const [source, tar] = [join(directory.path, "source"), join(directory.path, "x.tar")];
  await mkdir(source);
  await run("python3", ["-c", TREES, source, "nasty"]);
  await gnuTar("--acls", "--format=pax")(source, tar);
  const read = await readStream(createReadStream(tar));
  const differences = compareEntries(await readManifest(source), manifestOf(read), {
    ignore: ["blocks", "link"],
    ignoreXattr: (name) => !name.startsWith("system.posix_acl_"),
  });
  assert.deepEqual(differences, []);
});

for (const name of ["bookworm", "trixie"] as const) {
  test(`tar source: a real root filesystem, ${name}, has all its entries, as GNU tar unpacks them`, async (t) => {
    if (!requireRootfs(t, name)) return;
    const tar = await rootfsTar(name);
    const listed = (await run("tar", ["-tf", tar])).split("\n").length - 1;
    const nodes = new Map<string, RawNode>();
    let entries = 0;
    const stream = plainStream(createReadStream(tar, { highWaterMark: 1 << 20 }), { source: tar });
    for await (const batch of tarChanges(stream, sizeWriter(), { source: tar })) {
      entries += batch.length;
      for (const change of batch) {
        if (change.kind === "put") nodes.set(change.path, change.node);
        else if (change.kind === "link") nodes.set(change.path, nodes.get(change.target)!);
      }
    }
    assert.equal(entries, listed);
    const unpacked = await readManifest(await unpackedRootfs(name), { hash: false });
    // The directory that tar unpacked into has its own metadata, unless the tar has some for it.
    const differences = compareEntries(unpacked, manifestOf({ nodes }), {
      ignore: ["blocks", "sha256"],
      ignorePath: (path) => path === "" && !nodes.has(""),
    });
    assert.deepEqual(differences, []);
  });
}

function requirePrograms(t: TestContext): boolean {
  return requireCommands(t, "tar", "bsdtar", "python3", "setfacl");
}

/** The tree as the independent reader of directories would list it, were it on a disk. */
function manifestOf({ nodes, contents }: { nodes: ReadTree["nodes"]; contents?: ReadTree["contents"] }) {
  const base64 = (bytes: string) => Buffer.from(bytes, "latin1").toString("base64");
  const first = new Map<RawNode, string>();
  const manifest = new Map<string, ManifestEntry>();
  for (const path of [...nodes.keys()].sort(comparePaths)) {
    const node = nodes.get(path)!;
    if (!first.has(node)) first.set(node, path);
    const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = node;
    manifest.set(path, {
      path: base64(path),
      type: MANIFEST_TYPES[node.type],
      mode,
      uid,
      gid,
      mtime_ns: String(BigInt(mtimeSec) * 1_000_000_000n + BigInt(mtimeNsec)),
      xattrs: Object.fromEntries(xattrs.map((x) => [base64(x.name), Buffer.from(x.value).toString("base64")])),
      ...(node.type !== "directory" && { link: base64(first.get(node)!) }),
      ...(node.type === "symlink" && { target: base64(node.target) }),
      ...((node.type === "character" || node.type === "block") && { rdev: `${node.major}:${node.minor}` }),
      ...(node.type === "file" &&
        "size" in node.content && {
          size: node.content.size,
          ...(contents && { sha256: pagesDigest(contents.pieces(node.content), node.content.size) }),
        }),
    });
  }
  return manifest;
}

const MANIFEST_TYPES = {
  file: "file",
  directory: "dir",
  symlink: "symlink",
  character: "char",
  block: "block",
  fifo: "fifo",
  socket: "socket",
} as const;

/** manifest.py's digest of a file: of its size, and of index and bytes of each page that is not all zero. */
function pagesDigest(pieces: readonly (Uint8Array | number)[], size: number): string {
  const pages = new Map<number, Buffer>();
  let offset = 0;
  for (const piece of pieces) {
    if (typeof piece === "number") {
      offset += piece;
      continue;
    }
    for (let at = 0; at < piece.length;) {
      const index = Math.floor((offset + at) / PAGE_BYTES);
      const inPage = (offset + at) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - inPage, piece.length - at);
      let page = pages.get(index);
      if (page === undefined) pages.set(index, (page = Buffer.alloc(Math.min(PAGE_BYTES, size - index * PAGE_BYTES))));
      page.set(piece.subarray(at, at + length), inPage);
      at += length;
    }
    offset += piece.length;
  }
  const digest = createHash("sha256").update(bigEndian(size));
  for (const [index, page] of pages) {
    if (page.some((byte) => byte !== 0)) digest.update(bigEndian(index)).update(page);
  }
  return digest.digest("hex");
}

const PAGE_BYTES = 4096;

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function inWholeSeconds(manifest: ReadonlyMap<string, ManifestEntry>): Map<string, ManifestEntry> {
  const floor = (ns: bigint) => ns - (((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return new Map(
    [...manifest].map(([path, entry]) => [path, { ...entry, mtime_ns: String(floor(BigInt(entry.mtime_ns))) }]),
  );
}

function isSparse({ nodes }: ReadTree, path: string): boolean {
  const node = nodes.get(path);
  return node?.type === "file" && "sparse" in node.content && node.content.sparse;
}

/** Counts, and forgets. */
function sizeWriter(): ContentWriter {
  let size = 0;
  return {
    write: (bytes) => {
      size += bytes.length;
      return undefined;
    },
    hole: (length) => {
      size += length;
    },
    end: () => {
      const content = { size, sparse: false, root: null };
      size = 0;
      return content;
    },
  };
}

const PYTHON_TAR = `
import sys, tarfile
source, target, form = sys.argv[1:]
with tarfile.open(target, "w", format=getattr(tarfile, form), errors="surrogateescape") as tar:
    tar.add(source, arcname=".")
`;

const TREES = `
import os, subprocess, sys
root, kind = os.fsencode(sys.argv[1]), sys.argv[2]
os.chdir(root)

def write(name, data=b"content"):
    with open(name, "wb") as file:
        file.write(data)

def times(name, ns):
    os.utime(name, ns=(0, ns), follow_symlinks=False)

write(b"file", bytes(range(256)) * 40)
write(b"empty", b"")
write(b"block", b"x" * 512)
os.mkdir(b"directory")
os.mkdir(b"directory/empty")
write(b"directory/" + b"n" * 80)
os.symlink(b"directory/file", b"symlink")
os.link(b"file", b"directory/linked")
for name, mode in [(b"no mode", 0), (b"all mode", 0o7777)]:
    write(name)
    os.chmod(name, mode)
os.chmod(b"directory", 0o3755)
os.chown(b"file", 1000, 1001)
for i, name in enumerate([b"file", b"empty", b"symlink", b"directory/empty"]):
    times(name, (1_600_000_000 + i) * 10**9 + 123_456_789)

if kind == "nasty":
    for name in [b"n" * 255, b"\\xff\\xfe not utf-8", b"new\\nline", b"-dash", b"per%25cent=", b"\\xc3\\xa4", b"back\\\\slash"]:
        write(name, name)
        os.mkdir(b"directory/" + name)
        os.symlink(name, b"directory/empty/" + name)
    deep = b"/".join([b"d" * 200] * 6)
    os.makedirs(deep)
    write(deep + b"/bottom")
    os.link(deep + b"/bottom", deep + b"/bottom too")
    os.symlink(b"t" * 4095, b"long symlink")
    os.link(b"symlink", b"symlink too")
    os.mkfifo(b"fifo")
    os.link(b"fifo", b"fifo too")
    os.mknod(b"device", 0o20600, os.makedev(1, 3))
    os.link(b"device", b"device too")
    os.mknod(b"block device", 0o60600, os.makedev(259, 1000))
    os.mknod(b"whiteout", 0o20000, os.makedev(0, 0))
    for name in [b"file", b"symlink", b"directory", b"fifo", b"device"]:
        os.chown(name, 4_000_000_000, 4_000_000_001, follow_symlinks=False)
    os.setxattr(b"file", b"user.empty", b"")
    os.setxattr(b"file", b"user.binary", bytes(range(256)))
    os.setxattr(b"file", b"user.newline", b"a\\nb=c\\n")
    os.setxattr(b"file", b"user.a=b%25", b"escaped name")
    os.setxattr(b"file", b"user.\\xc3\\xa4", b"umlaut")
    os.setxattr(b"file", b"trusted.test", b"\\x00\\xff")
    os.setxattr(b"symlink", b"trusted.symlink", b"of the symlink", follow_symlinks=False)
    os.setxattr(b"device", b"trusted.device", b"of the device", follow_symlinks=False)
    os.setxattr(b".", b"user.root", b"of the root")
    os.setxattr(b"empty", b"security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    os.setxattr(b"block", b"user.large", os.urandom(3000))
    acl = lambda *args: subprocess.run(["setfacl", *args], check=True)
    acl("-m", "u:1234:rwx,u:0:r--,g:2000000000:--x", "file")
    acl("-m", "u:1234:rwx,d:u:1234:rwx,d:g:0:r-x,d:o::---", "directory")
    acl("-d", "-m", "u::rwx,g::r-x,o::r-x", "directory/empty")
    os.chmod(b"directory", 0o3755)
    with open(b"sparse", "wb") as file:
        for i in range(50):
            file.seek(1 << 20, 1)
            file.write(b"%d" % i * 3000)
        file.truncate(80 << 20)
    with open(b"one hole", "wb") as file:
        file.truncate(3 << 20)
    with open(b"hole first", "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    for name, ns in [(b"block", -1_000_000), (b"hole first", -1_500_000_000), (b"long symlink", -(2**31) * 10**9),
                     (b"fifo", 2**33 * 10**9 + 999_999_999), (b"device", 1), (b"sparse", -(10**9))]:
        times(name, ns)

for directory, _, _ in os.walk(b".", topdown=False):
    times(directory, 1_500_000_000 * 10**9 + len(directory))
`;
