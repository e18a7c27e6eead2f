import type { ChunkStore } from "../chunks/chunk-store.ts";
import type { NodeStore } from "../chunks/node-store.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { compress, decompress } from "../sys/zstd.ts";
import { DigestMap } from "../model/digest-map.ts";
import { EdgeWalk } from "../trees/edges.ts";
import { partsOf, reachTree } from "../trees/reach.ts";
import type { PartKind } from "../trees/reach.ts";
import { damaged, PACKET, PAYLOAD_MAX_BYTES } from "./packets.ts";
import type { Packet, PacketWriter } from "./packets.ts";

/** The parts of a store that objects come from, or go to. */
export interface Objects {
  readonly chunks: ChunkStore;
  readonly nodes: NodeStore;
}

export interface SentObjects {
  readonly objects: number;
  /** Of chunks, before compression. */
  readonly bytes: number;
}

/** Sends trees: each object once, and after all that it names. Whoever receives them never has an object without those below it. */
export class TreeSender {
  readonly #store: Objects;
  readonly #writer: PacketWriter;
  readonly #walk: EdgeWalk;
  /** Sent, or there already. */
  readonly #done = { nodes: new DigestMap(), chunks: new DigestMap() };
  #sent: SentObjects = { objects: 0, bytes: 0 };

  /** Borrows both. */
  constructor(store: Objects, writer: PacketWriter) {
    this.#store = store;
    this.#writer = writer;
    this.#walk = new EdgeWalk(store.nodes, {
      enter: ({ kind, digest }) => this.#done[kind === "chunk" ? "chunks" : "nodes"].add(digest),
      chunk: ({ digest }) => this.#put("chunk", this.#store.chunks.frame(digest)),
      node: ({ kind, digest }, bytes) => this.#put(kind, nodeFrame(digest, bytes)),
    });
  }

  get sent(): SentObjects {
    return this.#sent;
  }

  /** From now on nothing of this tree is sent. Whoever receives the rest has it. */
  leaveOut(tree: Digest): void {
    const { nodes, chunks } = this.#done;
    reachTree(this.#store.nodes, tree, {
      enter: (digest) => nodes.add(digest),
      node: () => undefined,
      chunk: (digest) => chunks.add(digest),
    });
  }

  /**
   * @param rest called between two objects: a turn for others, and where it can be stopped
   * @throws {StoreError} what the store does for damage
   */
  async send(tree: Digest, rest: () => Promise<void> | undefined): Promise<void> {
    await this.#walk.tree(tree, { rest });
  }

  async #put(kind: PartKind, frame: Frame): Promise<void> {
    const { objects, bytes } = this.#sent;
    this.#sent = { objects: objects + 1, bytes: kind === "chunk" ? bytes + frame.plainBytes : bytes };
    await this.#writer.put(PACKET[kind], encodeObject(frame));
  }
}

/** Takes in objects as `TreeSender` sends them. Each is proven, and refused unless all that it names is there. */
export class ObjectReceiver {
  readonly #store: Objects;
  readonly #flush: () => Promise<void>;
  #nodeBytes = 0;

  /** @param flush makes what was put durable: of nodes no more is kept in memory */
  constructor(store: Objects, flush: () => Promise<void>) {
    this.#store = store;
    this.#flush = flush;
  }

  /** @throws {StoreError} FORMAT_INVALID for what is not what it says, saying where; FORMAT_NEWER */
  async take({ kind, payload, at }: Packet): Promise<void> {
    const part = PART_KINDS.find((part) => PACKET[part] === kind);
    if (part === undefined) throw damaged(at);
    try {
      const frame = decodeObject(payload, at);
      if (part === "chunk") this.#store.chunks.putFrame(frame);
      else await this.#node(part, frame, at);
    } catch (error) {
      if (isStoreError(error, "CHUNK_CORRUPT")) throw damaged(at, error);
      throw error;
    }
    await this.#store.chunks.backpressure();
  }

  async #node(kind: PartKind, frame: Frame, at: number): Promise<void> {
    const bytes = plainNode(frame, at);
    if (digestOf(bytes) !== frame.digest) throw damaged(at);
    for (const { kind: below, digest } of partsOf({ kind, digest: frame.digest }, bytes)) {
      const isThere = below === "chunk" ? this.#store.chunks.claim(digest) : this.#store.nodes.has(digest);
      if (!isThere)
        throw new StoreError("FORMAT_INVALID", {
          record: "the stream",
          reason: `lacks ${digest}, named at byte ${at}`,
        });
    }
    this.#store.nodes.put(bytes);
    this.#nodeBytes += bytes.length;
    if (this.#nodeBytes < FLUSH_NODE_BYTES) return;
    this.#nodeBytes = 0;
    await this.#flush();
  }
}

const PART_KINDS: readonly PartKind[] = ["chunk", "tree", "directory", "links", "content"];
/** Of nodes that were put no more is kept in memory. */
export const FLUSH_NODE_BYTES = 32 << 20;
/** Codec 1, plain length 4, after the digest. */
const OBJECT_HEAD_BYTES = DIGEST_BYTES + 5;
/** Below these zstd gains nothing. */
const COMPRESSED_NODE_BYTES = 256;
const NODE_LEVEL = 3;

function encodeObject({ digest, codec, plainBytes, stored }: Frame): Buffer {
  const payload = Buffer.allocUnsafe(OBJECT_HEAD_BYTES + stored.length);
  payload.set(digestToBytes(digest));
  payload.writeUInt8(codec, DIGEST_BYTES);
  payload.writeUInt32LE(plainBytes, DIGEST_BYTES + 1);
  payload.set(stored, OBJECT_HEAD_BYTES);
  return payload;
}

function decodeObject(payload: Buffer, at: number): Frame {
  if (payload.length < OBJECT_HEAD_BYTES) throw damaged(at);
  const codec = payload.readUInt8(DIGEST_BYTES);
  if (codec !== CODEC.raw && codec !== CODEC.zstd) throw damaged(at);
  return {
    digest: digestFromBytes(payload),
    codec,
    plainBytes: payload.readUInt32LE(DIGEST_BYTES + 1),
    stored: payload.subarray(OBJECT_HEAD_BYTES),
  };
}

function nodeFrame(digest: Digest, bytes: Uint8Array): Frame {
  const plainBytes = bytes.length;
  const stored = plainBytes < COMPRESSED_NODE_BYTES ? bytes : compress(bytes, NODE_LEVEL);
  return stored.length < plainBytes
    ? { digest, codec: CODEC.zstd, plainBytes, stored }
    : { digest, codec: CODEC.raw, plainBytes, stored: bytes };
}

/** The caller owns it. */
function plainNode({ codec, plainBytes, stored }: Frame, at: number): Uint8Array {
  if (codec === CODEC.raw) return Uint8Array.from(stored);
  if (plainBytes > PAYLOAD_MAX_BYTES) throw damaged(at);
  try {
    return decompress(stored, plainBytes);
  } catch (error) {
    throw damaged(at, error);
  }
}
