import { StoreError } from "../errors.ts";
import { type FixedMemory, fixedMemory, koffi, type Pointer } from "./koffi.ts";

/** What zstd.ts promises, by one implementation. */
export interface Zstd {
  compress(bytes: Uint8Array, level: number, room?: Uint8Array): Uint8Array;
  decompress(frame: Uint8Array, plainLength: number, room?: Uint8Array): Uint8Array;
  decompressStream(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
}

/** @returns undefined if there is no libzstd here */
export function loadNativeZstd(): Zstd | undefined {
  let functions: Functions;
  try {
    functions = bind();
  } catch {
    return undefined; // koffi has no error code for a library that is not there
  }
  const compressor = new Compressor(functions);
  const context = functions.createDCtx();
  return {
    compress: (bytes, level, room) => compressor.compress(bytes, level, room),
    decompress: (frame, plainLength, room) => {
      const plain = room?.length === plainLength ? room : new Uint8Array(plainLength);
      const length = sizeOf(functions, functions.decompressDCtx(context, plain, plainLength, frame, frame.length));
      if (length !== plainLength) throw new Error(`zstd: ${length} plain bytes instead of ${plainLength}`);
      return plain;
    },
    decompressStream: (input) => decompressStream(functions, input),
  };
}

/** A context of libzstd: an address. */
type Context = bigint;
/** A size_t. Errors are its highest values, which koffi gives as bigint: they are no safe integers. */
type Size = number | bigint;
type Done = (error: Error | null, result: Size) => void;
type Compress = [context: Context, out: Pointer, outSize: number, input: Pointer, inputSize: number, level: number];
type Decompress = [context: Context, out: Pointer, outSize: number, input: Pointer, inputSize: number];
type DecompressStream = [context: Context, out: Pointer, input: Pointer];

interface Functions {
  readonly compressBound: (size: number) => number;
  readonly createCCtx: () => Context;
  readonly compressCCtx: (...args: Compress) => Size;
  readonly createDCtx: () => Context;
  readonly freeDCtx: (context: Context) => Size;
  readonly setDParameter: (context: Context, parameter: number, value: number) => Size;
  readonly decompressDCtx: (...args: Decompress) => Size;
  readonly decompressStream: { async(...args: [...DecompressStream, Done]): void };
  readonly errorName: (code: Size) => string;
}

function bind(): Functions {
  // deep: Node from 22.15 on exports the symbols of a zstd of its own, which libzstd's calls to itself would be bound to.
  const library = koffi().load("libzstd.so.1", { deep: true });
  return {
    compressBound: library.func("size_t ZSTD_compressBound(size_t)"),
    createCCtx: library.func("uint64_t ZSTD_createCCtx()"),
    compressCCtx: library.func("size_t ZSTD_compressCCtx(uint64_t, void *, size_t, void *, size_t, int)"),
    createDCtx: library.func("uint64_t ZSTD_createDCtx()"),
    freeDCtx: library.func("size_t ZSTD_freeDCtx(uint64_t)"),
    setDParameter: library.func("size_t ZSTD_DCtx_setParameter(uint64_t, int, int)"),
    decompressDCtx: library.func("size_t ZSTD_decompressDCtx(uint64_t, void *, size_t, void *, size_t)"),
    decompressStream: library.func("size_t ZSTD_decompressStream(uint64_t, void *, void *)"),
    errorName: library.func("const char *ZSTD_getErrorName(size_t)"),
  };
}

function sizeOf(functions: Functions, result: Size): number {
  if (typeof result === "number") return result;
  throw new Error(`zstd: ${functions.errorName(result)}`);
}

/** Has koffi run a call in Node's thread pool. */
function inWorker(start: (done: Done) => void): Promise<Size> {
  return new Promise((resolve, reject) => start((error, result) => (error ? reject(error) : resolve(result))));
}

/** A compression context is worth keeping: making one costs as much as 10 KiB. */
class Compressor {
  readonly #functions: Functions;
  readonly #context: Context;
  #out: FixedMemory | undefined;

