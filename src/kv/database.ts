import { Level } from "level";
import { asStoreError, errnoOf, PosixError, StoreError } from "../errors.ts";
import { FSCK, requireIntact } from "./intact.ts";

export type Operation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

export interface IteratorOptions {
  readonly values?: false;
  readonly keyEncoding?: "utf8";
  readonly highWaterMarkBytes: number;
}

/** What is used of ClassicLevel. */
export interface Database {
  open(options: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
  getSync(key: Uint8Array): Uint8Array | undefined;
  getProperty(name: string): string;
  batch(): Batch;
  batch(operations: readonly Operation[], options: { sync: boolean }): Promise<void>;
  iterator<Key>(range: IteratorOptions): {
    nextv(size: number): Promise<[Key, Buffer][]>;
    close(): Promise<void>;
  };
  compactRange(from: Uint8Array, to: Uint8Array): Promise<void>;
}

/** What is copied to it: the bytes are the caller's again. */
export interface Batch {
  put(key: Uint8Array, value: Uint8Array): void;
  del(key: Uint8Array): void;
  write(options: { sync: boolean }): Promise<void>;
}

export interface DatabaseOptions {
  readonly create: boolean;
  readonly writeBufferBytes: number;
}

/**
 * @throws {StoreError} STORE_LOCKED, NO_SPACE, NOT_PERMITTED; FORMAT_INVALID for what is damaged, or not as `create` has it;
 *   PosixError for other failures of the system
 */
export async function openDatabase(
  directory: string,
  { create, writeBufferBytes }: DatabaseOptions,
): Promise<Database> {
  // Before LevelDB takes what it finds for all that there was.
  if (!create) requireIntact(directory);
  // Level's types leave out what browsers lack: getSync, compactRange. On Node it is ClassicLevel.
  const db = new Level(directory, BYTES) as unknown as Database;
  try {
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
    return db;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
    if (cause !== undefined && "code" in cause && cause.code === "LEVEL_LOCKED")
      throw new StoreError("STORE_LOCKED", { directory, waitedSeconds: 0 }, { cause: error });
    // Opening writes what is in the log to a table.
    const failure = systemFailure(cause, "open", directory);
    if (failure !== undefined) throw asStoreError(failure, `opening ${directory}`);
    throw new StoreError(
      "FORMAT_INVALID",
      { record: directory, reason: `LevelDB cannot open it: ${cause?.message ?? String(error)}`, hint: FSCK },
      { cause: error },
    );
  }
}

/**
 * All or nothing. Of a list Level copies each operation, which takes thrice as long for small ones; what was copied to a `Batch` is in
 * memory until V8 collects it, which does not know how much that is.
 */
export async function writeBatch(db: Database, operations: readonly Operation[], sync: boolean): Promise<void> {
  const bytes = operations.reduce((sum, operation) => sum + (operation.type === "put" ? operation.value.length : 0), 0);
  if (bytes > SMALL_VALUE_BYTES * operations.length) return await db.batch(operations, { sync });
  const batch = db.batch();
  for (const operation of operations)
    if (operation.type === "put") batch.put(operation.key, operation.value);
    else batch.del(operation.key);
  await batch.write({ sync });
}

/** The disk does not give what is asked for, or LevelDB's files are damaged there. */
export function isUnreadable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  if (code === "FORMAT_INVALID") return isUnreadable(error.cause);
  return code === "EIO" || code === "LEVEL_CORRUPTION" || error.message.startsWith("IO error: ");
}

/** What to throw for what LevelDB could not read: that its files are damaged, or the error itself. */
export function asReadError(error: unknown, directory: string): unknown {
  if (!isUnreadable(error) || errnoOf(error) !== undefined || systemFailure(error, "read", directory) !== undefined)
    return error;
  const reason = `LevelDB cannot read it: ${(error as Error).message}`;
  return new StoreError("FORMAT_INVALID", { record: directory, reason, hint: FSCK }, { cause: error });
}

/** LevelDB cannot do what is asked of it, whatever the reason. */
export function isDatabaseError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ("code" in error && /^LEVEL_/.test(String(error.code))) || isDatabaseError(error.cause);
}

/** The system call that failed, if LevelDB tells of one: it hands on what strerror says, and no errno. */
export function systemFailure(error: unknown, syscall: string, path: string): PosixError | undefined {
  if (!isDatabaseError(error) || errnoOf(error) !== undefined) return undefined;
  const text = String(error);
  const errno = ERRNOS.find(([said]) => text.includes(said))?.[1];
  return errno === undefined ? undefined : new PosixError(errno, syscall, path, { cause: error });
}

const ERRNOS: readonly (readonly [said: string, errno: string])[] = [
  ["No space left on device", "ENOSPC"],
  ["Disk quota exceeded", "EDQUOT"],
  ["File too large", "EFBIG"],
  ["Read-only file system", "EROFS"],
  ["Permission denied", "EACCES"],
  ["Too many open files in system", "ENFILE"],
  ["Too many open files", "EMFILE"],
  ["Cannot allocate memory", "ENOMEM"],
  ["Input/output error", "EIO"],
];
const BYTES = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
const CACHE_BYTES = 8 << 20;
const SMALL_VALUE_BYTES = 1024;
/** LevelDB's least: 64 tables. It maps each, and all that it reads of them counts as this process's memory. */
const MAX_OPEN_FILES = 74;
