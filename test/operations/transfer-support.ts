import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { digestFromBytes } from "../../src/model/digest.ts";
import type { Digest } from "../../src/model/digest.ts";
import { BLOCK_BYTES } from "../../src/model/node.ts";
import type { Content } from "../../src/model/node.ts";
import { receive, send, Store } from "../../src/index.ts";
import type { Context, TakenIn } from "../../src/index.ts";
import { PACKET, PacketWriter } from "../../src/transfer/packets.ts";
import type { PacketKind } from "../../src/transfer/packets.ts";
import { reachTree } from "../../src/trees/reach.ts";
import { walkBelow } from "../../src/trees/walk.ts";

export const MAGIC_BYTES = 16;
/** Kind 1, length 4, check 16. */
const PACKET_HEAD_BYTES = 21;

/** The packets of a stream as they stand in it. */
export function packetsOf(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = MAGIC_BYTES; at < bytes.length;) {
    const end = at + PACKET_HEAD_BYTES + bytes.readUInt32LE(at + 1);
    packets.push(bytes.subarray(at, end));
    at = end;
  }
  return packets;
}

export interface StreamPart {
  readonly kind: PacketKind;
  readonly payload: Buffer;
}

export function partsOfStream(bytes: Buffer): StreamPart[] {
  return packetsOf(bytes).map((packet) => ({
    kind: packet.readUInt8(0) as PacketKind,
    payload: Buffer.from(packet.subarray(PACKET_HEAD_BYTES)),
  }));
}

/** A stream whose checks all fit. The end is added. */
export async function streamOf(parts: readonly StreamPart[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const writer = new PacketWriter((bytes) => Promise.resolve(void pieces.push(bytes)));
  for (const { kind, payload } of parts) if (kind !== PACKET.end) await writer.put(kind, payload);
  await writer.end();
  return Buffer.concat(pieces);
}

/** Digests of the objects in a stream, with whether each is a chunk's. */
export function objectsIn(bytes: Buffer): { readonly digest: Digest; readonly isChunk: boolean }[] {
  return partsOfStream(bytes).flatMap(({ kind, payload }) =>
    kind === PACKET.note || kind === PACKET.end
      ? []
      : [{ digest: digestFromBytes(payload), isChunk: kind === PACKET.chunk }],
  );
}

export async function* inPieces(bytes: Uint8Array, pieceBytes = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield await Promise.resolve(bytes.subarray(at, at + pieceBytes));
}

/** Contents of all shapes that are in the store. */
export async function contentsIn(store: Store): Promise<Content[]> {
  const contents: Content[] = [];
  for (const size of [0, 3, 5000, BLOCK_BYTES, BLOCK_BYTES + 1, 300 * BLOCK_BYTES + 7]) {
    const writer = store.content.writer();
    for (let at = 0; at < size; at += BLOCK_BYTES) {
      await writer.write(Buffer.alloc(Math.min(BLOCK_BYTES, size - at), `content ${size} ${at % 7}`));
    }
    contents.push(writer.end());
  }
  const sparse = store.content.writer();
  sparse.hole(2 ** 33);
  await sparse.write(Buffer.from("end"));
  return [...contents, sparse.end()];
}

/** Reads all bytes of a tree's files, proven, and all groups of its hard links. */
export function requireWhole({ trees, content }: Store, digest: Digest): void {
  const seen = new Set<string>();
  for (const [, node] of walkBelow(trees, "", trees.tree(digest).root)) {
    if (node.type !== "file" || node.content.root === null || seen.has(node.content.root)) continue;
    seen.add(node.content.root);
    for (const piece of content.pieces(node.content)) assert.ok(piece);
  }
  assert.ok([...trees.linkGroups(trees.tree(digest).links)]);
}

export async function sent(context: Context, refs: readonly string[], have: readonly string[] = []): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(Uint8Array.from(bytes)));
  await send({ ...context, output }, { refs, have, file: "-" });
  return Buffer.concat(pieces);
}

export async function received(
  context: Context,
  bytes: Uint8Array,
  options: { as?: string; prefix?: string; replace?: boolean } = {},
): Promise<readonly TakenIn[]> {
  return (await receive({ ...context, input: inPieces(bytes) }, { file: "-", ...options })).received;
}

/** Works in the store at `path`, and closes it. */
export async function within<T>(path: string, work: (context: Context) => Promise<T>): Promise<T> {
  await using store = await Store.open(path, { command: "a test" });
  return await work({ store, command: "a test" });
}

/** A source of 12 directories with 30 files each, and one large file. */
export function writeSource(path: string): void {
  for (let i = 0; i < 12; i++) {
    mkdirSync(`${path}/d${i}`, { recursive: true });
    for (let j = 0; j < 30; j++) writeFileSync(`${path}/d${i}/f${j}`, `file ${i} ${j} `.repeat(1 + 200 * (j % 3)));
  }
  writeFileSync(`${path}/large`, Buffer.alloc(1_000_000, `large ${path.length}`));
}

export function reachOf(store: Store, trees: Iterable<Digest>): { nodes: Set<Digest>; chunks: Set<Digest> } {
  const [nodes, chunks] = [new Set<Digest>(), new Set<Digest>()];
  for (const tree of trees)
    reachTree(store.nodes, tree, {
      enter: (digest) => !nodes.has(digest) && !!nodes.add(digest),
      node: () => undefined,
      chunk: (digest) => chunks.add(digest),
    });
  return { nodes, chunks };
}
