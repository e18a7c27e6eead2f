import { readNumber, type TarHeader } from "./tar-header.ts";
import { MalformedTar } from "./tar-malformed.ts";
import { parseDecimal, type PaxRecords } from "./tar-pax.ts";

/**
 * Where a sparse file has data; the rest up to `sizeBytes` is holes.
 *
 * Source: GNU tar manual, "Storing Sparse Files", for all four formats; star's differs from the old one in places only.
 */
export interface SparseMap {
  readonly sizeBytes: number;
  /** Offset, length, offset, length, …; `checkSparseMap` says what holds of them. */
  readonly pairs: readonly number[];
}

/** Ascending, not overlapping, within the file, and together just the stored bytes. */
export function checkSparseMap({ sizeBytes, pairs }: SparseMap, storedBytes: number): void {
  let end = 0;
  let stored = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const [offset, length] = [pairs[i]!, pairs[i + 1]!];
    if (!isSize(offset) || !isSize(length) || offset < end)
      throw new MalformedTar("has a sparse map that is out of order");
    end = offset + length;
    stored += length;
    if (end > sizeBytes) throw new MalformedTar("has a sparse map that goes beyond the file's end");
  }
  if (!isSize(sizeBytes)) throw new MalformedTar("has a sparse map without a size");
  if (stored !== storedBytes) throw new MalformedTar("has a sparse map that does not fit its data");
}

/** The format of a sparse file's pax records: 0.0 and 0.1 hold the map, 1.0 begins the data with it. */
export function paxSparseFormat(pax: PaxRecords): "none" | "in records" | "in data" {
  const major = pax.number("GNU.sparse.major");
  const minor = pax.number("GNU.sparse.minor") ?? 0;
  if (major === 1 && minor === 0) return "in data";
  if (major !== undefined && !(major === 0 && minor <= 1))
    throw new MalformedTar(`is sparse in the unknown format ${major}.${minor}`);
  // A file that is one hole may have a size and no map.
  const inRecords = ["GNU.sparse.size", "GNU.sparse.map"].some((keyword) => pax.field(keyword) !== undefined);
  return inRecords || pax.sparsePairs.length > 0 ? "in records" : "none";
}

/** The map of formats 0.0 and 0.1. */
export function sparseMapOfRecords(pax: PaxRecords): SparseMap {
  const text = pax.text("GNU.sparse.map");
  const pairs =
    text === undefined
      ? pax.sparsePairs
      : text.split(",").map((n) => parseDecimal(Buffer.from(n, "latin1"), "sparse map"));
  if (pairs.length % 2 !== 0) throw new MalformedTar("has a sparse map that is damaged");
  return { sizeBytes: sparseSize(pax), pairs };
}

export function sparseSize(pax: PaxRecords): number {
  return pax.number("GNU.sparse.realsize") ?? pax.number("GNU.sparse.size") ?? pax.number("SCHILY.realsize") ?? NaN;
}

/** Reads the map of format 1.0: decimal numbers, one a line, the first of them how many pairs follow. */
export class SparseMapText {
  readonly #pairs: number[] = [];
  #digits = "";
  #count: number | undefined;

  /** @returns true if `block` was the last */
  add(block: Buffer): boolean {
    for (const byte of block) {
      if (byte !== NEWLINE) {
        this.#digits += String.fromCharCode(byte);
        if (this.#digits.length > 20) throw new MalformedTar("has a sparse map that is damaged");
        continue;
      }
      const number = parseDecimal(Buffer.from(this.#digits, "latin1"), "sparse map");
      this.#digits = "";
      if (this.#count === undefined) checkCount((this.#count = number));
      else this.#pairs.push(number);
      if (this.#pairs.length === 2 * this.#count) return true;
    }
    return false;
  }

  get pairs(): readonly number[] {
    return this.#pairs;
  }
}

/** Reads the map of old GNU tar and of star: the header has its beginning, blocks behind it the rest. */
export class SparseMapBlocks {
  readonly sizeBytes: number;
  readonly #pairs: number[] = [];
  /** Whether another block of the map follows. */
  goesOn: boolean;

  constructor({ dialect, block }: TarHeader) {
    const star = dialect === "star";
    this.sizeBytes = readNumber(block, star ? 452 : 483, NUMBER_BYTES);
    this.#read(block, star ? 356 : 386, PAIRS_IN_HEADER);
    this.goesOn = block[star ? 355 : 482] !== 0;
  }

  add(block: Buffer): void {
    this.#read(block, 0, PAIRS_IN_BLOCK);
    this.goesOn = block[PAIRS_IN_BLOCK * 2 * NUMBER_BYTES] !== 0;
  }

  get pairs(): readonly number[] {
    return this.#pairs;
  }

  #read(block: Buffer, at: number, most: number): void {
    for (let i = 0; i < most; i++, at += 2 * NUMBER_BYTES) {
      // Unused pairs are NULs; a last one of length "0" marks where the file ends.
      if (block[at + NUMBER_BYTES] === 0) return;
      this.#pairs.push(readNumber(block, at, NUMBER_BYTES), readNumber(block, at + NUMBER_BYTES, NUMBER_BYTES));
    }
    checkCount(this.#pairs.length / 2);
  }
}

function checkCount(pairs: number): void {
  if (pairs > MAX_PAIRS) throw new MalformedTar(`has a sparse map above ${MAX_PAIRS} pieces`);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** A map is held in memory, 16 bytes a pair. */
const MAX_PAIRS = 1 << 22;
const NUMBER_BYTES = 12;
const PAIRS_IN_HEADER = 4;
const PAIRS_IN_BLOCK = 21;
const NEWLINE = 0x0a;
