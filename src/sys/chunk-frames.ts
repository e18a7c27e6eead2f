import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { CODEC } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { decompress } from "./zstd.ts";

/** @throws {StoreError} CHUNK_CORRUPT */
export function requireDigest(plain: Uint8Array, digest: Digest): void {
  const actual = digestOf(plain);
  if (actual !== digest) throw new StoreError("CHUNK_CORRUPT", { digest, actual });
}

/**
 * The bytes of a frame, not proven.
 *
 * @param room where they may be put, if they are as many
 * @throws {StoreError} CHUNK_CORRUPT
 */
export function plainOf(
  stored: Uint8Array,
  { codec, plainBytes }: Pick<Frame, "codec" | "plainBytes">,
  digest: Digest,
  room: Uint8Array | undefined,
): Uint8Array {
  if (codec === CODEC.raw) {
    if (stored.length !== plainBytes)
      throw new StoreError("CHUNK_CORRUPT", { digest, actual: `${stored.length} bytes` });
    return stored;
  }
  // What is no chunk must not make us take its room.
  if (plainBytes > BLOCK_BYTES) throw new StoreError("CHUNK_CORRUPT", { digest, actual: `${plainBytes} bytes` });
  try {
    return decompress(stored, plainBytes, room);
  } catch (error) {
    throw new StoreError("CHUNK_CORRUPT", { digest, actual: "no zstd frame" }, { cause: error });
  }
}
