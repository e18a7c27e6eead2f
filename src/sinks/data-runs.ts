import type { Segment } from "../sys/file.ts";

/** What is a hole in a sparse file that we write: each page of the file that is all zero. */
export const PAGE_BYTES = 4096;

/**
 * Where the parts of a sparse file that are worth writing lie in it: those without whole pages of zeros, in order.
 *
 * @param bytes    the file's bytes from `position` on; a part of a page counts as a page
 * @param pageBytes a power of two, at most `PAGE_BYTES`
 */
export function* dataRuns(bytes: Uint8Array, position: number, pageBytes: number): Generator<Segment> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let run = -1;
  for (let at = 0; at < buffer.length;) {
    const end = Math.min(buffer.length, at + pageBytes - ((position + at) % pageBytes));
    if (isZero(buffer, at, end)) {
      if (run >= 0) yield { offset: position + run, length: at - run };
      run = -1;
    } else if (run < 0) {
      run = at;
    }
    at = end;
  }
  if (run >= 0) yield { offset: position + run, length: buffer.length - run };
}

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

function isZero(buffer: Buffer, start: number, end: number): boolean {
  // Most pages have a byte set at once: the call into C++ is for the others.
  return buffer[start] === 0 && buffer.compare(ZERO_PAGE, 0, end - start, start, end) === 0;
}
