import { StoreError } from "../errors.ts";
import { decodeFrameRows, decodePlace, headBytesOf } from "../format/chunk-value.ts";
import type { FrameRow, Place } from "../format/chunk-value.ts";
import { digestKey, idKey, idOfKey, valueKey } from "../format/keys.ts";
import { openRecord } from "../format/record.ts";
import { isUnreadable } from "../kv/kv.ts";
import type { Kv } from "../kv/kv.ts";
import type { ValuePlace } from "../kv/tables.ts";
import type { Digest } from "../model/digest.ts";
import { Threads } from "../sys/threads.ts";
import { ChunkIndex } from "./chunk-index.ts";
import type { ChunkStore } from "./chunk-store.ts";
import { verifyValues } from "./verify-values.ts";
import type { VerifiedValues, VerifyJob } from "./verify-values.ts";

export interface ChunkCheckOptions {
  /** Reads all bytes and proves them; else the index is held against what the values say of themselves. */
  readonly deep: boolean;
  /** Called for each value: a turn for others, and where it can be stopped. */
  readonly rest?: ((values: number, bytes: number) => Promise<void> | undefined) | undefined;
}

export interface CheckedChunks {
  readonly chunks: number;
  /** Of frames. */
  readonly storedBytes: number;
  readonly plainBytes: number;
  /** Chunks that the index leads to in vain, with why. */
  readonly bad: ReadonlyMap<Digest, StoreError>;
  /** Chunks that can be read, of which their values say something else than the index; with the values' ids. */
  readonly misdescribed: ReadonlyMap<Digest, number>;
  /** What the ledger should say of values, where it says something else: bytes that are dead. */
  readonly ledger: ReadonlyMap<number, number>;
}

/** The parts of a store that its chunks are in. */
export interface CheckedParts {
  readonly chunks: ChunkStore;
  readonly databases: { readonly meta: Kv; readonly chunks: Kv };
}

/**
 * Holds the index of chunks, their values and the ledger against each other. What runs beside it may go on.
 *
 * Values are read in the order of their ids, which is that of the disk; with `deep` other threads do so, and prove each chunk, from
 * `compare` on up to `result`: whoever has other things to do does them in between.
 */
export class ChunkCheck implements Disposable {
  readonly #parts: CheckedParts;
  readonly #meta: Kv;
  readonly #values: Kv;
  readonly #options: ChunkCheckOptions;
  readonly #threads: Threads<VerifyJob, VerifiedValues> | undefined;
  #index = new ChunkIndex();
  #isWanted: ((digest: Digest) => boolean) | undefined;
  /** By numbers of the index: 1 for a chunk that is where that has it. */
  #found = new Uint8Array();
  /** That may be bad: a read decides. */
  readonly #suspects = new Set<Digest>();
  /** Of which any chunk may be bad. */
  readonly #suspectValues = new Set<number>();
  readonly #ledger = new Map<number, number>();
  readonly #running = new Set<Promise<void>>();
  #job: { file: string; values: VerifyJob["values"][number][]; bytes: number } = { file: "", values: [], bytes: 0 };
  #provenBytes = 0;