  constructor(functions: Functions) {
    this.#functions = functions;
    this.#context = functions.createCCtx();
  }

  compress(bytes: Uint8Array, level: number, room?: Uint8Array): Uint8Array {
    const bound = this.#functions.compressBound(bytes.length);
    if (room !== undefined && room.length >= bound) return room.subarray(0, this.#run(bytes, level, room, room.length));
    if (this.#out === undefined || this.#out.bytes.length < bound) this.#out = fixedMemory(Math.max(bound, OUT_BYTES));
    const { bytes: out, address } = this.#out;
    return new Uint8Array(out.subarray(0, this.#run(bytes, level, address, out.length)));
  }

  #run(bytes: Uint8Array, level: number, out: Pointer, outBytes: number): number {
    const { compressCCtx } = this.#functions;
    return sizeOf(this.#functions, compressCCtx(this.#context, out, outBytes, bytes, bytes.length, level));
  }
}

/** What a chunk needs; more is made when asked for. */
const OUT_BYTES = 132 * 1024;

async function* decompressStream(
  functions: Functions,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const context = functions.createDCtx();
  let running: Promise<IteratorResult<Uint8Array, void>> | undefined;
  const pieces = decompressPieces(functions, context, input);
  try {
    sizeOf(functions, functions.setDParameter(context, WINDOW_LOG_MAX, 27));
    running = pieces.next();
    while (true) {
      const { value, done } = await running;
      if (done) return;
      // A worker thread makes the next piece while the consumer has this one.
      running = pieces.next();
      running.catch(() => undefined);
      yield value;
    }
  } finally {
    await running?.catch(() => undefined);
    await pieces.return();
    functions.freeDCtx(context);
  }
}

async function* decompressPieces(
  { decompressStream, errorName }: Functions,
  context: Context,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { view, address } = fixedMemory(2 * BUFFER_STRUCT_BYTES);
  const { address: addressOf } = koffi();
  let inFrame = true; // a stream of no frame at all is cut short, too
  for await (const bytes of input) {
    if (bytes.length === 0) continue;
    describeBuffer(view, IN, addressOf(bytes), bytes.length);
    let full = false;
    while (positionOf(view, IN) < bytes.length || (inFrame && full)) {
      const plain = new Uint8Array(PIECE_BYTES);
      describeBuffer(view, OUT, addressOf(plain), PIECE_BYTES);
      const wanted = await inWorker((done) =>
        decompressStream.async(context, address + BigInt(OUT), address + BigInt(IN), done),
      );
      if (typeof wanted === "bigint") throw damaged(errorName(wanted));
      inFrame = wanted !== 0;
      const length = positionOf(view, OUT);
      full = length === PIECE_BYTES;
      if (length > 0) yield plain.subarray(0, length);
    }
  }
  if (inFrame) throw damaged("cut short");
}

function damaged(reason: string): StoreError {
  return new StoreError("FORMAT_INVALID", { record: "zstd stream", reason });
}

/** ZSTD_inBuffer and ZSTD_outBuffer: address, size, position. */
function describeBuffer(view: DataView, at: number, address: bigint, size: number): void {
  view.setBigUint64(at, address, true);
  view.setBigUint64(at + 8, BigInt(size), true);
  view.setBigUint64(at + 16, 0n, true);
}

function positionOf(view: DataView, at: number): number {
  return Number(view.getBigUint64(at + 16, true));
}

const BUFFER_STRUCT_BYTES = 24;
const OUT = 0;
const IN = BUFFER_STRUCT_BYTES;
const PIECE_BYTES = 256 * 1024;
/** ZSTD_d_windowLogMax: zstd --long=27 and no more, so that no input makes us hold above 128 MiB. */
const WINDOW_LOG_MAX = 100;
