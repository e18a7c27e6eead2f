import type { Digest } from "./digest.ts";
import { DIGEST_BYTES, digestFromBytes } from "./digest.ts";

/**
 * A number for each of many digests, at 36 bytes in a table that is at most two thirds full: a Map of strings takes 130 for each, and a
 * store may have millions.
 */
export class DigestMap {
  #table = new Int32Array(FIRST_SLOTS * SLOT_WORDS);
  #slots = FIRST_SLOTS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(digest: Digest): number | undefined {
    loadKey(digest);
    const value = this.#table[this.#find() + VALUE_WORD] ?? NOTHING;
    return value === NOTHING ? undefined : value - 1;
  }

  has(digest: Digest): boolean {
    return this.get(digest) !== undefined;
  }

  /** @param value integer, 0 ≤ value < 2^31 - 1 */
  set(digest: Digest, value: number): void {
    loadKey(digest);
    this.#put(this.#find(), value);
  }

  /** Gives it the value 0. @returns false if it was there */
  add(digest: Digest): boolean {
    loadKey(digest);
    const at = this.#find();
    if (this.#table[at + VALUE_WORD] !== NOTHING) return false;
    this.#put(at, 0);
    return true;
  }

  /** In no order. Nothing may be put meanwhile. */
  *[Symbol.iterator](): Generator<readonly [digest: Digest, value: number], undefined> {
    const bytes = Buffer.from(this.#table.buffer);
    for (let at = 0; at < this.#table.length; at += SLOT_WORDS) {
      const value = this.#table[at + VALUE_WORD]!;
      if (value !== NOTHING) yield [digestFromBytes(bytes.subarray(4 * at)), value - 1];
    }
  }

  #put(at: number, value: number): void {
    const isNew = this.#table[at + VALUE_WORD] === NOTHING;
    this.#table.set(KEY, at);
    this.#table[at + VALUE_WORD] = value + 1;
    if (isNew && ++this.#size * 3 > this.#slots * 2) this.#grow();
  }

  /** Where the key is, or would be. Digests are as good as random: their first word is the hash. */
  #find(): number {
    const table = this.#table;
    for (let slot = KEY[0]! & (this.#slots - 1); ; slot = (slot + 1) & (this.#slots - 1)) {
      const at = slot * SLOT_WORDS;
      if (table[at + VALUE_WORD] === NOTHING) return at;
      let word = 0;
      while (word < VALUE_WORD && table[at + word] === KEY[word]) word++;
      if (word === VALUE_WORD) return at;
    }
  }

  #grow(): void {
    const old = this.#table;
    const slots = this.#slots * 2;
    const table = new Int32Array(slots * SLOT_WORDS);
    for (let from = 0; from < old.length; from += SLOT_WORDS) {
      if (old[from + VALUE_WORD] === NOTHING) continue;
      let slot = old[from]! & (slots - 1);
      while (table[slot * SLOT_WORDS + VALUE_WORD] !== NOTHING) slot = (slot + 1) & (slots - 1);
      // Word by word: a view of each would take ten times as long.
      for (let word = 0; word < SLOT_WORDS; word++) table[slot * SLOT_WORDS + word] = old[from + word]!;
    }
    this.#table = table;
    this.#slots = slots;
  }
}

const FIRST_SLOTS = 1024;
const VALUE_WORD = DIGEST_BYTES / 4;
const SLOT_WORDS = VALUE_WORD + 1;
/** Values are kept one higher. */
const NOTHING = 0;

/** The digest that is looked for. */
const KEY_BYTES = Buffer.alloc(DIGEST_BYTES);
const KEY = new Int32Array(KEY_BYTES.buffer, KEY_BYTES.byteOffset, VALUE_WORD);

function loadKey(digest: Digest): void {
  KEY_BYTES.write(digest, "hex");
}
