import { StoreError } from "../errors.ts";
import { DIGEST_BYTES, digestFromBytes, digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { TupleReader } from "./node.ts";
import type { Content } from "../model/node.ts";
import { pack, unpack } from "./packing.ts";
import { FORMAT_VERSION, requireVersion } from "./record.ts";

/** How a chunk's bytes stand in its frame. */
export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

/** One stored chunk. The plain length bounds its decompression, whatever the frame says of itself. */
export interface Frame {
  readonly digest: Digest;
  readonly codec: Codec;
  readonly plainBytes: number;
  readonly stored: Uint8Array;
}

/** Gives back what a `ContentWriter` took as it is stored, for whoever decompresses and proves it elsewhere. */
export interface FrameReader {
  /**
   * The content from its beginning, in order: its blocks' frames, not proven (borrowed until the next step), or the length of a run of
   * zeros.
   *
   * @throws {StoreError} CHUNK_MISSING, NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID
   */
  frames(content: Content): Iterable<Frame | number>;
}

/** Where a frame is: at `offset` of the value `id` of the database `chunks`. */
export interface Place {
  readonly id: number;
  readonly offset: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly codec: Codec;
}

/** Per frame: digest 32, codec 1, plain length 4, stored length 4, little-endian. */
const ROW_BYTES = DIGEST_BYTES + 9;
/** Version 1, number of frames 2. */
const HEAD_BYTES = 3;

/**
 * A value of the database `chunks`: head, one row per frame, the frames. It says all of itself, so that the index can be
 * made anew from the values alone. docs/format.md, "Chunk values".
 *
 * @param frames at most 65535
 * @param room where the value is put if it fits
 * @returns the value, and each frame's place in it, in order
 */
export function encodeChunkValue(
  id: number,
  frames: readonly Frame[],
  room?: Buffer,
): { value: Buffer; places: Place[] } {
  const start = HEAD_BYTES + frames.length * ROW_BYTES;
  const length = frames.reduce((sum, frame) => sum + frame.stored.length, start);
  const value = length <= (room?.length ?? -1) ? room!.subarray(0, length) : Buffer.allocUnsafe(length);
  value.writeUInt8(FORMAT_VERSION, 0);
  value.writeUInt16LE(frames.length, 1);
  let row = HEAD_BYTES;
  let offset = start;
  const places = frames.map(({ digest, codec, plainBytes, stored }) => {
    value.set(digestToBytes(digest), row);
    value.writeUInt8(codec, row + DIGEST_BYTES);
    value.writeUInt32LE(plainBytes, row + DIGEST_BYTES + 1);
    value.writeUInt32LE(stored.length, row + DIGEST_BYTES + 5);
    value.set(stored, offset);
    const place: Place = { id, offset, storedBytes: stored.length, plainBytes, codec };
    row += ROW_BYTES;
    offset += stored.length;
    return place;
  });
  return { value, places };
}

/** A frame as the head of its value tells of it. */
export interface FrameRow extends Place {
  readonly digest: Digest;
}

/**
 * What a value says of its frames, from its first bytes alone.
 *
 * @param head enough of them, or all there are: see `headBytesOf`
 * @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER
 */
export function decodeFrameRows(id: number, head: Uint8Array): FrameRow[] {
  const record = `chunk value ${id}`;
  requireVersion(head[0], record);
  const view = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const end = headBytesOf(head);
  if (end > view.length) throw new StoreError("FORMAT_INVALID", { record, reason: "is cut short" });
  const rows: FrameRow[] = [];
  for (let row = HEAD_BYTES, offset = end; row < end; row += ROW_BYTES) {
    const storedBytes = view.readUInt32LE(row + DIGEST_BYTES + 5);
    rows.push({
      digest: digestFromBytes(view.subarray(row)),
      id,
      offset,
      storedBytes,
      plainBytes: view.readUInt32LE(row + DIGEST_BYTES + 1),
      codec: requireCodec(view.readUInt8(row + DIGEST_BYTES), record),
    });
    offset += storedBytes;
  }
  return rows;
}

/** How many bytes of a value `decodeFrameRows` needs; of what is too short to tell, more than there are. */
export function headBytesOf(start: Uint8Array): number {
  const [, low, high] = start;
  return low === undefined || high === undefined ? HEAD_BYTES : HEAD_BYTES + (low + high * 256) * ROW_BYTES;
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeChunkValue(id: number, value: Uint8Array): Frame[] {
  const invalid = (reason: string): StoreError =>
    new StoreError("FORMAT_INVALID", { record: `chunk value ${id}`, reason });
  const rows = decodeFrameRows(id, value);
  const { offset = headBytesOf(value), storedBytes = 0 } = rows.at(-1) ?? {};
  if (offset + storedBytes > value.length) throw invalid("is cut short");
  if (offset + storedBytes < value.length) throw invalid("has bytes after its last frame");
  return rows.map(({ digest, codec, plainBytes, offset, storedBytes }) => {
    return { digest, codec, plainBytes, stored: value.subarray(offset, offset + storedBytes) };
  });
}

/** An entry of the chunk index. */
export function encodePlace({ id, offset, storedBytes, plainBytes, codec }: Place): Buffer {
  return pack([id, offset, storedBytes, plainBytes, codec]);
}

/** @throws {StoreError} FORMAT_INVALID */
export function decodePlace(bytes: Uint8Array, digest: Digest): Place {
  const record = `index entry of chunk ${digest}`;
  const t = new TupleReader(unpack(bytes, record), record);
  const place = {
    id: t.integer(0),
    offset: t.integer(0, 2 ** 32 - 1),
    storedBytes: t.integer(0, 2 ** 32 - 1),
    plainBytes: t.integer(0, 2 ** 32 - 1),
    codec: requireCodec(t.next(), record),
  };
  t.end();
  return place;
}

function requireCodec(codec: unknown, record: string): Codec {
  if (codec === CODEC.raw || codec === CODEC.zstd) return codec;
  throw new StoreError("FORMAT_INVALID", { record, reason: "names a compression that is not known" });
}
