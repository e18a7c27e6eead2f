import { StoreError } from "../errors.ts";
import { digestBytesOf } from "./blake3.ts";
import { pack, unpack } from "./packing.ts";

/** The version that all records and nodes carry, and the highest that is read. */
export const FORMAT_VERSION = 1;

const CHECK_BYTES = 8;

/**
 * A record that may change under its key: version byte, the first 8 bytes of BLAKE3(key ‖ body), body as MessagePack.
 *
 * LevelDB checks none of its own sums on reads, and such a record has no digest that names it: without the sum a flipped
 * bit would be believed. The key is part of it, so that a record cannot stand in for another.
 */
export function sealRecord(key: Uint8Array, value: unknown): Buffer {
  return sealBytes(key, pack(value));
}

/**
 * @param record what it is, for messages
 * @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER
 */
export function openRecord(key: Uint8Array, bytes: Uint8Array, record: string): unknown {
  return unpack(openBytes(key, bytes, record), record);
}

/** As `sealRecord`, for bytes that are no MessagePack. */
export function sealBytes(key: Uint8Array, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_VERSION), check(key, body), body]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function openBytes(key: Uint8Array, bytes: Uint8Array, record: string): Uint8Array {
  requireVersion(bytes[0], record);
  const body = bytes.subarray(1 + CHECK_BYTES);
  if (Buffer.compare(check(key, body), bytes.subarray(1, 1 + CHECK_BYTES)) === 0) return body;
  throw new StoreError("FORMAT_INVALID", { record, reason: "is damaged (its check sum does not fit)" });
}

/** @throws {StoreError} FORMAT_INVALID if there is none, FORMAT_NEWER if a later delta0 wrote it */
export function requireVersion(version: unknown, record: string): void {
  if (version === FORMAT_VERSION) return;
  if (typeof version === "number" && version > FORMAT_VERSION)
    throw new StoreError("FORMAT_NEWER", { record, version, supported: FORMAT_VERSION });
  throw new StoreError("FORMAT_INVALID", { record, reason: "has no known format version" });
}

function check(key: Uint8Array, body: Uint8Array): Buffer {
  return digestBytesOf(Buffer.concat([key, body])).subarray(0, CHECK_BYTES);
}
