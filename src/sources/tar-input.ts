import { StoreError } from "../errors.ts";
import type { ContentWriter } from "../model/change.ts";
import { ByteReader } from "./byte-reader.ts";
import { TAR_BLOCK_BYTES } from "./tar-header.ts";
import { MalformedTar } from "./tar-malformed.ts";

/** The bytes of an archive, in blocks and in the data of entries. Its errors say what ended where. */
export class TarInput {
  readonly #bytes: ByteReader;
  readonly #source: string;
  readonly #onPause: (contentBytes: number) => void;
  #contentBytes = 0;
  #bytesAtPause = 0;
  /** What is being read, for errors. */
  inside = "";

  /** @param onPause called now and then with the bytes of content so far; may throw */
  constructor(stream: AsyncIterable<Uint8Array>, source: string, onPause: (contentBytes: number) => void) {
    this.#bytes = new ByteReader(stream);
    this.#source = source;
    this.#onPause = onPause;
  }

  get position(): number {
    return this.#bytes.position;
  }

  /** @returns the next block; a shorter one, or none at all, only where the stream ends */
  async blockOrEnd(): Promise<Buffer> {
    return this.#bytes.takeNow(TAR_BLOCK_BYTES) ?? (await this.#bytes.take(TAR_BLOCK_BYTES));
  }

  async block(): Promise<Buffer> {
    const block = await this.blockOrEnd();
    if (block.length < TAR_BLOCK_BYTES) throw this.endsInside();
    return block;
  }

  /** As `blockOrEnd`, but the block stays to be read. */
  async peekBlock(): Promise<Buffer> {
    return await this.#bytes.peek(TAR_BLOCK_BYTES);
  }

  /** Data that means something to the reader; the result is the caller's. */
  async data(length: number, most: number): Promise<Buffer> {
    if (!(length >= 0 && length <= most)) throw new MalformedTar("is too long");
    const bytes = await this.#bytes.take(length);
    if (bytes.length < length) throw this.endsInside();
    const copy = Buffer.from(bytes);
    await this.skipPadding(length);
    return copy;
  }

  /** Hands `length` bytes to `writer`. */
  async copy(length: number, writer: ContentWriter): Promise<void> {
    for (let left = length; left > 0;) {
      const piece = this.#bytes.someNow(left) ?? (await this.#bytes.some(left));
      if (piece === undefined) throw this.endsInside();
      left -= piece.length;
      this.#contentBytes += piece.length;
      const wait = writer.write(piece);
      if (wait) await wait;
      if (this.#contentBytes - this.#bytesAtPause >= PAUSE_BYTES) this.pause();
    }
  }

  /** Passes over `length` bytes of data and its padding. */
  async skipData(length: number): Promise<void> {
    await this.#skip(length);
    await this.skipPadding(length);
  }

  /** Passes over what fills up the last block of `length` bytes of data. */
  async skipPadding(length: number): Promise<void> {
    const over = length % TAR_BLOCK_BYTES;
    if (over > 0) await this.#skip(TAR_BLOCK_BYTES - over);
  }

  async drain(): Promise<void> {
    while ((await this.#bytes.some(Infinity)) !== undefined) this.pause();
  }

  pause(): void {
    this.#bytesAtPause = this.#contentBytes;
    this.#onPause(this.#contentBytes);
  }

  async close(): Promise<void> {
    await this.#bytes.close();
  }

  endsInside(): StoreError {
    return this.invalid(`ends inside ${this.inside} at byte ${this.position}`);
  }

  invalid(reason: string, { hint, cause }: { hint?: string; cause?: unknown } = {}): StoreError {
    const details = { source: this.#source, reason, ...(hint !== undefined && { hint }) };
    return new StoreError("SOURCE_INVALID", details, { cause });
  }

  async #skip(length: number): Promise<void> {
    let sinceCheck = 0;
    for (let left = length; left > 0;) {
      const piece = this.#bytes.someNow(left) ?? (await this.#bytes.some(left));
      if (piece === undefined) throw this.endsInside();
      left -= piece.length;
      sinceCheck += piece.length;
      if (sinceCheck < PAUSE_BYTES) continue;
      this.pause();
      sinceCheck = 0;
    }
  }
}

const PAUSE_BYTES = 8 << 20;
