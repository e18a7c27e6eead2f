import { sealBlock, UNIT_BYTES, UNITS, unitsOf } from "../format/upper.ts";
import type { UpperBlock, UpperPiece } from "../format/upper.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import type { BlockCache, DataSegment } from "./block-cache.ts";
import type { Entry } from "./entry.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { Upper } from "./upper.ts";
import { DamagedNode, fileBody, UpperNode } from "./upper-node.ts";
import type { FileBody } from "./upper-node.ts";
import type { Bytes } from "./view-core.ts";

/** A node whose body is known to be a regular file's. */
export type UpperFile = UpperNode & { readonly body: FileBody };

/**
 * The bytes of a container's files: a changed file is a content of the store, and over it pieces that were written since, in
 * units of 4 KiB. So a write costs what it touches.
 *
 * What changes bytes leaves the node to be saved, and the log to be committed, by its caller.
 */
export class UpperBytes implements Bytes {
  readonly #upper: Upper;
  readonly #blocks: BlockCache;

  /** Borrows both. */
  constructor(upper: Upper, blocks: BlockCache) {
    this.#upper = upper;
    this.#blocks = blocks;
  }

  read(entry: Entry, position: number, target: Uint8Array): number {
    if (entry instanceof DamagedNode) throw entry.error;
    if (entry instanceof LowerEntry) return this.#blocks.read(entry.content, position, target);
    if (!isUpperFile(entry)) return 0;
    const length = Math.max(Math.min(target.length, entry.size - position), 0);
    for (const [block, from, to, at] of grid(position, length, BLOCK_BYTES))
      this.#readBlock(entry, block, from, target.subarray(at, at + to - from));
    return length;
  }

  write(file: UpperFile, bytes: Uint8Array, position: number): void {
    const { body } = file;
    for (const [block, from, to, at] of grid(position, bytes.length, BLOCK_BYTES)) {
      this.#writeBlock(file, block, from, bytes.subarray(at, at + to - from));
    }
    body.size = Math.max(body.size, position + bytes.length);
  }

  truncate(file: UpperFile, size: number): void {
    const { body } = file;
    if (size < body.size) {
      const last = Math.floor(size / BLOCK_BYTES);
      for (const block of [...body.dirty.keys()]) {
        if (block > last || size % BLOCK_BYTES === 0) this.#forget(file, block, size);
        else if (block === last) this.#cutBlock(file, block, size % BLOCK_BYTES);
      }
      body.shown = Math.min(body.shown, size);
    }
    body.size = size;
  }

  /** The bytes from `start` to before `end` are zeros without blocks. */
  punchHole(file: UpperFile, start: number, end: number): void {
    const { body } = file;
    const stop = Math.min(end, body.size);
    for (const [block, from, to] of grid(start, Math.max(stop - start, 0), BLOCK_BYTES)) {
      const isEnd = block * BLOCK_BYTES + to === body.size;
      if (from === 0 && (to === BLOCK_BYTES || isEnd)) {
        this.#setBlock(file, block, { fill: "hole", holes: 0, pieces: [] });
        continue;
      }
      for (const [unit, unitFrom, unitTo] of grid(from, to - from, UNIT_BYTES)) {
        const reachesEnd = isEnd && unit * UNIT_BYTES + unitTo === to;
        if (unitFrom === 0 && (unitTo === UNIT_BYTES || reachesEnd)) this.#punchUnit(file, block, unit);
        else this.#writeBlock(file, block, unit * UNIT_BYTES + unitFrom, new Uint8Array(unitTo - unitFrom));
      }
    }
  }

