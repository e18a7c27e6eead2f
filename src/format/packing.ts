import { Packr } from "msgpackr";
import { StoreError } from "../errors.ts";

// Plain MessagePack only. msgpackr's record extension would make bytes depend on what was encoded before: such bytes
// must never be hashed.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true, moreTypes: false });

/** MessagePack bytes of arrays, maps, strings, integers, byte arrays (as Buffer), booleans, null. The caller owns them. */
export function pack(value: unknown): Buffer {
  return packr.pack(value);
}

/**
 * @param record what is decoded, for the message
 * @throws {StoreError} FORMAT_INVALID if `bytes` are not one MessagePack value
 */
export function unpack(bytes: Uint8Array, record: string): unknown {
  try {
    return packr.unpack(bytes);
  } catch (error) {
    throw new StoreError("FORMAT_INVALID", { record, reason: "is not MessagePack" }, { cause: error });
  }
}
