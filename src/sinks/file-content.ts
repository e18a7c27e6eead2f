import { ftruncateSync, writeSync } from "node:fs";
import type { ContentReader } from "../model/change.ts";
import type { Content } from "../model/node.ts";
import { dataRuns } from "./data-runs.ts";
import type { Turns } from "./turns.ts";

/**
 * Writes a content to a new, empty file: a sparse one with a hole for each page of zeros, a dense one without holes.
 * Holds one piece at a time.
 */
export async function writeContent(
  fd: number,
  content: Content,
  reader: ContentReader,
  pageBytes: number,
  turns: Turns,
): Promise<void> {
  let position = 0;
  let end = 0;
  for (const piece of reader.pieces(content)) {
    const length = typeof piece === "number" ? piece : piece.length;
    if (typeof piece !== "number" && content.sparse) {
      for (const run of dataRuns(piece, position, pageBytes)) {
        writeFully(fd, piece.subarray(run.offset - position, run.offset - position + run.length), run.offset);
        end = run.offset + run.length;
      }
    } else if (typeof piece !== "number") {
      writeFully(fd, piece, position);
      end = position + length;
    } else if (!content.sparse) {
      await writeZeros(fd, length, position, turns);
      end = position + length;
    }
    position += length;
    turns.bytes += length;
    if (turns.due) await turns.rest();
  }
  if (position !== content.size) throw new Error(`content of ${content.size} bytes came with ${position}`);
  if (end < content.size) ftruncateSync(fd, content.size);
}

async function writeZeros(fd: number, length: number, position: number, turns: Turns): Promise<void> {
  for (let at = 0; at < length; at += ZEROS.length) {
    writeFully(fd, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)), position + at);
    if (turns.due) await turns.rest();
  }
}

const ZEROS = Buffer.alloc(1024 * 1024);

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}