  /** Makes `to` hold what `from` does: contents by reference, what was written since as copies. */
  copy(from: Entry, to: UpperFile): void {
    this.truncate(to, 0);
    const source = from instanceof LowerEntry ? fileBody(from.content) : isUpperFile(from) ? from.body : undefined;
    if (source === undefined) return;
    to.body.content = source.content;
    to.body.shown = source.shown;
    to.body.size = source.size;
    for (const [block, state] of source.dirty) {
      if (!isUpperFile(from)) return;
      const { pieces } = this.#upper.log;
      this.#setBlock(to, block, {
        ...state,
        pieces: state.pieces.map((piece) => pieces.put(pieces.get(piece), piece.unit)),
      });
    }
  }

  /** All bytes of a block as they are now, in `room`: shorter than a block at the file's end alone. */
  block(file: UpperFile, block: number, room: Uint8Array): Uint8Array {
    const bytes = room.subarray(0, Math.min(BLOCK_BYTES, file.size - block * BLOCK_BYTES));
    this.#readBlock(file, block, 0, bytes);
    return bytes;
  }

  /** Lets the file be this content, which its bytes are in by now. */
  settle(file: UpperFile, content: Content): void {
    const { body } = file;
    for (const block of body.dirty.keys()) this.#upper.deleteBlock(file, block);
    body.dirty.clear();
    body.content = content;
    body.shown = content.size;
  }

  /** Some file has bytes that are in no content. */
  get areWritten(): boolean {
    for (const node of this.#upper.nodes()) if (isUpperFile(node) && node.body.dirty.size > 0) return true;
    return false;
  }

  *dataSegments(entry: Entry): Generator<DataSegment> {
    if (entry instanceof DamagedNode) throw entry.error;
    if (entry instanceof LowerEntry) yield* this.#blocks.dataSegments(entry.content);
    else if (isUpperFile(entry)) yield* joined(this.#allocated(entry), entry.size);
  }

  /** In units, in no order. */
  *#allocated({ body }: UpperFile): Generator<DataSegment> {
    const dirty = [...body.dirty.keys()].sort((a, b) => a - b);
    let next = 0;
    for (const { start, end } of this.#blocks.dataSegments(body.content)) {
      const stop = Math.min(end, body.shown);
      let from = start;
      // Blocks that say themselves what they are.
      for (let block = dirty[next]; block !== undefined && block * BLOCK_BYTES < stop; block = dirty[++next]) {
        const [first, after] = [block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES];
        if (after <= from) continue;
        yield { start: from, end: first };
        const last = Math.min(after, stop);
        if (body.dirty.get(block)?.fill === "base") yield* this.#baseUnits(body, block, Math.max(from, first), last);
        from = after;
        if (after > stop) break;
      }
      yield { start: from, end: stop };
    }
    for (const [block, state] of body.dirty) {
      const first = block * BLOCK_BYTES;
      const written = state.pieces.reduce((mask, piece) => mask | maskOf(piece), 0) & ~state.holes;
      for (let unit = 0; unit < UNITS; unit++)
        if (has(written, unit)) yield { start: first + unit * UNIT_BYTES, end: first + (unit + 1) * UNIT_BYTES };
    }
  }

  *#baseUnits(body: FileBody, block: number, start: number, end: number): Generator<DataSegment> {
    const holes = body.dirty.get(block)?.holes ?? 0;
    const first = block * BLOCK_BYTES;
    for (let unit = 0; unit < UNITS; unit++) {
      const from = Math.max(first + unit * UNIT_BYTES, start);
      const to = Math.min(first + (unit + 1) * UNIT_BYTES, end);
      if (from < to && !has(holes, unit)) yield { start: from, end: to };
    }
  }

  /** @param target as long as what is wanted from byte `from` of the block on, all of it within the file */
  #readBlock(file: UpperFile, block: number, from: number, target: Uint8Array): void {
    const { body } = file;
    const { fill, holes, pieces } = body.dirty.get(block) ?? CLEAN;
    const wanted = maskOfRange(from, from + target.length);
    const shown = visible(pieces, wanted & ~holes);
    const written = shown.reduce((mask, [, units]) => mask | units, 0);
    if (fill === "hole" || (wanted & ~written & ~holes) === 0) target.fill(0);
    else this.#readBase(body, block * BLOCK_BYTES + from, target);
    for (const [piece, units] of shown) {
      const bytes = this.#upper.log.pieces.get(piece);
      for (const [unit, unitFrom, unitTo, at] of grid(from, target.length, UNIT_BYTES)) {
        if (!has(units, unit)) continue;
        fillFrom(bytes, (unit - piece.unit) * UNIT_BYTES + unitFrom, target.subarray(at, at + unitTo - unitFrom));
      }
    }
    if ((holes & wanted) === 0 || fill === "hole") return;
    for (const [unit, unitFrom, unitTo, at] of grid(from, target.length, UNIT_BYTES))
      if (has(holes, unit)) target.fill(0, at, at + unitTo - unitFrom);
  }

  #readBase({ content, shown }: FileBody, position: number, target: Uint8Array): void {
    const length = Math.min(Math.max(shown - position, 0), target.length);
    if (length > 0) this.#blocks.read(content, position, target.subarray(0, length));
    target.fill(0, length);
  }

  #writeBlock(file: UpperFile, block: number, from: number, bytes: Uint8Array): void {
    const there = Math.min(Math.max(file.body.size - block * BLOCK_BYTES, 0), BLOCK_BYTES);
    const to = from + bytes.length;
    const start = from - (from % UNIT_BYTES);
    const end = Math.max(to, Math.min(there, unitsOf(to) * UNIT_BYTES));
    let whole = bytes;
    if (start < from || to < end) {
      whole = new Uint8Array(end - start);
      // Of the units at both ends, what is there already; between the file's end and what is written are zeros.
      const before = Math.min(from, there);
      if (start < before) this.#readBlock(file, block, start, whole.subarray(0, before - start));
      if (to < end) this.#readBlock(file, block, to, whole.subarray(to - start));
      whole.set(bytes, from - start);
    }
    this.#addPiece(file, block, start / UNIT_BYTES, whole);
  }

  #addPiece(file: UpperFile, block: number, unit: number, bytes: Uint8Array): void {
    const piece = this.#upper.log.pieces.put(bytes, unit);
    const { fill, holes, pieces } = file.body.dirty.get(block) ?? CLEAN;
    this.#setBlock(file, block, { fill, holes: (holes & ~maskOf(piece)) >>> 0, pieces: [...pieces, piece] });
  }

  #punchUnit(file: UpperFile, block: number, unit: number): void {
    const state = file.body.dirty.get(block) ?? CLEAN;
    this.#setBlock(file, block, { ...state, holes: (state.holes | (1 << unit)) >>> 0 });
  }

  /** What lies in the block from byte `length` on is gone: should the file grow again, there are zeros. */
  #cutBlock(file: UpperFile, block: number, length: number): void {
    const state = file.body.dirty.get(block) ?? CLEAN;
    const last = unitsOf(length) - 1;
    const [shown] = visible(state.pieces, (1 << last) & ~state.holes);
    const piece = shown?.[0];
    if (piece !== undefined) {
      const bytes = this.#upper.log.pieces.get(piece);
      const start = (last - piece.unit) * UNIT_BYTES;
      const left = length - last * UNIT_BYTES;
      if (bytes.length > start + left) this.#addPiece(file, block, last, bytes.subarray(start, start + left));
    }
    const after = file.body.dirty.get(block) ?? CLEAN;
    const holes = (after.holes | ~maskOfRange(0, length)) >>> 0;
    this.#setBlock(file, block, { ...after, holes });
  }

  #forget(file: UpperFile, block: number, size: number): void {
    if (block * BLOCK_BYTES < size) return;
    this.#upper.deleteBlock(file, block);
    file.body.dirty.delete(block);
  }

  /** Pieces of which nothing shows any more are left out. */
  #setBlock(file: UpperFile, block: number, { fill, holes, pieces }: UpperBlock): void {
    const { dirty } = file.body;
    const shown = visible(pieces, ~holes).map(([piece]) => piece);
    const state = { fill, holes, pieces: shown.reverse() };
    for (const piece of dirty.get(block)?.pieces ?? []) if (!shown.includes(piece)) this.#upper.log.release(piece);
    dirty.set(block, state);
    const key = this.#upper.blockKey(file, block);
    this.#upper.log.put(key, sealBlock(key, state));
  }
}

