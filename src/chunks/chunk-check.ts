import { StoreError } from "../errors.ts";
import { decodeFrameRows, decodePlace, headBytesOf } from "../format/chunk-value.ts";
import type { FrameRow, Place } from "../format/chunk-value.ts";
import { digestKey, idKey, idOfKey, kindRange, valueKey } from "../format/keys.ts";
import { openRecord } from "../format/record.ts";
import { isUnreadable } from "../kv/kv.ts";
import type { Kv } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";
import { Threads } from "../sys/threads.ts";
import type { ChunkStore } from "./chunk-store.ts";
import { verifyValues } from "./verify-values.ts";
import type { VerifiedValues, VerifyJob } from "./verify-values.ts";

export interface ChunkCheckOptions {
  /** Reads all bytes and proves them; else the index is held against what the values say of themselves. */
  readonly deep: boolean;
  /** Whether a chunk matters. Default: all do, and the ledger is held against the values. */
  readonly isWanted?: ((digest: Digest) => boolean) | undefined;
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
 * Values are read in the order of their ids, which is that of the disk; with `deep` other threads do so, and prove each chunk.
 */
export async function checkChunks(parts: CheckedParts, options: ChunkCheckOptions): Promise<CheckedChunks> {
  using check = new ChunkCheck(parts, options);
  await check.values();
  await check.index();
  return await check.result();
}

class ChunkCheck implements Disposable {
  readonly #parts: CheckedParts;
  readonly #meta: Kv;
  readonly #values: Kv;
  readonly #options: ChunkCheckOptions;
  /** That are where the index has them. */
  readonly #found = new DigestMap();
  /** That may be bad: a read decides. */
  readonly #suspects = new Set<Digest>();
  readonly #ledger = new Map<number, number>();
  readonly #threads = new Threads<VerifyJob, VerifiedValues>("chunks/verify-thread", verifyValues);
  readonly #running = new Set<Promise<void>>();
  #job: { file: string; values: VerifyJob["values"][number][]; bytes: number } = { file: "", values: [], bytes: 0 };
  #provenBytes = 0;
  #storedBytes = 0;
  #plainBytes = 0;
  #chunks = 0;

  constructor(parts: CheckedParts, options: ChunkCheckOptions) {
    this.#parts = parts;
    this.#meta = parts.databases.meta;
    this.#values = parts.databases.chunks;
    this.#options = options;
  }

  [Symbol.dispose](): void {
    this.#threads[Symbol.dispose]();
  }

  async values(): Promise<void> {
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
    await Promise.all(this.#running);
  }

  async #value(id: number): Promise<number> {
    const rows = readRows(this.#values, id);
    if (rows === undefined) return 0;
    let dead = 0;
    let hasLive = false;
    let isWanted = false;
    for (const row of rows) {
      const place = this.#place(row.digest);
      if (place?.id !== id) {
        dead += row.storedBytes;
        continue;
      }
      hasLive = true;
      if (!isSamePlace(place, row) || this.#options.isWanted?.(row.digest) === false) continue;
      isWanted = true;
      this.#found.add(row.digest);
    }
    if (hasLive && this.#options.isWanted === undefined && dead !== this.#ledgerSays(id)) this.#ledger.set(id, dead);
    if (isWanted && this.#options.deep) await this.#prove(id, rows);
    return rows.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
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
  async #prove(id: number, rows: readonly FrameRow[]): Promise<void> {
    const place = unlessDamaged(() => this.#values.placeSync(idKey(id)));
    if (place === undefined) {
      for (const { digest } of rows) this.#suspects.add(digest);
      return;
    }
    const { file, position, length } = place;
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
    // A thread takes longer to begin than so much does here.
    if (this.#provenBytes <= OWN_BYTES) return this.#suspect(verifyValues({ file, values }));
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
      else for (const row of readRows(this.#values, id) ?? []) this.#suspects.add(row.digest);
  }

  async index(): Promise<void> {
    for await (const [key, bytes] of this.#meta.iterate(kindRange("chunk"))) {
      if (key.length !== DIGEST_KEY_BYTES) continue;
      const digest = digestFromBytes(key.subarray(1));
      if (this.#options.isWanted?.(digest) === false) continue;
      this.#chunks++;
      const place = unlessDamaged(() => decodePlace(bytes, digest));
      this.#storedBytes += place?.storedBytes ?? 0;
      this.#plainBytes += place?.plainBytes ?? 0;
      if (!this.#found.has(digest)) this.#suspects.add(digest);
    }
  }

  /** What others wrote meanwhile was not seen, and files may have been gone: so each suspect is read. */
  async result(): Promise<CheckedChunks> {
    const bad = new Map<Digest, StoreError>();
    let count = 0;
    for (const digest of this.#suspects) {
      if (++count % SUSPECTS_BETWEEN_TURNS === 0) await this.#options.rest?.(count, 0);
      if (this.#options.isWanted?.(digest) === false || this.#meta.getSync(digestKey("chunk", digest)) === undefined)
        continue;
      try {
        this.#parts.chunks.get(digest);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        bad.set(digest, error as StoreError);
      }
    }
    const [chunks, storedBytes, plainBytes] = [this.#chunks, this.#storedBytes, this.#plainBytes];
    return { chunks, storedBytes, plainBytes, bad, ledger: this.#ledger };
  }
}

/** @returns undefined for a value that cannot be read */
export function readRows(values: Kv, id: number): FrameRow[] | undefined {
  return unlessDamaged(() => {
    const key = idKey(id);
    let head = values.getPartSync(key, 0, USUAL_HEAD_BYTES);
    if (head === undefined) return undefined;
    const needed = headBytesOf(head);
    if (needed > head.length) head = values.getPartSync(key, 0, needed);
    const rows = head && decodeFrameRows(id, head);
    const last = rows?.at(-1);
    const end = last === undefined ? 0 : last.offset + last.storedBytes;
    return end > 0 && values.getPartSync(key, end - 1, 2)?.length === 1 ? rows : undefined;
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
const DIGEST_KEY_BYTES = 33;
/** Of a hundred frames. */
const USUAL_HEAD_BYTES = 4096;
/** Read by one thread at a stretch. */
const JOB_BYTES = 4 << 20;
const JOBS_AHEAD = 8;
const OWN_BYTES = 8 << 20;
const SUSPECTS_BETWEEN_TURNS = 64;
