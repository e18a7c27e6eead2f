import { StoreError } from "../errors.ts";

const BIG_ENDIAN = { littleEndian: false };

/** Bytes of a file that anybody may have written: no look goes beyond their end. */
export class CheckedBytes {
  readonly bytes: Uint8Array;
  readonly #record: string;
  readonly #littleEndian: boolean;
  readonly #view: DataView;

  /** @param record what they are, for errors */
  constructor(bytes: Uint8Array, record: string, { littleEndian }: { readonly littleEndian: boolean } = BIG_ENDIAN) {
    this.bytes = bytes;
    this.#record = record;
    this.#littleEndian = littleEndian;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  uint8(at: number): number {
    this.#check(at, 1);
    return this.#view.getUint8(at);
  }

  uint16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, this.#littleEndian);
  }

  uint32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, this.#littleEndian);
  }

  /** Borrowed, like these. */
  part(at: number, length: number): CheckedBytes {
    this.#check(at, length);
    return this.like(this.bytes.subarray(at, at + length));
  }

  /** Other bytes of the same file. */
  like(bytes: Uint8Array, littleEndian: boolean = this.#littleEndian): CheckedBytes {
    return new CheckedBytes(bytes, this.#record, { littleEndian });
  }

  /** As a byte string. */
  text(at: number, length: number): string {
    const { bytes } = this.part(at, length);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }

  /** @throws {StoreError} FORMAT_INVALID */
  fail(reason: string): never {
    throw new StoreError("FORMAT_INVALID", { record: this.#record, reason });
  }

  #check(at: number, length: number): void {
    if (at < 0 || length < 0 || at + length > this.bytes.length) this.fail(`ends before byte ${at + length}`);
  }
}

/** Of equal size, in a row. Each is taken once: a file in which two things lie on one page is none, and a circle ends. */
export class Pages {
  readonly #size: number;
  readonly #file: CheckedBytes;
  readonly #newer: ReadonlyMap<number, CheckedBytes>;
  readonly #taken = new Set<number>();

  /** @param newer pages that count instead of the file's */
  constructor(file: CheckedBytes, size: number, newer: ReadonlyMap<number, CheckedBytes> = new Map()) {
    this.#file = file;
    this.#size = size;
    this.#newer = newer;
  }

  /** The most that can be in them. */
  get totalBytes(): number {
    return this.#file.length + this.#newer.size * this.#size;
  }

  /** @param number from 0 on */
  take(number: number): CheckedBytes {
    if (this.#taken.has(number)) this.#file.fail(`page ${number} is in two places`);
    this.#taken.add(number);
    return this.#newer.get(number) ?? this.#file.part(number * this.#size, this.#size);
  }
}
