/**
 * Reads a stream in the amounts its reader wants. Bytes that lie in one piece of the stream are given out as views of
 * it; only what two pieces share is copied.
 *
 * All that is given out is borrowed until the next call. `takeNow` and `someNow` answer at once where no new piece is
 * needed, so that a small entry costs no promise.
 */
export class ByteReader {
  readonly #stream: AsyncIterator<Uint8Array>;
  #piece: Buffer = NOTHING;
  #at = 0;
  /** What came after `#piece` with the last piece of the stream. */
  #rest: Buffer = NOTHING;
  #position = 0;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#stream = stream[Symbol.asyncIterator]();
  }

  /** Bytes given out or skipped so far. */
  get position(): number {
    return this.#position;
  }

  /** @returns the next `length` bytes; undefined if that takes another piece: ask `take` */
  takeNow(length: number): Buffer | undefined {
    return this.#piece.length - this.#at < length ? undefined : this.#give(length);
  }

  /** @returns the next `length` bytes; fewer only where the stream ends */
  async take(length: number): Promise<Buffer> {
    const bytes = await this.peek(length);
    return this.#give(bytes.length);
  }

  /** As `take`, but the bytes stay to be read. */
  async peek(length: number): Promise<Buffer> {
    if (this.#piece.length - this.#at < length) await this.#gather(length);
    return this.#piece.subarray(this.#at, this.#at + length);
  }

  /** @returns between 1 and `most` of the next bytes; undefined if that takes another piece: ask `some` */
  someNow(most: number): Buffer | undefined {
    const there = this.#piece.length - this.#at;
    return there === 0 ? undefined : this.#give(Math.min(there, most));
  }

  /** @returns between 1 and `most` of the next bytes; undefined at the end of the stream */
  async some(most: number): Promise<Buffer | undefined> {
    if (this.#at === this.#piece.length) {
      const piece = await this.#nextPiece();
      if (piece === undefined) return undefined;
      this.#piece = piece;
      this.#at = 0;
    }
    return this.someNow(most);
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    await this.#stream.return?.();
  }

  #give(length: number): Buffer {
    const bytes = this.#piece.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#position += length;
    return bytes;
  }

  async #gather(length: number): Promise<void> {
    const gathered = Buffer.allocUnsafe(length);
    let filled = this.#piece.copy(gathered, 0, this.#at);
    while (filled < length) {
      const piece = await this.#nextPiece();
      if (piece === undefined) break;
      const used = piece.copy(gathered, filled);
      this.#rest = piece.subarray(used);
      filled += used;
    }
    this.#piece = gathered.subarray(0, filled);
    this.#at = 0;
  }

  async #nextPiece(): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const step = await this.#stream.next();
      if (step.done === true) return undefined;
      this.#rest = Buffer.from(step.value.buffer, step.value.byteOffset, step.value.byteLength);
    }
    const piece = this.#rest;
    this.#rest = NOTHING;
    return piece;
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
