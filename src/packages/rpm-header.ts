import type { CheckedBytes } from "./checked-bytes.ts";

/** Tags of what is read of packages. */
const TAGS = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  architecture: 1022,
  fileStates: 1029,
  fileDigests: 1035,
  fileFlags: 1037,
  directoryIndexes: 1116,
  baseNames: 1117,
  directoryNames: 1118,
  fileDigestAlgorithm: 5011,
} as const;
type Tag = keyof typeof TAGS;
const KNOWN: ReadonlySet<number> = new Set(Object.values(TAGS));

interface IndexEntry {
  readonly type: number;
  readonly offset: number;
  readonly count: number;
}

const CHAR = 1;
const INT8 = 2;
const INT32 = 4;
const STRING = 6;
const STRING_ARRAY = 8;
/** As rpm has it. */
const MAX_ENTRIES = 0xffff;
/** More files than any package has. */
const MAX_VALUES = 2 ** 20;

/**
 * The header of a package as databases keep it: an index of tags, and their data.
 * Source: rpm, docs/manual/format_header.md
 */
export class RpmHeader {
  readonly #data: CheckedBytes;
  readonly #index = new Map<number, IndexEntry>();

  /**
   * @param blob big-endian; borrowed as long as this is used
   * @throws {StoreError} FORMAT_INVALID, as all calls
   */
  constructor(blob: CheckedBytes) {
    const entries = blob.uint32(0);
    if (entries > MAX_ENTRIES) blob.fail("has a header with too many tags");
    this.#data = blob.part(8 + 16 * entries, blob.uint32(4));
    for (let at = 8; at < 8 + 16 * entries; at += 16) {
      const tag = blob.uint32(at);
      if (!KNOWN.has(tag) || this.#index.has(tag)) continue;
      const count = blob.uint32(at + 12);
      if (count > MAX_VALUES) blob.fail(`has ${count} values in tag ${tag}`);
      this.#index.set(tag, { type: blob.uint32(at + 4), offset: blob.uint32(at + 8), count });
    }
  }

  /** A byte string; undefined if the header has none. */
  text(tag: Tag): string | undefined {
    return this.#find(tag, [STRING])?.[0];
  }

  /** Byte strings; none if the header has none. */
  texts(tag: Tag): readonly string[] {
    return this.#find(tag, [STRING_ARRAY, STRING]) ?? [];
  }

  numbers(tag: Tag): readonly number[] {
    const entry = this.#index.get(TAGS[tag]);
    if (entry === undefined) return [];
    const { type, offset, count } = entry;
    const bytes = type === INT32 ? 4 : type === CHAR || type === INT8 ? 1 : this.#data.fail(`${tag} are no numbers`);
    const part = this.#data.part(offset, count * bytes);
    return Array.from({ length: count }, (_, i) => (bytes === 4 ? part.uint32(4 * i) : part.uint8(i)));
  }

  #find(tag: Tag, types: readonly number[]): string[] | undefined {
    const entry = this.#index.get(TAGS[tag]);
    if (entry === undefined) return undefined;
    if (!types.includes(entry.type)) this.#data.fail(`${tag} is no text`);
    const count = entry.type === STRING ? 1 : entry.count;
    const found: string[] = [];
    const { bytes } = this.#data;
    for (let at = entry.offset; found.length < count;) {
      const end = bytes.indexOf(0, at);
      if (at > bytes.length || end < 0) this.#data.fail(`${tag} has no end`);
      found.push(this.#data.text(at, end - at));
      at = end + 1;
    }
    return found;
  }
}
