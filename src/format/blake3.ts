import { createRequire } from "node:module";
import type { Digest } from "../model/digest.ts";

/**
 * The BLAKE3-256 of these bytes.
 * Source: O'Connor, Aumasson, Neves, Wilcox-O'Hearn: BLAKE3, 2020; checked against its official test vectors.
 */
export function digestOf(bytes: Uint8Array): Digest {
  return digestBytesOf(bytes).toString("hex") as Digest;
}

/** The same as 32 bytes, for keys. */
export function digestBytesOf(bytes: Uint8Array): Buffer {
  return (implementation ??= load()).digest(bytes);
}

/** Puts as many of these 32 bytes into `room` as it holds: half as long as making a buffer of them. */
export function writeDigestOf(bytes: Buffer, room: Buffer): void {
  (implementation ??= load()).write(bytes, room);
}

/** What hashes here, for `doctor`: the native library, or WebAssembly where it has no binary for this machine. */
export function blake3Implementation(): "native" | "wasm" {
  implementation ??= load();
  return isNative ? "native" : "wasm";
}

interface Blake3 {
  readonly digest: (bytes: Uint8Array) => Buffer;
  readonly write: (bytes: Buffer, room: Buffer) => void;
}
let implementation: Blake3 | undefined;
let isNative = false;

function load(): Blake3 {
  const require = createRequire(import.meta.url);
  try {
    const { blake3UrlSafeBase64 } = loadNative(require);
    isNative = true;
    // A Buffer that it made would be memory of its own: twice as slow for short inputs, and 200 MiB before they are collected.
    return {
      digest: (bytes) => {
        const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        return Buffer.from(blake3UrlSafeBase64(buffer), "base64url");
      },
      write: (bytes, room) => room.write(blake3UrlSafeBase64(bytes), "base64url"),
    };
  } catch {
    return loadWasm(require);
  }
}

interface Native {
  readonly blake3UrlSafeBase64: (bytes: Buffer) => string;
}

/** On most hosts without the package's own way to find out which binary it is: that makes a whole diagnostic report, 10 ms. */
function loadNative(require: NodeJS.Require): Native {
  try {
    return require(`@napi-rs/blake-hash-linux-${process.arch}-gnu`) as Native;
  } catch {
    return require("@napi-rs/blake-hash") as Native;
  }
}

/** 1.1 GB/s against the native 9. */
export function loadWasm(require: NodeJS.Require): Blake3 {
  const { hash } = require("blake3") as { hash: (bytes: Uint8Array) => Buffer };
  return {
    digest: (bytes) => Buffer.from(hash(bytes)),
    write: (bytes, room) => room.set(hash(bytes).subarray(0, room.length)),
  };
}
