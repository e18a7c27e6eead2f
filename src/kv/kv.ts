import { readdirSync, statfsSync } from "node:fs";
import { resolve } from "node:path";
import { roomAt, StoreError } from "../errors.ts";
import { asReadError, openDatabase, systemFailure, writeBatch } from "./database.ts";
import type { Database, IteratorOptions, Operation } from "./database.ts";
import { asError, asWritingError, look, MAKE_ROOM, openOrLook } from "./look.ts";
import { writeLeft } from "./intact.ts";
import type { Opened } from "./look.ts";
import type { Shadow } from "./shadow.ts";
import { damagedTables } from "./table-check.ts";
import type { FileDamage } from "./table-check.ts";
import { allTablesIn } from "./table-format.ts";
import { Tables } from "./tables.ts";
import type { ValuePlace } from "./tables.ts";
import { makeDirectories } from "../sys/make-directories.ts";

export { isDatabaseError, isUnreadable } from "./database.ts";
export type { Operation } from "./database.ts";

export interface KvOptions {
  /** true: the database must not exist yet. false: it must. */
  readonly create: boolean;
  /** LevelDB's memtable, and so the size of its tables. Default: 4 MiB. */
  readonly writeBufferBytes?: number;
}

export interface Range {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

type Row<Key> = readonly [key: Key, value: Buffer];

/**
 * The one door to LevelDB: byte keys in byte order, byte values. What is read is the caller's.
 *
 * A database that LevelDB cannot write to, for its disk is full or read-only, can be read all the same: see `Shadow`. Each write then
 * first tries whether it can be written to by now.
 */
export class Kv implements AsyncDisposable {
  #db: Database;
  #tables: Tables;
  /** Where `#db` reads, if that is not at its own place. */
  #shadow: Shadow | undefined;
  /** Why nothing could be written when that was last tried. */
  #refusal: Error | undefined;
  /** Those that were replaced: who had begun to read them goes on. */
  readonly #replaced: { readonly db: Database; readonly shadow: Shadow }[] = [];
  /** Writes that are under way, and that ever began. */
  #writing = 0;
  #writes = 0;
  /** undefined once it is closed: the path may be another's then. */
  #path: string | undefined;
  readonly #writeBufferBytes: number;
  /** Writes that failed; and how many of them had when LevelDB last began a new log. */
  #failures = 0;
  #mendedFailures = 0;
  #mending: Promise<void> | undefined;

  private constructor(path: string, writeBufferBytes: number, { db, shadow, refusal }: Opened) {
    this.#path = path;
    this.#writeBufferBytes = writeBufferBytes;
    this.#db = db;
    this.#shadow = shadow;
    this.#refusal = refusal;
    this.#tables = tablesOf(db, shadow?.path ?? path);
  }

  /**
   * @throws {StoreError} STORE_LOCKED if a process has it open: LevelDB allows one; FORMAT_INVALID if it is damaged, or
   *   `create` is not what is the case; NO_SPACE, NOT_PERMITTED if it cannot even be read without writing
   */
  static async open(directory: string, { create, writeBufferBytes = 4 << 20 }: KvOptions): Promise<Kv> {
    const path = resolve(directory);
    // LevelDB would refuse too, but lose its lock on the way: it closes a descriptor of the lock file, and with any one
    // closed all fcntl(2) locks of a process are gone.
    if (openPaths.has(path)) throw new StoreError("STORE_LOCKED", { directory, waitedSeconds: 0 });
    openPaths.add(path);
    try {
      // LevelDB would make it for all to read, and a store's own directory may be one that all may pass.
      if (create) makeDirectories(path, 0o700);
      return new Kv(path, writeBufferBytes, await openOrLook(path, { create, writeBufferBytes }));
    } catch (error) {
      openPaths.delete(path);
      throw error;
    }
  }

  /** Why nothing could be written when that was last tried: NO_SPACE, NOT_PERMITTED, EIO. undefined: it can, as far as is known. */
  get refusal(): Error | undefined {
    return this.#refusal;
  }