export function isUpperFile(entry: Entry): entry is UpperFile {
  return entry instanceof UpperNode && entry.body.type === "file";
}

const CLEAN: UpperBlock = { fill: "base", holes: 0, pieces: [] };

function has(mask: number, unit: number): boolean {
  return (mask & (1 << unit)) !== 0;
}

function maskOf({ unit, length }: UpperPiece): number {
  return maskOfRange(unit * UNIT_BYTES, unit * UNIT_BYTES + length);
}

/** Units of a block that bytes from `from` to before `to`, at least one, are in. */
function maskOfRange(from: number, to: number): number {
  const first = Math.floor(from / UNIT_BYTES);
  return (-1 >>> (UNITS - unitsOf(to) + first)) << first;
}

/** Pieces that show in some of the units, each with those that it shows in. The last one first. */
function visible(pieces: readonly UpperPiece[], units: number): (readonly [piece: UpperPiece, units: number])[] {
  const shown: (readonly [UpperPiece, number])[] = [];
  let left = units;
  for (let i = pieces.length - 1; i >= 0 && left !== 0; i--) {
    const piece = pieces[i];
    const mask = piece === undefined ? 0 : maskOf(piece) & left;
    if (piece !== undefined && mask !== 0) shown.push([piece, mask]);
    left &= ~mask;
  }
  return shown;
}

/** `source` from byte `from` on, then zeros. */
function fillFrom(source: Uint8Array, from: number, target: Uint8Array): void {
  const part = source.subarray(from, from + target.length);
  target.set(part);
  target.fill(0, part.length);
}

/** The pieces of a range on a grid: which one, from and to which byte of it, and where that begins in the range. */
function* grid(
  position: number,
  length: number,
  size: number,
): Generator<readonly [index: number, from: number, to: number, at: number]> {
  for (let at = 0; at < length;) {
    const index = Math.floor((position + at) / size);
    const from = position + at - index * size;
    const to = Math.min(size, from + length - at);
    yield [index, from, to, at];
    at += to - from;
  }
}

/** Segments in order, those that touch as one, none beyond the file's end. */
function joined(segments: Iterable<DataSegment>, size: number): DataSegment[] {
  const sorted = [...segments].filter(({ start, end }) => start < end && start < size);
  sorted.sort((a, b) => a.start - b.start);
  const result: { start: number; end: number }[] = [];
  for (const { start, end } of sorted) {
    const last = result.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, Math.min(end, size));
    else result.push({ start, end: Math.min(end, size) });
  }
  return result;
}
