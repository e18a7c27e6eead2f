import { StoreError } from "../errors.ts";
import { digestBytesOf } from "../format/blake3.ts";
import { FORMAT_VERSION } from "../format/record.ts";
import type { ByteReader } from "../sources/byte-reader.ts";

/** What a packet of a stream holds. docs/format.md, "Streams". */
export const PACKET = { note: 1, chunk: 2, tree: 3, directory: 4, links: 5, content: 6, end: 7 } as const;
export type PacketKind = (typeof PACKET)[keyof typeof PACKET];

export interface Packet {
  readonly kind: PacketKind;
  /** Borrowed until the next one is read. */
  readonly payload: Buffer;
  /** Where in the stream it begins. */
  readonly at: number;
}

/** What no payload is longer than, plain: a node of a directory with the largest attributes there are. */
export const PAYLOAD_MAX_BYTES: number = 64 << 20;

/** Writes a stream. Each packet's check covers all that came before it. */
export class PacketWriter {
  readonly #output: (bytes: Uint8Array) => Promise<void>;
  #check: Buffer = Buffer.alloc(CHECK_BYTES);
  #gathered: Uint8Array[] = [MAGIC];
  #gatheredBytes = MAGIC.length;

  /** @param output gets pieces that are its own from then on */
  constructor(output: (bytes: Uint8Array) => Promise<void>) {
    this.#output = output;
  }

  /** @param payload borrowed until the promise resolves @throws {StoreError} UNSUPPORTED if it is too long */
  async put(kind: PacketKind, payload: Uint8Array): Promise<void> {
    if (payload.length > PAYLOAD_MAX_BYTES)
      throw new StoreError("UNSUPPORTED", { what: `a packet of ${payload.length} bytes fits in no stream` });
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt8(kind, 0);
    head.writeUInt32LE(payload.length, 1);
    this.#check = checkOf(this.#check, head, payload);
    const packet = Buffer.concat([head, this.#check, payload]);
    this.#gathered.push(packet);
    this.#gatheredBytes += packet.length;
    if (this.#gatheredBytes >= OUTPUT_BYTES) await this.#flush();
  }

  /** @throws what the output does */
  async end(): Promise<void> {
    await this.put(PACKET.end, new Uint8Array());
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    await this.#output(bytes);
  }
}

/** Reads a stream, and believes none of it: what it gives out is what was written, in that order. */
export class PacketReader {
  readonly #bytes: ByteReader;
  #check: Buffer = Buffer.alloc(CHECK_BYTES);

  private constructor(bytes: ByteReader) {
    this.#bytes = bytes;
  }

  /** @throws {StoreError} FORMAT_INVALID for what is no stream, FORMAT_NEWER */
  static async open(bytes: ByteReader): Promise<PacketReader> {
    const magic = (await bytes.take(MAGIC.length)).toString("latin1");
    const version = /^delta0 stream ([0-9])\n$/.exec(magic)?.[1];
    if (version === undefined) throw invalid("is no stream of delta0");
    if (Number(version) > FORMAT_VERSION)
      throw new StoreError("FORMAT_NEWER", {
        record: "the stream",
        version: Number(version),
        supported: FORMAT_VERSION,
      });
    if (Number(version) !== FORMAT_VERSION) throw invalid("has no known format version");
    return new PacketReader(bytes);
  }

  /** @throws {StoreError} FORMAT_INVALID, saying where */
  async next(): Promise<Packet> {
    const at = this.#bytes.position;
    const start = await this.#bytes.take(HEAD_BYTES + CHECK_BYTES);
    if (start.length < HEAD_BYTES + CHECK_BYTES)
      throw invalid(`ends at byte ${at + start.length}, before it is complete`);
    // Borrowed: the payload may come to lie where it is.
    const head = Buffer.from(start.subarray(0, HEAD_BYTES));
    const check = Buffer.from(start.subarray(HEAD_BYTES));
    const kind = KINDS.get(head.readUInt8(0));
    const length = head.readUInt32LE(1);
    if (kind === undefined || length > PAYLOAD_MAX_BYTES) throw damaged(at);
    const payload = await this.#payload(length);
    if (payload.length < length) throw invalid(`ends at byte ${this.#bytes.position}, before it is complete`);
    this.#check = checkOf(this.#check, head, payload);
    if (!this.#check.equals(check)) throw damaged(at);
    return { kind, payload, at };
  }

  /** Takes no more room than there are bytes: what a length says is not proven yet. */
  async #payload(length: number): Promise<Buffer> {
    if (length <= PIECE_BYTES) return await this.#bytes.take(length);
    const pieces: Buffer[] = [];
    for (let left = length; left > 0;) {
      const piece = await this.#bytes.take(Math.min(left, PIECE_BYTES));
      if (piece.length === 0) break;
      pieces.push(Buffer.from(piece));
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }
}

/** @throws {StoreError} FORMAT_INVALID always: what begins at `at` is not what was written */
export function damaged(at: number, cause?: unknown): StoreError {
  return new StoreError("FORMAT_INVALID", { record: "the stream", reason: `is damaged at byte ${at}` }, { cause });
}

const MAGIC = Buffer.from(`delta0 stream ${FORMAT_VERSION}\n`, "latin1");
/** Kind 1, length of the payload 4. */
const HEAD_BYTES = 5;
const CHECK_BYTES = 16;
const OUTPUT_BYTES = 256 << 10;
const PIECE_BYTES = 1 << 20;
const KINDS: ReadonlyMap<number, PacketKind> = new Map(Object.values(PACKET).map((kind) => [kind, kind]));

function checkOf(before: Uint8Array, head: Uint8Array, payload: Uint8Array): Buffer {
  return digestBytesOf(Buffer.concat([before, head, payload])).subarray(0, CHECK_BYTES);
}

function invalid(reason: string): StoreError {
  return new StoreError("FORMAT_INVALID", { record: "the stream", reason });
}