  /** Takes 4 µs; waiting for a promise would take 60. @throws what `isUnreadable` knows */
  getSync(key: Uint8Array): Uint8Array | undefined {
    try {
      return this.#db.getSync(key);
    } catch (error) {
      throw asReadError(error, this.#path ?? "");
    }
  }

  /**
   * `length` bytes of a value from `start` on, or what there is of them: for values of many KiB, three times as fast as
   * `getSync`, and nothing of them stays mapped.
   *
   * @param room where they may be put if they fit
   * @throws what `isUnreadable` knows, if the disk or LevelDB's files are damaged
   */
  getPartSync(key: Uint8Array, start: number, length: number, room?: Uint8Array): Uint8Array | undefined {
    return this.#tables.read(key, start, length, room) ?? this.getSync(key)?.subarray(start, start + length);
  }

  /** Where a value is, if that is certain. @throws as `getPartSync` */
  placeSync(key: Uint8Array): ValuePlace | undefined {
    return this.#tables.locate(key);
  }

  /** Its files that are not as LevelDB wrote them, of those that hold what is no longer in its log. See `damagedTables`. */
  damagedFiles(depth: "blocks" | "frames"): Iterable<FileDamage> {
    return damagedTables(this.#shadow?.path ?? this.#path ?? "", depth);
  }

  /** In order of keys, over the state at the time of the call. */
  async *iterate(range: Range): AsyncGenerator<Row<Uint8Array>> {
    for await (const rows of this.batches(range)) yield* rows;
  }

  /** As `iterate`, without reading the values. */
  async *keys(range: Range): AsyncGenerator<Uint8Array> {
    for await (const rows of this.#batches<Uint8Array>({ ...range, values: false }))
      for (const [key] of rows) yield key;
  }

  /** As `iterate`, many rows in one step: for a hundred thousand of them that takes half the time. */
  batches(range: Range): AsyncGenerator<readonly Row<Uint8Array>[]> {
    return this.#batches(range);
  }

  /** As `batches`, for keys that are ASCII, as text: again half. */
  textBatches(range: Range): AsyncGenerator<readonly Row<string>[]> {
    return this.#batches({ ...range, keyEncoding: "utf8" });
  }

  async *#batches<Key>(range: Range & Partial<IteratorOptions>): AsyncGenerator<readonly Row<Key>[]> {
    const iterator = this.#db.iterator<Key>({ ...range, highWaterMarkBytes: READ_AHEAD_BYTES });
    // One step ahead: LevelDB reads in a thread of its own.
    let next = iterator.nextv(ROWS_AT_ONCE);
    try {
      for (let rows = await next; rows.length > 0; rows = await next) {
        next = iterator.nextv(ROWS_AT_ONCE);
        next.catch(() => undefined);
        yield rows;
      }
    } catch (error) {
      throw asReadError(error, this.#path ?? "");
    } finally {
      await iterator.close();
    }
  }

  /**
   * All or nothing. Outlives this process on return; a power cut only with `sync`, or after `barrier()`.
   *
   * `sync` covers this batch alone: see `barrier`.
   *
   * @throws {StoreError} NO_SPACE, NOT_PERMITTED if the filesystem is read-only. Then nothing of it is there
   */
  async write(operations: readonly Operation[], { sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    if (operations.length === 0) return;
    await this.requireWritable();
    for (const { key } of operations) this.#tables.unsettle(key);
    this.#writes++;
    this.#writing++;
    try {
      await this.#filling(writeBatch(this.#db, operations, sync));
      // Another one failed meanwhile, and this one lies behind it.
      if (this.#isTorn) await this.#mend();
    } catch (error) {
      this.#failures++;
      throw error;
    } finally {
      this.#writing--;
    }
  }

  /** @throws {StoreError} as `write`, if that failed and would again */
  async requireWritable(): Promise<void> {
    if (this.#isTorn || this.#refusal !== undefined) await this.#mend();
  }

  /**
   * What failed has left a part of itself at the end of LevelDB's log. What is written behind that seems to be there, and is
   * not found any more when the database is next opened, synced or not.
   */
  get #isTorn(): boolean {
    return this.#failures > this.#mendedFailures;
  }

  /** Begins a new log, or opens what could not be written to anew. */
  async #mend(): Promise<void> {
    this.#mending ??= this.#makeWritable().finally(() => (this.#mending = undefined));
    await this.#mending;
  }

  async #makeWritable(): Promise<void> {
    if (this.#refusal === undefined) {
      // Should the memtable not fit, LevelDB would take no write any more until it is opened anew.
      this.#requireRoom();
      try {
        await this.#barrier();
        return;
      } catch (error) {
        // It takes none already.
        await this.#retreat(error);
      }
    }
    await this.#openAnew();
  }

  /** Reads without writing from now on, and closes what LevelDB does not write to any more. */
  async #retreat(reason: unknown): Promise<void> {
    const path = this.#path;
    if (path === undefined) throw reason;
    const old = this.#db;
    const failures = this.#failures;
    const { db, shadow } = await look(path, this.#writeBufferBytes).catch(() => {
      throw reason;
    });
    this.#use({ db, shadow, refusal: asError(reason) });
    this.#mendedFailures = failures;
    await old.close();
  }

  async #openAnew(): Promise<void> {
    const path = this.#path;
    const { db: old, shadow } = { db: this.#db, shadow: this.#shadow };
    if (path === undefined || shadow === undefined) throw new Error("a database that is closed, or can be written to");
    try {
      const db = await openDatabase(path, { create: false, writeBufferBytes: this.#writeBufferBytes });
      this.#replaced.push({ db: old, shadow });
      this.#use({ db });
    } catch (error) {
      this.#refusal = asError(asWritingError(error, path));
      throw this.#refusal;
    }
  }

  #use({ db, shadow, refusal }: Opened): void {
    this.#tables[Symbol.dispose]();
    this.#db = db;
    this.#shadow = shadow;
    this.#refusal = refusal;
    this.#tables = tablesOf(db, shadow?.path ?? this.#path ?? "");
  }

  /** What is in tables, about. */
  get tableBytes(): number {
    const tables = allTablesIn(this.#db.getProperty(TABLES));
    return tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Of its filesystem. */
  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#path ?? "/");
    return bavail * bsize;
  }

  #requireRoom(): void {
    const path = this.#path ?? "/";
    const needed = 2 * this.#writeBufferBytes;
    if (this.freeBytes >= needed) return;
    const hint = `its filesystem has ${roomAt(path)} free, ${needed >> 20} MiB are needed; ${MAKE_ROOM}`;
    throw new StoreError("NO_SPACE", { action: `writing ${path}`, hint });
  }

  /**
   * A key that no record has, next after the highest that was written: where keys rise, tables must not overlap because of
   * it, or `Tables` could answer nothing, and LevelDB would write them again.
   */
  #nobodysKey(): Uint8Array {
    return Buffer.concat([Buffer.from(this.#tables.highest, "latin1"), NOBODYS_KEY_END]);
  }

  /** The name of the log that LevelDB writes to; they rise. */
  #lastLog(): string | undefined {
    if (this.#path === undefined) return undefined;
    const logs = readdirSync(this.#path).filter((name) => name.endsWith(".log"));
    return logs.sort((a, b) => a.length - b.length || (a < b ? -1 : 1)).at(-1);
  }

  /**
   * Makes every earlier `write` safe from a power cut.
   *
   * A last write with `sync` would not do: when LevelDB's memtable fills up, it goes on to a new log and closes the old
   * one without fsync, so the cut may lose the old log's tail and keep the new log. Compacting, even an empty range,
   * first writes the memtable to a table file, and syncs that. Whether that worked it does not tell: a later write does, and
   * that there is another log.
   * Source: leveldb 1.20, db/db_impl.cc, MakeRoomForWrite, CompactRange and RecordBackgroundError.
   *
   * @throws as `write`; or an error of LevelDB's, see `isDatabaseError`
   */
  async barrier(): Promise<void> {
    await this.requireWritable();
    await this.#barrier();
  }

  async #barrier(): Promise<void> {
    const writes = this.#writing === 0 ? this.#writes : undefined;
    const failures = this.#failures;
    const log = this.#lastLog();
    await this.#filling(this.#db.compactRange(EMPTY_KEY, EMPTY_KEY));
    await this.#filling(writeBatch(this.#db, [{ type: "del", key: this.#nobodysKey() }], false));
    if (this.#lastLog() === log) {
      this.#requireRoom();
      throw Object.assign(new Error(`IO error: no log after ${log}`), { code: "LEVEL_IO_ERROR" });
    }
    this.#mendedFailures = failures;
    if (writes === this.#writes) this.#tables.settle();
  }

  /** Rewrites the tables that overlap a range: what was deleted in it takes no room any more. */
  async compact({ gte, lt }: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    await this.requireWritable();
    await this.#filling(this.#db.compactRange(gte, lt));
    // Whether that worked it does not tell.
    await this.#filling(writeBatch(this.#db, [{ type: "del", key: this.#nobodysKey() }], false));
  }

  async #filling(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const path = this.#path ?? "";
      throw asWritingError(systemFailure(error, "write", path) ?? error, path);
    }
  }

  /** Waits for running calls, then closes. May be called twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    const path = this.#path;
    this.#path = undefined;
    this.#tables[Symbol.dispose]();
    await this.#mending?.catch(() => undefined);
    for (const { db, shadow } of [...this.#replaced, { db: this.#db, shadow: this.#shadow }]) {
      await db.close();
      shadow?.[Symbol.dispose]();
    }
    if (path === undefined) return;
    openPaths.delete(path);
    // What a write that failed has left is no damage.
    if (this.#shadow === undefined && !this.#isTorn) writeLeft(path);
  }
}

function tablesOf(db: Database, directory: string): Tables {
  return new Tables(directory, () => db.getProperty(TABLES));
}

const TABLES = "leveldb.sstables";

/** Databases that this process has open. */
const openPaths = new Set<string>();

/** No record has this key, nor one that ends so. */
const EMPTY_KEY = new Uint8Array([0x00]);
const NOBODYS_KEY_END = new Uint8Array(40);
const READ_AHEAD_BYTES = 1 << 20;
const ROWS_AT_ONCE = 1000;
