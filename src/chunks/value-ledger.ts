import { StoreError } from "../errors.ts";
import { idKey, idOfKey, kindRange, nameKey, valueKey } from "../format/keys.ts";
import { openRecord, sealRecord } from "../format/record.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import { nextIdIn, RESERVED_IDS, reserveIds, safeNextId } from "./value-ids.ts";

/** Ids from `from` to before `to`. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

/**
 * What is known of chunk values beside the index: which ids were used, and, so that a collection need not read them, how many bytes of
 * each are dead, and among which ids there may be values that no index entry ever led to, left by a process that was killed.
 */
export class ValueLedger {
  readonly #meta: Kv;
  /** Written, and not all indexed. */
  readonly #unsettled = new Set<number>();
  #suspects: readonly IdRange[];
  #nextId: number;
  /** Ids below it are reserved; see `begin`. */
  #reservedIds: number;
  #reserving: Promise<void> | undefined;

  private constructor(meta: Kv, nextId: number, suspects: readonly IdRange[]) {
    this.#meta = meta;
    this.#nextId = nextId;
    this.#reservedIds = nextId;
    this.#suspects = suspects;
  }

  /**
   * Borrows `meta`.
   *
   * @param options.isDamaged what it says is not to be believed, and counters may be lost: then any value may be one that nothing leads to
   * @throws {StoreError} FORMAT_INVALID
   */
  static async open(
    meta: Kv,
    values: Kv,
    { isDamaged = false }: { readonly isDamaged?: boolean } = {},
  ): Promise<ValueLedger> {
    const nextId = isDamaged ? await safeNextId(values, meta) : await nextIdIn(values, meta);
    const [settled, suspects] = isDamaged ? NOTHING_KNOWN : readState(meta);
    for await (const _ of values.keys({ gte: idKey(settled), lt: idKey(nextId), limit: 1 }))
      return new ValueLedger(meta, nextId, [...suspects, { from: settled, to: nextId }]);
    return new ValueLedger(meta, nextId, suspects);
  }

  /** Where values may be that nothing leads to. Read whole, to find them. */
  get suspects(): readonly IdRange[] {
    return this.#suspects;
  }

  /**
   * An id for a value, that was never used, not even for one that is gone: an index entry that outlived its value in a crash must not find
   * another one in its place. So a range of ids is reserved durably before the first of them is used.
   */
  async begin(): Promise<number> {
    while (this.#nextId >= this.#reservedIds)
      await (this.#reserving ??= this.#reserve().finally(() => (this.#reserving = undefined)));
    const id = this.#nextId++;
    this.#unsettled.add(id);
    return id;
  }

  async #reserve(): Promise<void> {
    const end = this.#nextId + RESERVED_IDS;
    await this.#meta.write([reserveIds(end)], { sync: true });
    this.#reservedIds = end;
  }

  /** @returns what is written with the index entries that lead to these values */
  settle(ids: Iterable<number>): Operation {
    for (const id of ids) this.#unsettled.delete(id);
    return this.#state(Math.min(this.#nextId, ...this.#unsettled));
  }

  /** @returns what is written once no suspect is left */
  clearSuspects(): Operation {
    this.#suspects = [];
    return this.settle([]);
  }

  #state(settled: number): Operation {
    const value = sealRecord(STATE_KEY, [settled, ...this.#suspects.flatMap(({ from, to }) => [from, to])]);
    return { type: "put", key: STATE_KEY, value };
  }

  /** Bytes of frames that no index entry leads to any more, for each value that has such. */
  async dead(): Promise<Map<number, number>> {
    const dead = new Map<number, number>();
    for await (const [key, bytes] of this.#meta.iterate(kindRange("value"))) {
      const id = idOfKey(key, 1);
      const count = openRecord(key, bytes, `ledger of chunk value ${id}`);
      if (typeof count === "number") dead.set(id, count);
    }
    return dead;
  }

  /** @param bytes 0 for a value that is gone */
  setDead(id: number, bytes: number): Operation {
    return setDeadBytes(id, bytes);
  }

  /** @returns what is written where index entries may have been lost: any value may be one that nothing leads to */
  suspectAll(): Operation {
    this.#suspects = [{ from: 0, to: this.#nextId }];
    return this.settle([]);
  }
}

export function setDeadBytes(id: number, bytes: number): Operation {
  const key = valueKey(id);
  return bytes === 0 ? { type: "del", key } : { type: "put", key, value: sealRecord(key, bytes) };
}

const NOTHING_KNOWN: ReturnType<typeof readState> = [0, []];
const STATE_KEY = nameKey("setting", "chunk-values");

function readState(meta: Kv): [settled: number, suspects: IdRange[]] {
  const bytes = meta.getSync(STATE_KEY);
  if (bytes === undefined) return [0, []];
  const record = "the state of chunk values";
  const numbers: unknown = openRecord(STATE_KEY, bytes, record);
  if (!Array.isArray(numbers) || numbers.length % 2 !== 1 || !numbers.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw new StoreError("FORMAT_INVALID", { record, reason: "is no list of ids" });
  const [settled = 0, ...bounds] = numbers as number[];
  const suspects: IdRange[] = [];
  for (let i = 0; i < bounds.length; i += 2) suspects.push({ from: bounds[i] ?? 0, to: bounds[i + 1] ?? 0 });
  return [settled, suspects];
}
