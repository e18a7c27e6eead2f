import {
  decodeLayer,
  decodeHistoryEntry,
  decodeNameRef,
  encodeHistoryEntry,
  encodeLayer,
  encodeNameRef,
} from "../../src/containers/records.ts";
import type { ContainerRef, Ref } from "../../src/containers/records.ts";
import { digestOf } from "../../src/format/blake3.ts";
import { decodeChunkValue, decodePlace, encodeChunkValue, encodePlace } from "../../src/format/chunk-value.ts";
import type { Frame } from "../../src/format/chunk-value.ts";
import { pack, unpack } from "../../src/format/packing.ts";
import {
  decodeContentPage,
  decodeDirectoryPage,
  decodeLinkPage,
  decodeTree,
  encodeContentPage,
  encodeDirectoryLeaf,
  encodeIndex,
  encodeLinkLeaf,
  encodeTree,
} from "../../src/format/pages.ts";
import type { IndexRow } from "../../src/format/pages.ts";
import type { Digest } from "../../src/model/digest.ts";
import type { Name } from "../../src/model/name.ts";
import type { Metadata, Node } from "../../src/model/node.ts";
import {
  decodeBackupHead,
  decodeBackupTail,
  encodeBackupHead,
  encodeBackupTail,
} from "../../src/transfer/backup-notes.ts";

/** A record of each kind, with how it is written and read. */
export interface Sample {
  readonly bytes: Buffer;
  /** Reads bytes and writes what was read. */
  readonly again: (bytes: Uint8Array) => Buffer;
}

function digest(text: string): Digest {
  return digestOf(Buffer.from(text));
}

function sample<T>(value: T, encode: (value: T) => Buffer, decode: (bytes: Uint8Array) => T): Sample {
  return { bytes: encode(value), again: (bytes) => encode(decode(bytes)) };
}

const plain: Metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_700_000_000, mtimeNsec: 1, xattrs: [] };
const extreme: Metadata = {
  mode: 0o7777,
  uid: 4_000_000_000,
  gid: 2 ** 32 - 1,
  mtimeSec: -(2 ** 40),
  mtimeNsec: 999_999_999,
  xattrs: [
    { name: "security.capability", value: Uint8Array.of(1, 0, 0, 2, 255) },
    { name: "user.\xe4", value: new Uint8Array() },
  ],
};

const nodes: readonly Node[] = [
  { type: "file", linked: false, ...plain, content: { size: 0, sparse: false, root: null } },
  { type: "file", linked: true, ...extreme, content: { size: 5 * 2 ** 30, sparse: true, root: digest("page") } },
  { type: "directory", linked: false, ...extreme, listing: { root: null, entries: 0, bytes: 0 } },
  { type: "directory", linked: false, ...plain, listing: { root: digest("d"), entries: 3, bytes: 2 ** 53 - 1 } },
  { type: "symlink", linked: false, ...extreme, target: "../\xff\xfe/\n" },
  { type: "character", linked: true, ...plain, major: 0, minor: 0 },
  { type: "block", linked: false, ...plain, major: 2 ** 32 - 1, minor: 0xfffff },
  { type: "fifo", linked: false, ...plain },
  { type: "socket", linked: true, ...plain, mtimeSec: 2 ** 33 },
];
const names = ["-", ".wh.x", "\n", "a", "a.b", "b", "n".repeat(255), "\x80", "\xff\xfe"] as Name[];
const rows = [...names].sort().map((name, i) => [name, nodes[i]!] as const);

