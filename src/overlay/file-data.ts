import { typeError } from "./file-error.ts";
import type { NameEncoding } from "./arguments.ts";
import { bytesOf } from "./write-arguments.ts";

type Piece = string | NodeJS.ArrayBufferView;

/** What writeFile takes: text, bytes, or pieces of both, such as a stream gives. */
export type FileData = Piece | Iterable<Piece> | AsyncIterable<Piece>;

export type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Written at once, so that what waits to be stored stays small. */
const PIECE_BYTES = 4 << 20;

/**
 * The bytes of `data` in pieces of some megabytes at most; those of a caller's buffers are not copied.
 *
 * @throws {TypeError} at once for what is no data, and as it is come upon for what is no piece
 */
export function dataPieces(data: FileData, encoding: NameEncoding | null | undefined): Pieces {
  // "buffer" is refused by Buffer.from, as node:fs refuses it.
  const text = (encoding ?? "utf8") as BufferEncoding;
  if (typeof data === "string") return split(Buffer.from(data, text));
  if (ArrayBuffer.isView(data)) return split(bytesOf(data));
  if (isIterable(data)) return piecesOf(data, text);
  throw typeError("data", "of type string or an instance of Buffer, TypedArray, or DataView", data);
}

/** The bytes of `data` if they are one piece: not copied, as above. */
export function wholePiece(data: FileData, encoding: NameEncoding | null | undefined): Uint8Array | undefined {
  if (typeof data !== "string" && !ArrayBuffer.isView(data)) return undefined;
  const bytes = typeof data === "string" ? Buffer.from(data, (encoding ?? "utf8") as BufferEncoding) : bytesOf(data);
  return bytes.length > PIECE_BYTES ? undefined : bytes;
}

function isIterable(data: unknown): data is Iterable<Piece> | AsyncIterable<Piece> {
  return typeof data === "object" && data !== null && (Symbol.iterator in data || Symbol.asyncIterator in data);
}

async function* piecesOf(
  data: Iterable<Piece> | AsyncIterable<Piece>,
  encoding: BufferEncoding,
): AsyncGenerator<Uint8Array> {
  for await (const piece of data) {
    yield* split(ArrayBuffer.isView(piece) ? bytesOf(piece) : Buffer.from(piece, encoding));
  }
}

function* split(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** The same bytes in fewer pieces: small ones joined, of large ones some megabytes each. */
export function* gathered(views: readonly NodeJS.ArrayBufferView[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const piece of views.flatMap((view) => [...split(bytesOf(view))])) {
    if (sizeBytes + piece.length > PIECE_BYTES) {
      yield joined(small);
      small = [];
      sizeBytes = 0;
    }
    small.push(piece);
    sizeBytes += piece.length;
  }
  if (small.length > 0) yield joined(small);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
}
