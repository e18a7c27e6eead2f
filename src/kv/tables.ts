import { closeSync, openSync, readSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { byteString } from "../model/name.ts";
import { firstAtLeast, readIndex, tablesIn, TAG_BYTES, Varints } from "./table-format.ts";
import type { Table, TableIndex } from "./table-format.ts";

/** Where a value is: the whole of it, in an open file. */
interface Place {
  readonly fd: number;
  readonly position: number;
  readonly length: number;
}

/** The same, for whoever opens the file himself. It is a table's, which never changes, and may be gone. */
export interface ValuePlace extends Omit<Place, "fd"> {
  readonly file: string;
}

/**
 * Reads large values out of LevelDB's table files, by pread(2).
 *
 * LevelDB maps the tables it has open. If many were open, all that was ever read of them would count as this process's
 * memory; with few, random reads open a table each time, and that, its page faults and unmapping it take three times as
 * long as 128 KiB do here. And a bad sector is an error, where in a mapping it is a SIGBUS. bench/reads.ts.
 *
 * It answers where one table alone says what a key's value is; LevelDB knows the rest. Tables never change, and one that
 * compaction removed is found to be gone.
 */
export class Tables implements Disposable {
  readonly #directory: string;
  readonly #describe: () => string;
  /** By key; none overlaps another. undefined: not known. */
  #tables: readonly Table[] | undefined;
  /** There may be tables after the last of `#tables`. */
  #grown = false;
  /** The lowest key that was written and may be in no table. */
  #unsettledFrom: string | undefined;
  #highest = "";
  /** By numbers of tables. */
  readonly #indexes = new Map<string, TableIndex>();
  #open: { readonly number: string; readonly fd: number } | undefined;

  /** @param describe gives LevelDB's property "leveldb.sstables" */
  constructor(directory: string, describe: () => string) {
    this.#directory = directory;
    this.#describe = describe;
  }

  /**
   * `length` bytes of the value from `start` on, or what there is of them.
   *
   * @param room where they are put if they fit
   * @returns undefined if LevelDB has to be asked
   * @throws what open(2) and pread(2) fail with
   */
  read(key: Uint8Array, start: number, length: number, room?: Uint8Array): Uint8Array | undefined {
    const place = this.#find(byteString(key));
    if (place === undefined) return undefined;
    const there = Math.max(Math.min(length, place.length - start), 0);
    const bytes = there <= (room?.length ?? -1) ? room!.subarray(0, there) : Buffer.allocUnsafeSlow(there);
    return readSync(place.fd, bytes, 0, there, place.position + start) === there ? bytes : undefined;
  }

  /** Where a value is, for another thread. @returns undefined if LevelDB has to be asked */
  locate(key: Uint8Array): ValuePlace | undefined {
    const place = this.#find(byteString(key));
    if (place === undefined || this.#open === undefined) return undefined;
    return { file: this.#file(this.#open.number), position: place.position, length: place.length };
  }

  /** Of the keys that it was told of. A byte string; "" if there was none. */
  get highest(): string {
    return this.#highest;
  }

  /** To be told before a key is written, put or deleted. */
  unsettle(key: Uint8Array): void {
    const bytes = byteString(key);
    if (bytes > this.#highest) this.#highest = bytes;
    if (this.#unsettledFrom === undefined || bytes < this.#unsettledFrom) this.#unsettledFrom = bytes;
  }

  /** All that was written is in tables. */
  settle(): void {
    const from = this.#unsettledFrom;
    if (from === undefined) return;
    this.#unsettledFrom = undefined;
    this.#grown = true;
    const last = this.#tables?.at(-1)?.last;
    if (last === undefined || from <= last) this.#tables = undefined;
  }

  [Symbol.dispose](): void {
    this.#tables = [];
    this.#close();
  }

  #find(key: string): Place | undefined {
    if (this.#unsettledFrom !== undefined && key >= this.#unsettledFrom) return undefined;
    const table = this.#tableOf(key);
    if (table === undefined) return undefined;
    try {
      return this.#placeIn(table, key);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      this.#tables = undefined;
      return undefined;
    }
  }

  #tableOf(key: string): Table | undefined {
    const tables = this.#known(key);
    const table = tables[firstAtLeast(tables.length, key, (i) => tables[i]!.last)];
    if (table === undefined || table.first > key) return undefined;
    // A key may have come out shorter than it is: see `tablesIn`.
    return table.first.length >= key.length && table.last.length >= key.length ? table : undefined;
  }

  #known(key: string): readonly Table[] {
    const last = this.#tables?.at(-1)?.last;
    if (this.#tables === undefined || (this.#grown && (last === undefined || key > last))) {
      this.#tables = tablesIn(this.#describe());
      this.#grown = false;
    }
    return this.#tables;
  }

  #placeIn({ number, sizeBytes }: Table, key: string): Place | undefined {
    const fd = this.#opened(number);
    let index = this.#indexes.get(number);
    if (index === undefined) {
      index = readIndex(fd, sizeBytes);
      if (this.#indexes.size === MAX_INDEXES) this.#indexes.clear();
      this.#indexes.set(number, index);
    }
    const { keys, positions } = index;
    const position = positions[firstAtLeast(keys.length, key, (i) => keys[i]!)];
    return position === undefined ? undefined : placeInBlock(fd, position, sizeBytes, key);
  }

  /** The last one stays open: whoever reads in order gets the kernel's read-ahead. */
  #opened(number: string): number {
    if (this.#open?.number === number) return this.#open.fd;
    const fd = openSync(this.#file(number), "r");
    this.#close();
    this.#open = { number, fd };
    return fd;
  }

  #file(number: string): string {
    return `${this.#directory}/${number.padStart(6, "0")}.ldb`;
  }

  #close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }
}

/** At about 5 KiB each. */
const MAX_INDEXES = 512;
/** Before an entry's key: three varints of 32 bits. */
const MAX_LENGTHS_BYTES = 15;
/** The key of what a barrier writes is longer than others. */
const MAX_KEY_BYTES = 100;
/** The first byte of its tag: it is no deletion. */
const PUT = 1;
/** A value of 4 KiB or more ends its block, and little lies before it. If much does, LevelDB finds it as well. */
const MAX_BEFORE = 3;

function placeInBlock(fd: number, position: number, sizeBytes: number, key: string): Place | undefined {
  const head = Buffer.allocUnsafe(MAX_LENGTHS_BYTES + MAX_KEY_BYTES + TAG_BYTES);
  let before = "";
  let at = position;
  for (let i = 0; i <= MAX_BEFORE && at < sizeBytes; i++) {
    const bytes = head.subarray(0, readSync(fd, head, 0, head.length, at));
    const entry = new Varints(bytes);
    const [shared, unshared, length] = [entry.next(), entry.next(), entry.next()];
    const valueAt = entry.at + unshared;
    // A key has what it begins with in common with the one before it.
    if (shared > before.length || shared + unshared < TAG_BYTES || valueAt > bytes.length) return undefined;
    const tagged = before.slice(0, shared) + bytes.toString("latin1", entry.at, valueAt);
    const found = tagged.slice(0, -TAG_BYTES);
    if (found > key || at + valueAt + length > sizeBytes) return undefined;
    if (found === key)
      return tagged.charCodeAt(key.length) === PUT ? { fd, position: at + valueAt, length } : undefined;
    before = tagged;
    at += valueAt + length;
  }
  return undefined;
}