  /** Borrows both. */
  constructor(parts: CheckedParts, options: ChunkCheckOptions) {
    this.#parts = parts;
    this.#meta = parts.databases.meta;
    this.#values = parts.databases.chunks;
    this.#options = options;
    // A thread takes longer to begin than so much does here.
    if (!options.deep || this.#values.tableBytes < OWN_BYTES) return;
    this.#threads = new Threads("chunks/verify-thread", verifyValues);
    this.#threads.begin();
  }

  /** Ends what other threads do. */
  [Symbol.dispose](): void {
    this.#threads?.[Symbol.dispose]();
  }

  /**
   * Reads what values say of themselves.
   *
   * @param index as it is by now, or was a little before; borrowed
   * @param isWanted whether a chunk matters. Default: all do, and the ledger is held against the values
   */
  async compare(index: ChunkIndex, isWanted?: (digest: Digest) => boolean): Promise<void> {
    this.#index = index;
    this.#isWanted = isWanted;
    this.#found = new Uint8Array(index.size);
    let count = 0;
    let bytes = 0;
    try {
      for await (const key of this.#values.keys({})) {
        if (key.length === ID_BYTES) bytes += await this.#value(idOfKey(key));
        await this.#options.rest?.(++count, bytes);
      }
    } catch (error) {
      // What lies behind it is missed in the index then.
      if (!isUnreadable(error)) throw error;
    }
    await this.#dispatch();
  }

  async #value(id: number): Promise<number> {
    const at = unlessDamaged(() => this.#values.placeSync(idKey(id)));
    const rows = readRows(this.#values, id, at?.length);
    if (rows === undefined) return 0;
    let dead = 0;
    let bytes = 0;
    let hasLive = false;
    let isWanted = false;
    for (const row of rows) {
      bytes += row.storedBytes;
      const number = this.#index.numberOf(row.digest);
      const place = number === undefined ? undefined : this.#index.place(number);
      if (number === undefined || place?.id !== id) {
        dead += row.storedBytes;
        continue;
      }
      hasLive = true;
      if (!isSamePlace(place, row) || this.#isWanted?.(row.digest) === false) continue;
      isWanted = true;
      this.#found[number] = 1;
    }
    if (hasLive && this.#isWanted === undefined && dead !== this.#index.deadBytes(id)) this.#compareLedger(id, rows);
    if (isWanted && this.#options.deep) await this.#prove(id, at);
    return bytes;
  }

  /** The index may have changed since it was read. Together with it the ledger did. */
  #compareLedger(id: number, rows: readonly FrameRow[]): void {
    const dead = rows.filter(({ digest }) => this.#place(digest)?.id !== id);
    const deadBytes = dead.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    if (dead.length < rows.length && deadBytes !== this.#ledgerSays(id)) this.#ledger.set(id, deadBytes);
  }

  #place(digest: Digest): Place | undefined {
    return unlessDamaged(() => {
      const bytes = this.#meta.getSync(digestKey("chunk", digest));
      return bytes && decodePlace(bytes, digest);
    });
  }

  #ledgerSays(id: number): number {
    const key = valueKey(id);
    const bytes = this.#meta.getSync(key);
    if (bytes === undefined) return 0;
    return unlessDamaged(() => openRecord(key, bytes, "ledger") as number) ?? -1;
  }

  /** Has a thread prove the value's chunks, together with its neighbours'. */
  async #prove(id: number, at: ValuePlace | undefined): Promise<void> {
    if (at === undefined) {
      this.#suspectValues.add(id);
      return;
    }
    const { file, position, length } = at;
    if (file !== this.#job.file || this.#job.bytes > JOB_BYTES) {
      await this.#dispatch();
      this.#job = { file, values: [], bytes: 0 };
    }
    this.#job.values.push({ id, position, length });
    this.#job.bytes += length;
  }

  async #dispatch(): Promise<void> {
    const { file, values, bytes } = this.#job;
    this.#job = { file: "", values: [], bytes: 0 };
    if (values.length === 0) return;
    this.#provenBytes += bytes;
    if (this.#threads === undefined) return this.#suspect(verifyValues({ file, values }));
    const running = this.#threads.run({ file, values }).then((verified) => {
      this.#running.delete(running);
      this.#suspect(verified);
    });
    this.#running.add(running);
    running.catch(() => undefined);
    if (this.#running.size >= JOBS_AHEAD) await Promise.race(this.#running);
  }

  #suspect({ bad }: VerifiedValues): void {
    for (const { id, digest } of bad)
      if (digest !== undefined) this.#suspects.add(digest);
      else this.#suspectValues.add(id);
  }

  /** What others wrote meanwhile was not seen, and files may have been gone: so each suspect is read. */
  async result(): Promise<CheckedChunks> {
    for (const job of this.#running) {
      await job;
      await this.#options.rest?.(this.#index.size, this.#provenBytes);
    }
    const sums = { chunks: 0, storedBytes: 0, plainBytes: 0 };
    for (const [digest, number] of this.#index) {
      if (this.#isWanted?.(digest) === false) continue;
      const place = this.#index.place(number);
      sums.chunks++;
      sums.storedBytes += place?.storedBytes ?? 0;
      sums.plainBytes += place?.plainBytes ?? 0;
      const isFound = this.#found[number] !== 0 && place !== undefined && !this.#suspectValues.has(place.id);
      if (!isFound) this.#suspects.add(digest);
    }
    return { ...sums, ...(await this.#readSuspects()), ledger: this.#ledger };
  }

  async #readSuspects(): Promise<Pick<CheckedChunks, "bad" | "misdescribed">> {
    const bad = new Map<Digest, StoreError>();
    const misdescribed = new Map<Digest, number>();
    let count = 0;
    for (const digest of this.#suspects) {
      if (++count % SUSPECTS_BETWEEN_TURNS === 0) await this.#options.rest?.(count, 0);
      if (this.#isWanted?.(digest) === false || this.#meta.getSync(digestKey("chunk", digest)) === undefined) continue;
      try {
        this.#parts.chunks.get(digest);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        bad.set(digest, error as StoreError);
        continue;
      }
      const place = this.#place(digest);
      if (place !== undefined && !this.#isDescribed(digest, place)) misdescribed.set(digest, place.id);
    }
    return { bad, misdescribed };
  }

  /** Whether its value says of a chunk what the index says. */
  #isDescribed(digest: Digest, place: Place): boolean {
    const rows = readRows(this.#values, place.id);
    return rows?.some((row) => row.digest === digest && isSamePlace(row, place)) === true;
  }
}

/** @param valueBytes how long the value is, if that is known @returns undefined for a value that cannot be read */
export function readRows(values: Kv, id: number, valueBytes?: number): FrameRow[] | undefined {
  return unlessDamaged(() => {
    const key = idKey(id);
    let head = values.getPartSync(key, 0, USUAL_HEAD_BYTES);
    if (head === undefined) return undefined;
    const needed = headBytesOf(head);
    if (needed > head.length) head = values.getPartSync(key, 0, needed);
    const rows = head && decodeFrameRows(id, head);
    const last = rows?.at(-1);
    const end = last === undefined ? 0 : last.offset + last.storedBytes;
    if (end === 0) return undefined;
    const isWhole = valueBytes === undefined ? values.getPartSync(key, end - 1, 2)?.length === 1 : valueBytes === end;
    return isWhole ? rows : undefined;
  });
}

function isSamePlace(a: Place, b: Place): boolean {
  return (
    a.offset === b.offset && a.storedBytes === b.storedBytes && a.plainBytes === b.plainBytes && a.codec === b.codec
  );
}

function unlessDamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StoreError) && !isUnreadable(error)) throw error;
    return undefined;
  }
}

const ID_BYTES = 8;
/** Of a hundred frames. */
const USUAL_HEAD_BYTES = 4096;
/** Read by one thread at a stretch. */
const JOB_BYTES = 4 << 20;
/** A gigabyte: while it is proven, others do what they have to. */
const JOBS_AHEAD = 256;
const OWN_BYTES = 8 << 20;
const SUSPECTS_BETWEEN_TURNS = 64;
