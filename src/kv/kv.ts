import { mkdirSync, readdirSync, statfsSync } from "node:fs";
import { resolve } from "node:path";
import { Level } from "level";
import { StoreError } from "../errors.ts";
import { Tables } from "./tables.ts";

export type Operation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

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

/** The one door to LevelDB: byte keys in byte order, byte values. What is read is the caller's. */
export class Kv implements AsyncDisposable {
  readonly #db: Database;
  readonly #tables: Tables;
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

  private constructor(db: Database, path: string, writeBufferBytes: number) {
    this.#db = db;
    this.#path = path;
    this.#writeBufferBytes = writeBufferBytes;
    this.#tables = new Tables(path, () => db.getProperty("leveldb.sstables"));
  }

  /**
   * @throws {StoreError} STORE_LOCKED if a process has it open: LevelDB allows one; FORMAT_INVALID if it is damaged, or
   *   `create` is not what is the case
   */
  static async open(directory: string, { create, writeBufferBytes = 4 << 20 }: KvOptions): Promise<Kv> {
    const path = resolve(directory);
    // LevelDB would refuse too, but lose its lock on the way: it closes a descriptor of the lock file, and with any one
    // closed all fcntl(2) locks of a process are gone.
    if (openPaths.has(path)) throw new StoreError("STORE_LOCKED", { directory, waitedSeconds: 0 });
    openPaths.add(path);
    // Level's types leave out what browsers lack: getSync, compactRange. On Node it is ClassicLevel.
    const db = new Level(directory, BYTES) as unknown as Database;
    try {
      // LevelDB would make it for all to read, and a store's own directory may be one that all may pass.
      if (create) mkdirSync(path, { recursive: true, mode: 0o700 });
      await db.open({
        // With a lost CURRENT an open that may create succeeds with a part of the keys, and deletes tables.
        createIfMissing: create,
        errorIfExists: create,
        // Values are compressed already; nodes gain less than decompressing them costs.
        compression: false,
        writeBufferSize: writeBufferBytes,
        cacheSize: CACHE_BYTES,
        maxOpenFiles: MAX_OPEN_FILES,
      });
    } catch (error) {
      openPaths.delete(path);
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
      if (cause !== undefined && "code" in cause && cause.code === "LEVEL_LOCKED")
        throw new StoreError("STORE_LOCKED", { directory, waitedSeconds: 0 }, { cause: error });
      // Opening writes what is in the log to a table.
      if (isFull(cause)) throw new StoreError("NO_SPACE", { action: `opening ${directory}` }, { cause: error });
      throw new StoreError(
        "FORMAT_INVALID",
        { record: directory, reason: `LevelDB cannot open it: ${cause?.message ?? String(error)}` },
        { cause: error },
      );
    }
    return new Kv(db, path, writeBufferBytes);
  }

  /** Takes 4 µs; waiting for a promise would take 60. */
  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#db.getSync(key);
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

  /** In order of keys, over the state at the time of the call. */
  async *iterate(range: Range): AsyncGenerator<readonly [key: Uint8Array, value: Uint8Array]> {
    yield* this.#rows(range);
  }

