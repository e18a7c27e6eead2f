import zlib from "node:zlib";
import { StoreError } from "../errors.ts";
import type { Zstd } from "./zstd-native.ts";

/** What node:zlib has since 22.15 and the types of Node 20 do not know. */
interface ZlibZstd {
  zstdCompressSync(bytes: Uint8Array, options: object): Uint8Array;
  zstdDecompressSync(bytes: Uint8Array, options: object): Uint8Array;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

/** Node's own zstd, for hosts without libzstd. @returns undefined if this Node has none */
export function loadNodeZstd(): Zstd | undefined {
  const node = zlib as unknown as Partial<ZlibZstd>;
  if (!hasZstd(node)) return undefined;
  const atLevel = (level: number) => ({ params: { [node.constants.ZSTD_c_compressionLevel]: level } });
  return {
    compress: (bytes, level) => node.zstdCompressSync(bytes, atLevel(level)),
    decompress: (frame, plainLength) => {
      const plain = node.zstdDecompressSync(frame, { maxOutputLength: Math.max(plainLength, 1) });
      if (plain.length !== plainLength) throw new Error(`zstd: ${plain.length} plain bytes instead of ${plainLength}`);
      return plain;
    },
    // As of 22.23 Node's decoder ends without an error where a stream is cut short or a frame follows another.
    decompressStream: () => {
      throw new StoreError("UNSUPPORTED", { what: "zstd streams need libzstd", hint: LIBZSTD_HINT });
    },
  };
}

export const LIBZSTD_HINT = "install libzstd.so.1 (package libzstd1 on Debian and Ubuntu, libzstd on Fedora)";

function hasZstd(node: Partial<ZlibZstd>): node is ZlibZstd {
  return typeof node.zstdCompressSync === "function" && typeof node.zstdDecompressSync === "function";
}
