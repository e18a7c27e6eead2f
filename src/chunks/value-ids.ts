import { StoreError } from "../errors.ts";
import { decodePlace } from "../format/chunk-value.ts";
import { idOfKey, kindRange, nameKey } from "../format/keys.ts";
import { openRecord, sealRecord } from "../format/record.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";

/** So many ids are reserved at once. */
export const RESERVED_IDS: number = 2 ** 20;

export const NEXT_ID_KEY: Uint8Array = nameKey("setting", "next-chunk-value");

/** What is written before the first of the ids below `bound` is used. */
export function reserveIds(bound: number): Operation {
  return { type: "put", key: NEXT_ID_KEY, value: sealRecord(NEXT_ID_KEY, bound) };
}

/**
 * An id above all that were ever used.
 *
 * @throws {StoreError} FORMAT_INVALID if the counter's record is damaged, or lost
 */
export async function nextIdIn(values: Kv, meta: Kv): Promise<number> {
  const used = (await lastIdIn(values)) + 1;
  const mark = meta.getSync(NEXT_ID_KEY);
  if (mark !== undefined) return Math.max(used, numberIn(openRecord(NEXT_ID_KEY, mark, RECORD)));
  // It was written before the first id was used. Without it ids above the last one could be used again.
  if (used > 0) throw new StoreError("FORMAT_INVALID", { record: RECORD, reason: "is lost", hint: "delta0 fsck" });
  return 0;
}

/** As `nextIdIn`, from all that names ids: none that was ever reserved is below it if the counter is lost. */
export async function safeNextId(values: Kv, meta: Kv): Promise<number> {
  try {
    return await nextIdIn(values, meta);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
  let last = await lastIdIn(values);
  for await (const [key, bytes] of meta.iterate(kindRange("chunk"))) {
    if (key.length !== DIGEST_KEY_BYTES) continue;
    try {
      last = Math.max(last, decodePlace(bytes, digestFromBytes(key.subarray(1))).id);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }
  for await (const key of meta.keys(kindRange("value")))
    if (key.length === VALUE_KEY_BYTES) last = Math.max(last, idOfKey(key, 1));
  return (Math.ceil((last + 1) / RESERVED_IDS) + 1) * RESERVED_IDS;
}

async function lastIdIn(values: Kv): Promise<number> {
  for await (const key of values.keys({ reverse: true, limit: 1 })) if (key.length === ID_BYTES) return idOfKey(key);
  return -1;
}

function numberIn(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new StoreError("FORMAT_INVALID", { record: RECORD, reason: "is no number" });
}

const RECORD = "the counter of chunk values";
const DIGEST_KEY_BYTES = 33;
const VALUE_KEY_BYTES = 9;
const ID_BYTES = 8;
