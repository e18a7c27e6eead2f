import { StoreError } from "../errors.ts";
import { digestBytesOf, writeDigestOf } from "./blake3.ts";
import { pack, unpack } from "./packing.ts";

/** The version that all records and nodes carry, and the highest that is read. */
export const FORMAT_VERSION = 1;

const CHECK_BYTES = 8;
const BODY_AT = 1 + CHECK_BYTES;

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
  return Buffer.concat([Buffer.of(FORMAT_VERSION), checkDigest(key, body).subarray(0, CHECK_BYTES), body]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function openBytes(key: Uint8Array, bytes: Uint8Array, record: string): Uint8Array {
  requireVersion(bytes[0], record);
  const body = bytes.subarray(BODY_AT);
  const digest = checkDigest(key, body);
  let i = 0;
  while (i < CHECK_BYTES && digest[i] === bytes[1 + i]) i++;
  if (i === CHECK_BYTES) return body;
  throw new StoreError("FORMAT_INVALID", { record, reason: "is damaged (its check sum does not fit)" });
}

/** The body of a record as a byte string, sound or not. */
export function bodyText(bytes: Buffer): string {
  return bytes.toString("latin1", BODY_AT);
}

/**
 * Tells whether `openBytes` would take a record, in a third of its time and without memory: for listings of ten thousand.
 *
 * @param key ASCII
 * @returns false also for one that is so large that this does not look at it
 */
export function isIntact(key: string, bytes: Buffer): boolean {
  const length = key.length + bytes.length - BODY_AT;
  if (bytes.length < BODY_AT || bytes[0] !== FORMAT_VERSION || BODY_AT + length > room.length) return false;
  // What stands before the body goes under the key, or before it.
  room.set(bytes, key.length);
  room.write(key, BODY_AT, "latin1");
  if (joined.length !== length) joined = room.subarray(BODY_AT, BODY_AT + length);
  writeDigestOf(joined, check);
  return check.compare(bytes, 1, BODY_AT) === 0;
}

/** @throws {StoreError} FORMAT_INVALID if there is none, FORMAT_NEWER if a later delta0 wrote it */
export function requireVersion(version: unknown, record: string): void {
  if (version === FORMAT_VERSION) return;
  if (typeof version === "number" && version > FORMAT_VERSION)
    throw new StoreError("FORMAT_NEWER", { record, version, supported: FORMAT_VERSION });
  throw new StoreError("FORMAT_INVALID", { record, reason: "has no known format version" });
}

function checkDigest(key: Uint8Array, body: Uint8Array): Buffer {
  const length = key.length + body.length;
  const joined = length <= room.length ? room : Buffer.allocUnsafe(length);
  joined.set(key);
  joined.set(body, key.length);
  return digestBytesOf(joined.subarray(0, length));
}

/** Most records fit: a listing of names opens ten thousand. */
const room = Buffer.allocUnsafeSlow(4096);
/** Key and body of the last one. */
let joined = room.subarray(0, 0);
const check = Buffer.allocUnsafeSlow(CHECK_BYTES);
