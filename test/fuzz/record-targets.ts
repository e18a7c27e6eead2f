import { decodeAcl, encodeAcl, modeUnderAcl, sortedAcl } from "../../src/format/acl.ts";
import { capabilityRoot, withCapabilityRoot } from "../../src/format/capability.ts";
import { decodeChunkValue, encodeChunkValue } from "../../src/format/chunk-value.ts";
import { escapeXattr, overlayMark, unescapeXattr } from "../../src/format/overlay-xattrs.ts";
import { pack, unpack } from "../../src/format/packing.ts";
import { openRecord, sealBytes } from "../../src/format/record.ts";
import { shiftedIn } from "../../src/format/shift-ids.ts";
import {
  entryKey,
  headerKey,
  numberKey,
  openBlock,
  openEntry,
  openHeader,
  openNode,
  sealBlock,
  sealEntry,
  sealHeader,
  sealNode,
} from "../../src/format/upper.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { EMPTY_CONTENT, IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import { DeltaMarks } from "../../src/sources/delta-marks.ts";
import { layerDigest } from "../../src/containers/refs.ts";
import { decodeSent, encodeSent } from "../../src/transfer/send-note.ts";
import { compress, decompress } from "../../src/sys/zstd.ts";
import { canonical, sealed } from "../format/samples.ts";
import { mutatedBytes, mutatedPacked } from "./mutate.ts";
import type { Random } from "./random.ts";
import { requireSame, typed } from "./target.ts";
import type { Target } from "./target.ts";

const samples = Object.entries({ ...canonical, ...sealed });

/** Records by the tests' own samples of each kind. */
const records: Target = {
  name: "records",
  weight: 50,
  run: (random) => {
    const [name, { bytes, again }] = random.pick(samples);
    const [, donor] = random.pick(samples);
    const isPacked = name !== "chunk value" && !random.once(3);
    const other = isPacked ? mutatedPacked(random, bytes) : mutatedBytes(random, bytes, donor.bytes);
    const written = typed(() => again(other));
    if (name in canonical) requireSame(written, other);
  },
};

const upperNode = {
  node: { type: "file", linked: false, ...IMPLIED_DIRECTORY, content: { ...EMPTY_CONTENT, size: 9 } },
  links: 1,
  origin: "a/b",
  size: 9,
  shown: 9,
  parts: 1,
} as const;
const piece = { unit: 1, place: 7, length: 4097, check: 2 ** 40 };

const uppers = [
  [
    headerKey("web"),
    (key: Buffer) => sealHeader(key, { id: 1, base: digestOf(key), version: "v" }),
    openHeader,
    sealHeader,
  ],
  [numberKey("node", 1, 2 ** 40), (key: Buffer) => sealNode(key, upperNode), openNode, sealNode],
  [entryKey(1, 2, "\xff"), (key: Buffer) => sealEntry(key, 2 ** 40), openEntry, sealEntry],
  [
    numberKey("block", 1, 2, 3),
    (key: Buffer) => sealBlock(key, { fill: "hole", holes: 5, pieces: [piece] }),
    openBlock,
    sealBlock,
  ],
] as const;

const upperRecords: Target = {
  name: "records of uppers",
  weight: 15,
  run: (random) => {
    const [key, seal, open, sealAgain] = random.pick(uppers);
    const bytes = seal(key);
    const other = random.once(4)
      ? mutatedBytes(random, bytes)
      : sealBytes(key, mutatedPacked(random, bytes.subarray(9)));
    const again = typed(() => (sealAgain as (key: Buffer, value: unknown) => Buffer)(key, open(key, other)));
    requireSame(again, other);
    typed(() => open(mutatedBytes(random, key), other));
    typed(() => openRecord(mutatedBytes(random, key), other, "fuzzed"));
  },
};

const packing: Target = {
  name: "MessagePack",
  weight: 15,
  run: (random) => {
    const [, { bytes }] = random.pick(samples);
    const other = random.once(2) ? mutatedBytes(random, bytes) : random.bytes(random.below(60));
    const value = typed(() => [unpack(other, "fuzzed")]);
    if (value !== undefined) requireSame(pack(value[0]), other);
  },
};

const chunkValues: Target = {
  name: "chunk values",
  weight: 10,
  run: (random) => {
    const frames = Array.from({ length: random.below(5) }, (_, i) => {
      const stored = random.bytes(random.below(50));
      return { digest: digestOf(stored), codec: i % 2 === 0 ? 0 : 1, plainBytes: stored.length, stored } as const;
    });
    const other = mutatedBytes(random, encodeChunkValue(1, frames).value);
    requireSame(
      typed(() => encodeChunkValue(1, decodeChunkValue(1, other)).value),
      other,
    );
  },
};

