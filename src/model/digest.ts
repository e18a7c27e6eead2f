declare const digestBrand: unique symbol;

/** A BLAKE3-256 digest as 64 lower-case hex digits. Printed to users as `blake3:<hex>`. */
export type Digest = string & { readonly [digestBrand]: true };

export const DIGEST_BYTES = 32;

/** @returns undefined unless `text` is 64 lower-case hex digits */
export function parseDigest(text: string): Digest | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? (text as Digest) : undefined;
}

/** The digest in the first 32 bytes. Of fewer, as a key may have them that nobody of us made, what nothing has for a digest. */
export function digestFromBytes(bytes: Uint8Array): Digest {
  const length = Math.min(bytes.length, DIGEST_BYTES);
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, length);
  return buffer.toString("hex", 0, DIGEST_BYTES) as Digest;
}

export function digestToBytes(digest: Digest): Buffer {
  return Buffer.from(digest, "hex");
}