  /** As `iterate`, without reading the values. */
  async *keys(range: Range): AsyncGenerator<Uint8Array> {
    for await (const [key] of this.#rows({ ...range, values: false })) yield key;
  }

  async *#rows(range: Range & { values?: false }): AsyncGenerator<[key: Uint8Array, value: Uint8Array]> {
    const iterator = this.#db.iterator({ ...range, highWaterMarkBytes: READ_AHEAD_BYTES });
    try {
      while (true) {
        const rows = await iterator.nextv(ROWS_AT_ONCE);
        if (rows.length === 0) return;
        yield* rows;
      }
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
    for (const { key } of operations) this.#tables.unsettle(key);
    this.#writes++;
    this.#writing++;
    try {
      if (this.#isTorn) await this.#mend();
      await this.#filling(this.#db.batch(operations, { sync }));
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
    if (this.#isTorn) await this.#mend();
  }

  /**
   * What failed has left a part of itself at the end of LevelDB's log. What is written behind that seems to be there, and is
   * not found any more when the database is next opened, synced or not.
   */
  get #isTorn(): boolean {
    return this.#failures > this.#mendedFailures;
  }

  /** Begins a new log. */
  async #mend(): Promise<void> {
    this.#mending ??= this.#beginLog().finally(() => (this.#mending = undefined));
    await this.#mending;
  }

  async #beginLog(): Promise<void> {
    // Should the memtable not fit, LevelDB would take no write any more until it is opened anew.
    this.#requireRoom();
    await this.barrier();
  }

  #requireRoom(): void {
    const { bavail, bsize } = statfsSync(this.#path ?? "/");
    if (bavail * bsize < 2 * this.#writeBufferBytes)
      throw new StoreError("NO_SPACE", { action: "writing the store", hint: "make some room first" });
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
    const writes = this.#writing === 0 ? this.#writes : undefined;
    const failures = this.#failures;
    const log = this.#lastLog();
    await this.#filling(this.#db.compactRange(EMPTY_KEY, EMPTY_KEY));
    await this.#filling(this.#db.batch([{ type: "del", key: this.#nobodysKey() }], { sync: false }));
    if (this.#lastLog() === log) {
      this.#requireRoom();
      throw Object.assign(new Error(`IO error: no log after ${log}`), { code: "LEVEL_IO_ERROR" });
    }
    this.#mendedFailures = failures;
    if (writes === this.#writes) this.#tables.settle();
  }

  /** Rewrites the tables that overlap a range: what was deleted in it takes no room any more. */
  async compact({ gte, lt }: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    await this.#filling(this.#db.compactRange(gte, lt));
  }

  async #filling(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const action = "writing the store";
      if (isFull(error)) throw new StoreError("NO_SPACE", { action }, { cause: error });
      if (!/Read-only file system/.test(String(error))) throw error;
      throw new StoreError("NOT_PERMITTED", { action, hint: "the filesystem is read-only" }, { cause: error });
    }
  }

  /** Waits for running calls, then closes. May be called twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    const path = this.#path;
    this.#path = undefined;
    this.#tables[Symbol.dispose]();
    await this.#db.close();
    if (path !== undefined) openPaths.delete(path);
  }
}

/** Databases that this process has open. */
const openPaths = new Set<string>();

/** What is used of ClassicLevel. */
interface Database {
  open(options: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
  getSync(key: Uint8Array): Uint8Array | undefined;
  getProperty(name: string): string;
  batch(operations: readonly Operation[], options: { sync: boolean }): Promise<void>;
  iterator(range: object): { nextv(size: number): Promise<[Uint8Array, Uint8Array][]>; close(): Promise<void> };
  compactRange(from: Uint8Array, to: Uint8Array): Promise<void>;
}

const BYTES = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
/** No record has this key, nor one that ends so. */
const EMPTY_KEY = new Uint8Array([0x00]);
const NOBODYS_KEY_END = new Uint8Array(40);
const CACHE_BYTES = 8 << 20;
/** LevelDB's least: 64 tables. It maps each, and all that it reads of them counts as this process's memory. */
const MAX_OPEN_FILES = 74;
const READ_AHEAD_BYTES = 1 << 20;
const ROWS_AT_ONCE = 1000;

/** The disk does not give what is asked for, or LevelDB's files are damaged there. */
export function isUnreadable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  return code === "EIO" || code === "LEVEL_CORRUPTION" || error.message.startsWith("IO error: ");
}

/** LevelDB cannot do what is asked of it, whatever the reason. */
export function isDatabaseError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^LEVEL_/.test(String(error.code));
}

/** LevelDB hands on what strerror says, and no errno. */
function isFull(error: unknown): boolean {
  return /No space left on device|Disk quota exceeded/.test(String(error));
}