const plain = Buffer.alloc(3000, "some text that gets shorter ");
const frame = compress(plain, 3);

/** Of libzstd, by our own calls of it: it must write no byte beyond what it was told. */
const zstdFrames: Target = {
  name: "zstd frames",
  weight: 8,
  run: (random) => {
    const room = Buffer.alloc(4000, 0xee);
    const length = random.pick([plain.length, 0, 1, 100, 3500]);
    try {
      decompress(mutatedBytes(random, frame), length, room.subarray(0, length));
    } catch (error) {
      // `plainOf` is who calls it, and makes CHUNK_CORRUPT of any error.
      if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error;
    }
    if (room.subarray(length).some((byte) => byte !== 0xee)) throw new Error("wrote beyond the room that it has");
  },
};

const acl = encodeAcl([
  { tag: 1, permissions: 7, id: 2 ** 32 - 1 },
  { tag: 2, permissions: 5, id: 1000 },
  { tag: 4, permissions: 5, id: 2 ** 32 - 1 },
  { tag: 16, permissions: 5, id: 2 ** 32 - 1 },
  { tag: 32, permissions: 0, id: 2 ** 32 - 1 },
]);
const capability = Buffer.from("0100000300040000000000000000000000000000e8030000", "hex");
const idMap = {
  uids: [{ container: 0, host: 100_000, count: 65_536 }],
  gids: [{ container: 0, host: 1, count: 1000 }],
};

const attributes: Target = {
  name: "ACLs, capabilities, marks of overlayfs",
  weight: 12,
  run: (random) => {
    const value = mutatedBytes(random, random.pick([acl, capability, Buffer.from("/a/b"), Buffer.from("y")]));
    const decoded = decodeAcl(value);
    if (typeof decoded !== "string") modeUnderAcl(sortedAcl(decoded), 0o644);
    if (capabilityRoot(value) !== undefined) withCapabilityRoot(value, random.below(3));
    const name = attributeName(random);
    for (const dialect of ["trusted", "user"] as const) {
      if (unescapeXattr(dialect, escapeXattr(dialect, name)) !== name) throw new Error(`"${name}" does not come back`);
      overlayMark(dialect, name);
    }
    const metadata = { ...IMPLIED_DIRECTORY, uid: random.below(2 ** 32), xattrs: [{ name, value }] };
    const node = random.pick([
      { type: "directory", ...metadata },
      { type: "file", ...metadata, content: EMPTY_CONTENT },
      { type: "character", ...metadata, major: 0, minor: 0 },
    ] as const);
    const marks = new DeltaMarks("/delta", random.pick(["trusted", "user"]));
    for (const path of ["d", "d/e"]) typed(() => marks.interpret({ kind: "put", path, node }));
    typed(() => shiftedIn(idMap, () => undefined)({ kind: "put", path: "d", node }));
  },
};

function attributeName(random: Random): string {
  const name = random.pick([
    "system.posix_acl_access",
    "system.posix_acl_default",
    "security.capability",
    "trusted.overlay.opaque",
    "trusted.overlay.redirect",
    "trusted.overlay.overlay.opaque",
    "user.overlay.metacopy",
    "user.overlay.whiteout",
    "user.a",
  ]);
  return random.once(3) ? mutatedBytes(random, Buffer.from(name)).toString("latin1") : name;
}

const digest = digestOf(plain);
const layers = [0, 1].map((i) => ({
  tree: digest,
  parent: null,
  created: "2024-01-02T03:04:05.678000000Z",
  message: `${i}`,
  source: "",
}));
const sentLayers = layers.map((layer) => ({ digest: layerDigest(layer), layer }));
const sent = encodeSent({
  bases: [{ ref: "base", trees: [digest, digest] }],
  layers: sentLayers,
  items: [
    { type: "layer", name: "base", layer: sentLayers[0]!.digest, isPinned: false },
    { type: "layer", name: null, layer: sentLayers[1]!.digest, isPinned: true },
  ],
});

const notes: Target = {
  name: "notes of streams",
  weight: 5,
  run: (random) => {
    typed(() => encodeSent(decodeSent(mutatedPacked(random, sent))));
  },
};

export const RECORD_TARGETS: readonly Target[] = [
  records,
  upperRecords,
  packing,
  chunkValues,
  zstdFrames,
  attributes,
  notes,
];
