import type { ContentReader } from "../model/change.ts";
import type { Content } from "../model/node.ts";
import type { Segment } from "../sys/file.ts";
import { dataRuns, PAGE_BYTES } from "./data-runs.ts";
import { TAR_BLOCK_BYTES } from "./tar-header.ts";
import type { Turns } from "./turns.ts";

/** Where the data of a sparse content lies, and how fine its holes are cut. */
export interface SparseMap {
  readonly segments: readonly Segment[];
  readonly pageBytes: number;
}

/** Asks whoever drives a generator to let others take a turn before the next step. */
export const PAUSE = undefined;
export type Pause = typeof PAUSE;

/**
 * Finds the holes, which takes a reading of all of it: the map comes before the data.
 *
 * @returns undefined if there are none
 */
export function* sparseMap(
  content: Content,
  reader: ContentReader,
  turns: Turns,
): Generator<Pause, SparseMap | undefined> {
  // Some filesystems have blocks, and so holes, below a page.
  for (const pageBytes of [PAGE_BYTES, TAR_BLOCK_BYTES]) {
    const segments: { offset: number; length: number }[] = [];
    let dataBytes = 0;
    let position = 0;
    for (const piece of reader.pieces(content)) {
      for (const run of typeof piece === "number" ? [] : dataRuns(piece, position, pageBytes)) {
        const last = segments.at(-1);
        if (last !== undefined && last.offset + last.length === run.offset) last.length += run.length;
        else segments.push({ ...run });
        dataBytes += run.length;
      }
      position += typeof piece === "number" ? piece : piece.length;
      if (turns.due) yield PAUSE;
    }
    if (dataBytes < content.size) return { segments, pageBytes };
  }
  return undefined;
}

/** The map as GNU's format 1.0 puts it before the data: decimal lines, padded to whole blocks. */
export function encodeSparseMap({ segments }: SparseMap, size: number): Buffer {
  const last = segments.at(-1);
  // GNU tar ends a map where the file ends.
  const all =
    last !== undefined && last.offset + last.length === size ? segments : [...segments, { offset: size, length: 0 }];
  const lines = [all.length, ...all.flatMap(({ offset, length }) => [offset, length])];
  const text = Buffer.from(`${lines.join("\n")}\n`);
  return Buffer.concat([text, Buffer.alloc(-text.length & (TAR_BLOCK_BYTES - 1))]);
}
