import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { ScratchNodes } from "../../src/chunks/scratch.ts";
import { StoreError } from "../../src/errors.ts";
import type { ContentWriter } from "../../src/model/change.ts";
import { EMPTY_CONTENT } from "../../src/model/node.ts";
import { ByteReader } from "../../src/sources/byte-reader.ts";
import { plainStream } from "../../src/sources/decompress.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import { compress } from "../../src/sys/zstd.ts";
import { decodeBackupHead, decodeBackupTail } from "../../src/transfer/backup-notes.ts";
import { PACKET, PacketReader, PacketWriter } from "../../src/transfer/packets.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { TreeStore } from "../../src/trees/tree-store.ts";
import { sealed } from "../format/samples.ts";
import { archive, entry, header, longName, pax } from "../sources/tar-support.ts";
import { HOSTILE_TARS } from "../support/hostile-tars.ts";
import { hasCommand } from "../support/run.ts";
import { mutatedBytes, mutatedTar } from "./mutate.ts";
import type { Random } from "./random.ts";
import { typed, typedAsync } from "./target.ts";
import type { Target } from "./target.ts";

/** All that a tar can say, a little of each. */
const everything = archive(
  entry({ name: "d/", type: "5", mode: 0o755 }),
  entry({ name: "d/f", mtime: -1, uid: 2 ** 31 }, "some bytes"),
  entry({ name: "d/l", type: "1", linkName: "d/f" }),
  entry({ name: "s", type: "2", linkName: "d/f" }),
  header({ name: "null", type: "3", major: 1, minor: 3 }),
  header({ name: "fifo", type: "6" }),
  longName("L", `d/${"n".repeat(200)}`),
  entry({ name: "n", dialect: "gnu" }, "x"),
  longName("K", "t".repeat(200)),
  entry({ name: "k", type: "2", dialect: "gnu" }),
  pax([["comment", "global"]], "g"),
  pax([
    ["path", "d/é"],
    ["mtime", "-1.5"],
    ["SCHILY.xattr.user.a", "value"],
    ["SCHILY.acl.access", "user::rw-,user:5:r--,group::r--,mask::r--,other::---"],
    ["LIBARCHIVE.xattr.user.b%20", "AAEC"],
  ]),
  entry({ name: "x" }, "x"),
  pax([
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", "sparse"],
    ["GNU.sparse.realsize", "1000"],
  ]),
  entry({ name: "GNUSparseFile.0/sparse" }, `1\n10\n3\n${"\0".repeat(505)}abc`),
  pax([
    ["GNU.sparse.size", "100"],
    ["GNU.sparse.map", "0,1,50,2"],
  ]),
  entry({ name: "old" }, "abc"),
);
const tars = [
  everything,
  everything,
  everything,
  ...HOSTILE_TARS.map(({ bytes }) => bytes).filter(({ length }) => length < 1 << 17),
];

/** Counts bytes, and keeps none. */
function countingWriter(): ContentWriter {
  let size = 0;
  return {
    write: (bytes) => void (size += bytes.length),
    hole: (length) => (size += length),
    end: () => {
      const content = { ...EMPTY_CONTENT, size: Math.min(size, Number.MAX_SAFE_INTEGER), sparse: true };
      size = 0;
      return content;
    },
  };
}

const NOTHING_BELOW = {
  put: (): never => {
    throw new Error("nothing is put below");
  },
  get: (digest: string): never => {
    throw new StoreError("NODE_MISSING", { digest });
  },
};

/** Reads an archive into a tree, in pieces of a size that the case chooses. */
async function readTar(random: Random, bytes: Uint8Array): Promise<void> {
  const pieceBytes = random.pick([1, 7, 511, 512, 4096, 1 << 20]);
  const builder = new TreeBuilder(new TreeStore(new ScratchNodes(NOTHING_BELOW)));
  await typedAsync(async () => {
    const plain = plainStream(inPieces(bytes, Math.max(pieceBytes, bytes.length >>> 8)), { source: "x.tar" });
    for await (const batch of tarChanges(plain, countingWriter(), { source: "x.tar" }))
      for (const change of batch) builder.apply(change);
    return builder.finish();
  });
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

const tar: Target = {
  name: "tar",
  weight: 60,
  run: (random) => readTar(random, mutatedTar(random, random.pick(tars), everything)),
};

function packed(command: string): Buffer[] {
  return hasCommand(command) ? [spawnSync(command, ["-c"], { input: everything }).stdout] : [];
}

const compressed = [gzipSync(everything), Buffer.from(compress(everything, 3))];

/** In the process; and, as far as they change the plain bytes, what a right stream says. */
const packedTar: Target = {
  name: "tar, gzip, zstd",
  weight: 6,
  run: async (random) => {
    if (random.once(2)) await readTar(random, mutatedBytes(random, random.pick(compressed)));
    else await readTar(random, gzipSync(mutatedTar(random, everything), { level: 1 }));
  },
};

const programs = [...packed("xz"), ...packed("bzip2")];

/** By a program of their own, so that a case takes some milliseconds. */
const programTar: Target = {
  name: "tar, xz, bzip2",
  weight: 0.1,
  run: async (random) => {
    if (programs.length > 0) await readTar(random, mutatedBytes(random, random.pick(programs)));
  },
};

const NOTES = [sealed["backup's head"]!.bytes, sealed["backup's tail"]!.bytes];

/** Packets whose checks are right, and streams that were changed as bytes. */
const packets: Target = {
  name: "streams",
  weight: 8,
  run: async (random) => {
    const pieces: Uint8Array[] = [];
    const writer = new PacketWriter((bytes) => Promise.resolve(void pieces.push(bytes)));
    for (let left = random.below(4); left >= 0; left--) {
      const [kind, payload] = [random.pick(Object.values(PACKET)), mutatedBytes(random, random.pick(NOTES))];
      await typedAsync(() => writer.put(kind, payload));
    }
    await writer.end();
    const bytes = Buffer.concat(pieces);
    const other = random.once(2) ? bytes : mutatedBytes(random, bytes);
    await typedAsync(async () => {
      const reader = await PacketReader.open(new ByteReader(inPieces(other, random.pick([1, 100, 1 << 20]))));
      for (let packet = await reader.next(); packet.kind !== PACKET.end; packet = await reader.next()) {
        const payload = Buffer.from(packet.payload);
        typed(() => decodeBackupHead(payload));
        typed(() => decodeBackupTail(payload));
      }
    });
  },
};

export const STREAM_TARGETS: readonly Target[] = [tar, packedTar, programTar, packets];
