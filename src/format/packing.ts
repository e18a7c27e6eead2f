import { Packr, RESET_BUFFER_MODE } from "msgpackr";
import { StoreError } from "../errors.ts";

// Plain MessagePack only. msgpackr's record extension would make bytes depend on what was encoded before: such bytes
// must never be hashed.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, moreTypes: false });

/** MessagePack bytes of arrays, maps, strings, integers, byte arrays (as Buffer), booleans, null. The caller owns them. */
export function pack(value: unknown): Buffer {
  return packr.pack(value);
}

/**
 * Takes what `pack` makes and nothing else: a second spelling of a value would give equal things different digests.
 * So it is encoded again to compare, which costs twice the decoding: 0.25 µs for a directory entry.
 *
 * @param record what is decoded, for the message
 * @throws {StoreError} FORMAT_INVALID
 */
export function unpack(bytes: Uint8Array, record: string): unknown {
  let value: unknown;
  let again: Buffer;
  try {
    value = packr.unpack(bytes);
    again = packr.pack(value, RESET_BUFFER_MODE);
  } catch (error) {
    throw new StoreError("FORMAT_INVALID", { record, reason: "is not MessagePack" }, { cause: error });
  }
  if (again.compare(bytes) !== 0)
    throw new StoreError("FORMAT_INVALID", { record, reason: "is not MessagePack in its shortest form" });
  return value;
}