const pages: readonly IndexRow[] = [
  { lastKey: "m", page: digest("m"), entries: 300, bytes: 2 ** 40 },
  { lastKey: "\xff", page: digest("z"), entries: 1, bytes: 0 },
];
const frames: readonly Frame[] = [
  { digest: digest("one"), codec: 0, plainBytes: 3, stored: Buffer.from("one") },
  { digest: digest("two"), codec: 1, plainBytes: 131_072, stored: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
];

const container: ContainerRef = {
  type: "container",
  base: digest("layer"),
  lower: digest("lower"),
  tree: digest("tree"),
  generation: 7,
  created: "2024-01-02T03:04:05.678000000Z",
  captured: null,
  lxcPath: "/var/lib/lxc",
  labels: { role: "web", ä: "ö" },
  ephemeral: true,
  expires: "2024-02-02T03:04:05.678000000Z",
  identityPending: false,
  idMap: { uids: [{ container: 0, host: 100_000, count: 65_536 }], gids: [] },
};
const layerRef: Ref = { type: "layer", layer: digest("layer") };
const pinned: Ref = { ...layerRef, pinned: true };

function tupled<T>(value: T, encode: (value: T) => readonly unknown[], decode: (tuple: unknown) => T): Sample {
  return sample(
    value,
    (x) => pack(encode(x)),
    (bytes) => decode(unpack(bytes, "sample")),
  );
}

function index(kind: "directory" | "links"): Sample {
  const decode = kind === "directory" ? decodeDirectoryPage : decodeLinkPage;
  return {
    bytes: encodeIndex(kind, 1, pages),
    again: (bytes) => {
      const page = decode(bytes, digest(""));
      if ("pages" in page) return encodeIndex(kind, page.level, page.pages);
      return Symbol.iterator in page.rows && Array.isArray(page.rows)
        ? encodeLinkLeaf(page.rows as string[][])
        : encodeDirectoryLeaf(page.rows as ReadonlyMap<Name, Node>);
    },
  };
}

/** Hashed records, and those that stand for one thing under their key: there is one spelling of each. */
export const canonical: Readonly<Record<string, Sample>> = {
  "directory leaf": { ...index("directory"), bytes: encodeDirectoryLeaf(rows) },
  "directory index": index("directory"),
  "link leaf": {
    ...index("links"),
    bytes: encodeLinkLeaf([
      ["a", "a/b", "a.b"],
      ["\xff", "\xff\xfe/x"],
    ]),
  },
  "link index": index("links"),
  "content page": sample({ level: 2, refs: [digest("a"), null, digest("b")] }, encodeContentPage, (bytes) =>
    decodeContentPage(bytes, digest("")),
  ),
  tree: sample(
    {
      root: { type: "directory", linked: false, ...plain, listing: { root: digest("d"), entries: 1, bytes: 0 } },
      links: digest("links"),
    },
    encodeTree,
    (bytes) => decodeTree(bytes, digest("")),
  ),
  "empty tree": sample(
    {
      root: { type: "directory", linked: false, ...plain, listing: { root: null, entries: 0, bytes: 0 } },
      links: null,
    },
    encodeTree,
    (bytes) => decodeTree(bytes, digest("")),
  ),
  layer: sample(
    {
      tree: digest("tree"),
      parent: digest("parent"),
      created: container.created,
      message: "ünïcode\n",
      source: "/srv",
    },
    encodeLayer,
    (bytes) => decodeLayer(bytes, digest("")),
  ),
  "chunk value": sample(
    frames,
    (list) => encodeChunkValue(1, list).value,
    (bytes) => decodeChunkValue(1, bytes),
  ),
  "index entry": sample(
    { id: 2 ** 40, offset: 85, storedBytes: 4, plainBytes: 131_072, codec: 1 },
    encodePlace,
    (bytes) => decodePlace(bytes, digest("")),
  ),
};

/** Records that are sealed under their key: what reads must be right, how it was written does not matter. */
export const sealed: Readonly<Record<string, Sample>> = {
  "layer's name": tupled(layerRef, encodeNameRef, (tuple) => decodeNameRef(tuple, "sample")),
  "pinned layer's name": tupled(pinned, encodeNameRef, (tuple) => decodeNameRef(tuple, "sample")),
  "container's name": tupled<Ref>(container, encodeNameRef, (tuple) => decodeNameRef(tuple, "sample")),
  history: tupled(
    {
      time: container.created,
      command: "clone base --count 2",
      changes: [
        { name: "c1", before: null, after: container },
        { name: "c2", before: layerRef, after: container },
        { name: "old", before: layerRef, after: null },
      ],
    },
    encodeHistoryEntry,
    (tuple) => decodeHistoryEntry(tuple, "sample"),
  ),
  "backup's head": sample({ name: "web", created: container.created }, encodeBackupHead, decodeBackupHead),
  "backup's tail": sample(
    {
      ref: { ...container, base: digest("layer 1") },
      layers: [
        {
          digest: digest("layer 0"),
          tree: digest("tree 0"),
          parent: undefined,
          created: container.created,
          message: "",
          source: "/srv",
        },
        {
          digest: digest("layer 1"),
          tree: digest("tree 1"),
          parent: 0,
          created: container.created,
          message: "ü",
          source: "",
        },
      ],
      snapshots: [
        { name: "snap0", layer: 0, isPinned: false },
        { name: "kept", layer: 1, isPinned: true },
      ],
      directory: { path: "/lxc/web", hooksFile: "/store/lxc/hooks.conf", config: Buffer.from("lxc.uts.name = web\n") },
    },
    encodeBackupTail,
    decodeBackupTail,
  ),
  "history with notes": tupled(
    {
      time: container.created,
      command: "undo 2",
      changes: [
        { name: "c1", before: container, after: null },
        { name: "c2", before: null, after: container, from: "c1" },
        {
          name: "c3",
          before: container,
          after: null,
          files: [
            { name: "config", mode: 0o640, bytes: Buffer.from("lxc.uts.name = c3\n") },
            { name: "\xff", mode: 0, bytes: Buffer.alloc(0) },
          ],
        },
        { name: "c4", before: container, after: { ...container, generation: 8 }, byItself: true },
      ],
    },
    encodeHistoryEntry,
    (tuple) => decodeHistoryEntry(tuple, "sample"),
  ),
};
