import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { digestBytesOf } from "../format/blake3.ts";
import { UNIT_BYTES, unitsOf } from "../format/upper.ts";
import type { UpperPiece } from "../format/upper.ts";
import { syncPath } from "../sys/durable.ts";

/**
 * The bytes that were written into a container's files, one after the other; records say where.
 *
 * LevelDB would write them three times over, and sync them each time: 54 MB/s. bench/writes.ts.
 *
 * A piece never changes. Its place is another's only after the next barrier: until then a power cut may bring back the record
 * that says where it is.
 */
export class PieceFile {
  readonly #path: string;
  #fd: number | undefined;
  #isReadOnly = false;
  /** In units, as all places. */
  #end = 0;
  /** Places that can be used again, by units. */
  #free: number[][] = [];
  #released: UpperPiece[] = [];
  #releasedUnits = 0;
  /** What was read last, by place. */
  readonly #recent = new Map<number, Uint8Array>();
  #isSynced = true;
  #isNamed = false;
  #syncing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** The file is made when it is first written to. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Units that were given back since the last barrier. */
  get releasedUnits(): number {
    return this.#releasedUnits;
  }

  /**
   * Outlives this process at once, and a power cut after `barrier`.
   *
   * @param unit where it begins in its block
   * @throws {StoreError} NO_SPACE
   */
  put(bytes: Uint8Array, unit: number): UpperPiece {
    const check = checkOf(bytes);
    try {
      const fd = this.#open(constants.O_CREAT);
      const place = this.#take(unitsOf(bytes.length));
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, place * UNIT_BYTES + at);
      this.#isSynced = false;
      // The kernel may write the record first, and a power cut leave it without its bytes: those must not lag behind.
      this.#timer ??= setTimeout(() => void this.#sync().catch(() => undefined), SYNC_AFTER_MS).unref();
      return { unit, place, length: bytes.length, check };
    } catch (error) {
      throw asStoreError(error, "writing the store");
    }
  }

  /** @returns its bytes, which are not the caller's to change. @throws {StoreError} FORMAT_INVALID if they are damaged */
  get({ place, length, check }: UpperPiece): Uint8Array {
    const known = this.#recent.get(place);
    if (known !== undefined) return known;
    const bytes = Buffer.allocUnsafeSlow(length);
    const count = existsSync(this.#path) ? readSync(this.#open(), bytes, 0, length, place * UNIT_BYTES) : 0;
    if (count < length || checkOf(bytes) !== check)
      throw new StoreError("FORMAT_INVALID", {
        record: `${length} bytes at ${place * UNIT_BYTES} of ${this.#path}`,
        reason: "are damaged (their check sum does not fit)",
      });
    const [oldest] = this.#recent.size === RECENT_PIECES ? this.#recent.keys() : [];
    if (oldest !== undefined) this.#recent.delete(oldest);
    this.#recent.set(place, bytes);
    return bytes;
  }

  /** No record will lead to this piece, once the batch that is made up now is written. */
  release(piece: UpperPiece): void {
    this.#recent.delete(piece.place);
    this.#released.push(piece);
    this.#releasedUnits += unitsOf(piece.length);
  }

  /** The log could not be written: what was released may still be in use. */
  forget(): void {
    this.#released = [];
    this.#releasedUnits = 0;
  }

  /**
   * Makes all pieces that were put outlive a power cut, and then their records.
   *
   * @param records makes durable all that was put into the log before
   */
  async barrier(records: () => Promise<void>): Promise<void> {
    const released = this.#released;
    const free = this.#free;
    this.forget();
    await this.#sync();
    await records();
    for (const { place, length } of released) (free[unitsOf(length)] ??= []).push(place);
  }

  async #sync(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const running = this.#syncing.then(() => this.#syncNow());
    this.#syncing = running.catch(() => undefined);
    await running;
  }

  async #syncNow(): Promise<void> {
    if (this.#isSynced || this.#fd === undefined) return;
    this.#isSynced = true;
    try {
      await promisify(fdatasync)(this.#fd);
      if (!this.#isNamed) syncPath(dirname(this.#path));
      this.#isNamed = true;
    } catch (error) {
      this.#isSynced = false;
      throw asStoreError(error, "writing the store");
    }
  }

  /** Empties the file: no record says any more where something is. */
  clear(): void {
    this.forget();
    this.#free = [];
    this.#recent.clear();
    this.#end = 0;
    if (this.#fd !== undefined) ftruncateSync(this.#fd);
  }

  /** May be called twice. */
  async close(): Promise<void> {
    await this.#sync();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(create = 0): number {
    if (this.#fd !== undefined && !(this.#isReadOnly && create !== 0)) return this.#fd;
    const fd = this.#openFile(create);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = fd;
    this.#end = unitsOf(fstatSync(this.#fd).size);
    return this.#fd;
  }

  #openFile(create: number): number {
    try {
      this.#isReadOnly = false;
      return openSync(this.#path, constants.O_RDWR | create, 0o600);
    } catch (error) {
      if (errnoOf(error) !== "EROFS" || create !== 0) throw error;
      this.#isReadOnly = true;
      return openSync(this.#path, constants.O_RDONLY);
    }
  }

  /** A place for so many units: one that was left, the front of a larger one, or the end of the file. */
  #take(units: number): number {
    for (let size = units; size < this.#free.length; size++) {
      const place = this.#free[size]?.pop();
      if (place === undefined) continue;
      if (size > units) (this.#free[size - units] ??= []).push(place + units);
      return place;
    }
    const place = this.#end;
    this.#end += units;
    return place;
  }
}

const SYNC_AFTER_MS = 1000;
const RECENT_PIECES = 16;

function checkOf(bytes: Uint8Array): number {
  return digestBytesOf(bytes).readUIntBE(0, CHECK_BYTES);
}

/** As many as a number counts exactly. */
const CHECK_BYTES = 6;
