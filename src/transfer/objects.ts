import type { ChunkStore } from "../chunks/chunk-store.ts";
import type { NodeStore } from "../chunks/node-store.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { compress, decompress } from "../sys/zstd.ts";
import { childrenOf } from "./children.ts";
import type { NodeKind, ObjectRef } from "./children.ts";
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
  readonly #sent = new Set<Digest>();
  #bytes = 0;

  /** Borrows both. */
  constructor(store: Objects, writer: PacketWriter) {
    this.#store = store;
    this.#writer = writer;
  }

  get sent(): SentObjects {
    return { objects: this.#sent.size, bytes: this.#bytes };
  }

  /**
   * @param rest called between two objects: a turn for others, and where it can be stopped
   * @throws {StoreError} what the store does for damage
   */
  async send(tree: Digest, rest: () => Promise<void> | undefined): Promise<void> {
    const path: Sending[] = [];
    const enter = ({ kind, digest }: ObjectRef): void => {
      if (kind === PACKET.chunk) throw new Error("a chunk has nothing below it");
      const bytes = this.#store.nodes.get(digest);
      path.push({ kind, digest, bytes, children: childrenOf(kind, bytes, digest), next: 0 });
    };
    if (!this.#sent.has(tree)) enter({ kind: PACKET.tree, digest: tree });
    // Not by recursion: trees may be deeper than the stack.
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const child = at.children[at.next++];
      if (child === undefined) {
        path.pop();
        await this.#put(at.kind, nodeFrame(at.digest, at.bytes));
      } else if (!this.#sent.has(child.digest)) {
        if (child.kind !== PACKET.chunk) enter(child);
        else await this.#chunk(child.digest);
      }
      const resting = rest();
      if (resting !== undefined) await resting;
    }
  }

  async #chunk(digest: Digest): Promise<void> {
    const frame = this.#store.chunks.frame(digest);
    this.#bytes += frame.plainBytes;
    await this.#put(PACKET.chunk, frame);
  }

  async #put(kind: Packet["kind"], frame: Frame): Promise<void> {
    this.#sent.add(frame.digest);
    await this.#writer.put(kind, encodeObject(frame));
  }
}

interface Sending {
  readonly kind: NodeKind;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly children: readonly ObjectRef[];
  next: number;
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
    if (kind === PACKET.note || kind === PACKET.end) throw damaged(at);
    try {
      const frame = decodeObject(payload, at);
      if (kind === PACKET.chunk) this.#store.chunks.putFrame(frame);
      else await this.#node(kind, frame, at);
    } catch (error) {
      if (isStoreError(error, "CHUNK_CORRUPT")) throw damaged(at, error);
      throw error;
    }
    await this.#store.chunks.backpressure();
  }

  async #node(kind: NodeKind, frame: Frame, at: number): Promise<void> {
    const bytes = plainNode(frame, at);
    if (digestOf(bytes) !== frame.digest) throw damaged(at);
    for (const { kind: below, digest } of childrenOf(kind, bytes, frame.digest)) {
      const isThere = below === PACKET.chunk ? this.#store.chunks.claim(digest) : this.#store.nodes.has(digest);
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

const FLUSH_NODE_BYTES = 32 << 20;
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
