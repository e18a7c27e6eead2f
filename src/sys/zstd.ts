import { StoreError } from "../errors.ts";
import { loadNativeZstd, type Zstd } from "./zstd-native.ts";
import { LIBZSTD_HINT, loadNodeZstd } from "./zstd-node.ts";

// All of these throw StoreError UNSUPPORTED where there is no zstd: no libzstd.so.1, and a Node below 22.15.

/**
 * One frame; the result is the caller's.
 *
 * @param room where it may be put, if it has room for the worst case: 64 KiB more than `bytes`
 */
export function compress(bytes: Uint8Array, level: number, room?: Uint8Array): Uint8Array {
  return zstd().compress(bytes, level, room);
}

/**
 * The plain bytes of a frame, which must be `plainLength` many: never writes or makes room for more, whatever the frame
 * says of itself. The result is the caller's.
 *
 * @param room where they may be put if it is as long
 * @throws {Error} if the frame is damaged, or holds more or less
 */
export function decompress(frame: Uint8Array, plainLength: number, room?: Uint8Array): Uint8Array {
  return zstd().decompress(frame, plainLength, room);
}

/**
 * The plain bytes of a stream of any size: one frame or several, skippable ones too, windows up to 2^27 bytes. Pieces
 * are the consumer's, at most 256 KiB each; the next one is made in a worker thread meanwhile. Pieces of `input` are
 * borrowed until the next is asked for.
 *
 * @throws {StoreError} FORMAT_INVALID if the input is damaged, cut short or empty
 */
export function decompressStream(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  return zstd().decompressStream(input);
}

/** What compresses here, for `doctor`. */
export function zstdImplementation(): "libzstd" | "node" | undefined {
  if (loadNativeZstd() !== undefined) return "libzstd";
  return loadNodeZstd() === undefined ? undefined : "node";
}

let loaded: Zstd | undefined;

function zstd(): Zstd {
  loaded ??= loadNativeZstd() ?? loadNodeZstd();
  if (loaded === undefined) {
    throw new StoreError("UNSUPPORTED", { what: "there is no zstd on this host", hint: LIBZSTD_HINT });
  }
  return loaded;
}
