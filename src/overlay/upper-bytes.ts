import { openBytes, sealBytes } from "../format/record.ts";
import { sealBlock } from "../format/upper.ts";
import type { UpperBlock } from "../format/upper.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import type { BlockCache, DataSegment } from "./block-cache.ts";
import type { Entry } from "./entry.ts";
import { LowerEntry } from "./lower-entry.ts";
import type { Upper } from "./upper.ts";
import { UNITS } from "./upper.ts";
import { DamagedNode, fileBody, UpperNode } from "./upper-node.ts";
import type { FileBody } from "./upper-node.ts";
import type { Bytes } from "./view-core.ts";

/** A node whose body is known to be a regular file's. */
export type UpperFile = UpperNode & { readonly body: FileBody };

/**
 * The bytes of a container's files: a changed file is a content of the store, and over it units of 4 KiB and whole blocks of
 * 128 KiB that were written since. So a write costs what it touches.
 *
 * What changes bytes leaves the node to be saved, and the log to be committed, by its caller.
 */
export class UpperBytes implements Bytes {
  readonly #upper: Upper;
  readonly #blocks: BlockCache;
  /** Whole blocks that were read last, by key. */
  readonly #recent = new Map<string, Uint8Array>();
  #era = 0;

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
    for (const [block, from, to, at] of pieces(position, length, BLOCK_BYTES))
      this.#readBlock(entry, block, from, target.subarray(at, at + to - from));
    return length;
  }

  write(file: UpperFile, bytes: Uint8Array, position: number): void {
    const { body } = file;
    for (const [block, from, to, at] of pieces(position, bytes.length, BLOCK_BYTES)) {
      const part = bytes.subarray(at, at + to - from);
      if (part.length === BLOCK_BYTES) this.#putWhole(file, block, part);
      else this.#writeUnits(file, block, from, part);
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
    for (const [block, from, to] of pieces(start, Math.max(stop - start, 0), BLOCK_BYTES)) {
      const isEnd = block * BLOCK_BYTES + to === body.size;
      if (from === 0 && (to === BLOCK_BYTES || isEnd)) {
        this.#upper.deleteBlock(file, block);
        this.#setBlock(file, block, { fill: "hole", units: 0, holes: 0 });
        continue;
      }
      for (const [unit, unitFrom, unitTo] of pieces(from, to - from, UNIT_BYTES)) {
        const reachesEnd = isEnd && unit * UNIT_BYTES + unitTo === to;
        if (unitFrom === 0 && (unitTo === UNIT_BYTES || reachesEnd)) this.#punchUnit(file, block, unit);
        else this.#writeUnits(file, block, unit * UNIT_BYTES + unitFrom, new Uint8Array(unitTo - unitFrom));
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
      if (state.fill === "whole") this.#put("whole", to, block, this.#whole(from, block));
      for (const unit of unitsOf(state.units)) {
        const number = block * UNITS + unit;
        this.#put("unit", to, number, this.#get("unit", from, number));
      }
      this.#setBlock(to, block, state);
    }
  }

  /** All bytes of a block as they are now: shorter than a block at the file's end alone. */
  block(file: UpperFile, block: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(BLOCK_BYTES, file.size - block * BLOCK_BYTES));
    this.#readBlock(file, block, 0, bytes);
    return bytes;
  }

  /** Lets the file be this content, which its bytes are in by now. */
  settle(file: UpperFile, content: Content): void {
    const { body } = file;
    for (const block of body.dirty.keys()) {
      this.#upper.deleteBlock(file, block);
      this.#recent.delete(wholeName(file, block));
    }
    body.dirty.clear();
    body.content = content;
    body.shown = content.size;
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
      for (let unit = 0; unit < UNITS; unit++)
        if (has(state.units, unit) || (state.fill === "whole" && !has(state.holes, unit)))
          yield { start: first + unit * UNIT_BYTES, end: first + (unit + 1) * UNIT_BYTES };
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
    const state = body.dirty.get(block);
    if (state?.fill === "hole") target.fill(0);
    else if (state?.fill === "whole") fillFrom(this.#whole(file, block), from, target);
    else {
      const position = block * BLOCK_BYTES + from;
      const shown = Math.min(Math.max(body.shown - position, 0), target.length);
      if (shown > 0) this.#blocks.read(body.content, position, target.subarray(0, shown));
      target.fill(0, shown);
    }
    if (state === undefined || (state.units | state.holes) === 0) return;
    for (const [unit, unitFrom, unitTo, at] of pieces(from, target.length, UNIT_BYTES)) {
      const part = target.subarray(at, at + unitTo - unitFrom);
      if (has(state.units, unit)) fillFrom(this.#get("unit", file, block * UNITS + unit), unitFrom, part);
      else if (has(state.holes, unit)) part.fill(0);
    }
  }

  #writeUnits(file: UpperFile, block: number, start: number, bytes: Uint8Array): void {
    const before = file.body.dirty.get(block) ?? CLEAN;
    let { units, holes } = before;
    for (const [unit, from, to, at] of pieces(start, bytes.length, UNIT_BYTES)) {
      const number = block * UNITS + unit;
      let part = bytes.subarray(at, at + to - from);
      const there = Math.min(Math.max(file.body.size - number * UNIT_BYTES, 0), UNIT_BYTES);
      if (from > 0 || to < there) {
        const whole = new Uint8Array(Math.max(there, to));
        this.#readBlock(file, block, unit * UNIT_BYTES, whole.subarray(0, there));
        whole.set(part, from);
        part = whole;
      }
      this.#put("unit", file, number, part);
      units = (units | (1 << unit)) >>> 0;
      holes = (holes & ~(1 << unit)) >>> 0;
    }
    this.#setBlock(file, block, { ...before, units, holes });
  }

  #putWhole(file: UpperFile, block: number, bytes: Uint8Array): void {
    this.#upper.deleteBlock(file, block);
    this.#recent.delete(wholeName(file, block));
    this.#put("whole", file, block, bytes);
    this.#setBlock(file, block, { fill: "whole", units: 0, holes: 0 });
  }

  #punchUnit(file: UpperFile, block: number, unit: number): void {
    const before = file.body.dirty.get(block) ?? CLEAN;
    if (has(before.units, unit)) this.#upper.log.delete(this.#upper.dataKey("unit", file, block * UNITS + unit));
    const units = (before.units & ~(1 << unit)) >>> 0;
    const holes = (before.holes | (1 << unit)) >>> 0;
    this.#setBlock(file, block, { ...before, units, holes });
  }

  /** What lies in the block from byte `length` on is gone: should the file grow again, there are zeros. */
  #cutBlock(file: UpperFile, block: number, length: number): void {
    const before = file.body.dirty.get(block) ?? CLEAN;
    let { units, holes } = before;
    for (const unit of unitsOf(units)) {
      const number = block * UNITS + unit;
      const left = length - unit * UNIT_BYTES;
      if (left >= UNIT_BYTES) continue;
      if (left > 0) {
        this.#put("unit", file, number, Uint8Array.from(this.#get("unit", file, number).subarray(0, left)));
        continue;
      }
      this.#upper.log.delete(this.#upper.dataKey("unit", file, number));
      units = (units & ~(1 << unit)) >>> 0;
    }
    if (before.fill === "whole") {
      const left = Uint8Array.from(this.#whole(file, block).subarray(0, length));
      this.#recent.delete(wholeName(file, block));
      this.#put("whole", file, block, left);
      // Units beyond were never written: they are holes, should the file grow again.
      for (let unit = Math.ceil(length / UNIT_BYTES); unit < UNITS; unit++)
        if (!has(units, unit)) holes = (holes | (1 << unit)) >>> 0;
    }
    this.#setBlock(file, block, { ...before, units, holes });
  }

  #forget(file: UpperFile, block: number, size: number): void {
    if (block * BLOCK_BYTES < size) return;
    this.#upper.deleteBlock(file, block);
    this.#recent.delete(wholeName(file, block));
    file.body.dirty.delete(block);
  }

  #setBlock(file: UpperFile, block: number, state: UpperBlock): void {
    file.body.dirty.set(block, state);
    const key = this.#upper.dataKey("block", file, block);
    this.#upper.log.put(key, sealBlock(key, state));
  }

  #whole(file: UpperFile, block: number): Uint8Array {
    const name = wholeName(file, block);
    if (this.#era !== this.#upper.era) this.#recent.clear();
    this.#era = this.#upper.era;
    const known = this.#recent.get(name);
    if (known !== undefined) return known;
    const bytes = this.#get("whole", file, block);
    const [oldest] = this.#recent.size === RECENT_BLOCKS ? this.#recent.keys() : [];
    if (oldest !== undefined) this.#recent.delete(oldest);
    this.#recent.set(name, bytes);
    return bytes;
  }

  #put(kind: "unit" | "whole", file: UpperFile, number: number, bytes: Uint8Array): void {
    const key = this.#upper.dataKey(kind, file, number);
    this.#upper.log.put(key, sealBytes(key, bytes));
  }

  /** @throws {StoreError} FORMAT_INVALID if it is damaged or lost */
  #get(kind: "unit" | "whole", file: UpperFile, number: number): Uint8Array {
    const key = this.#upper.dataKey(kind, file, number);
    return openBytes(key, this.#upper.log.get(key) ?? LOST, `${kind} ${number} of node ${file.ino}`);
  }
}

export function isUpperFile(entry: Entry): entry is UpperFile {
  return entry instanceof UpperNode && entry.body.type === "file";
}

/** Those of a page of the kernel's. */
export const UNIT_BYTES: number = BLOCK_BYTES / UNITS;
const RECENT_BLOCKS = 16;
const CLEAN: UpperBlock = { fill: "base", units: 0, holes: 0 };
const LOST = new Uint8Array(0);

function wholeName({ ino }: UpperFile, block: number): string {
  return `${ino} ${block}`;
}

function has(mask: number, unit: number): boolean {
  return (mask & (1 << unit)) !== 0;
}

function unitsOf(mask: number): number[] {
  return Array.from({ length: UNITS }, (_, unit) => unit).filter((unit) => has(mask, unit));
}

/** `source` from byte `from` on, then zeros. */
function fillFrom(source: Uint8Array, from: number, target: Uint8Array): void {
  const part = source.subarray(from, from + target.length);
  target.set(part);
  target.fill(0, part.length);
}

/** The pieces of a range on a grid: which one, from and to which byte of it, and where that begins in the range. */
function* pieces(
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
