import type { Digest } from "./digest.ts";
import { DIGEST_BYTES } from "./digest.ts";

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
    const at = this.#find(this.#table, this.#slots);
    return this.#table[at + VALUE_WORD] === NOTHING ? undefined : (this.#table[at + VALUE_WORD] ?? 0) - 1;
  }

  has(digest: Digest): boolean {
    return this.get(digest) !== undefined;
  }

  /** @param value integer, 0 ≤ value < 2^31 - 1 */
  set(digest: Digest, value: number): void {
    loadKey(digest);
    const at = this.#find(this.#table, this.#slots);
    const isNew = this.#table[at + VALUE_WORD] === NOTHING;
    this.#table.set(KEY, at);
    this.#table[at + VALUE_WORD] = value + 1;
    if (isNew && ++this.#size * 3 > this.#slots * 2) this.#grow();
  }

  /** Gives it the value 0. @returns false if it was there */
  add(digest: Digest): boolean {
    if (this.has(digest)) return false;
    this.set(digest, 0);
    return true;
  }

  /** Where the key is, or would be. Digests are as good as random: their first word is the hash. */
  #find(table: Int32Array, slots: number): number {
    for (let slot = (KEY[0] ?? 0) & (slots - 1); ; slot = (slot + 1) & (slots - 1)) {
      const at = slot * SLOT_WORDS;
      if (table[at + VALUE_WORD] === NOTHING) return at;
      let word = 0;
      while (word < VALUE_WORD && table[at + word] === KEY[word]) word++;
      if (word === VALUE_WORD) return at;
    }
  }

  #grow(): void {
    const slots = this.#slots * 2;
    const table = new Int32Array(slots * SLOT_WORDS);
    for (let at = 0; at < this.#table.length; at += SLOT_WORDS) {
      if (this.#table[at + VALUE_WORD] === NOTHING) continue;
      KEY.set(this.#table.subarray(at, at + VALUE_WORD));
      table.set(this.#table.subarray(at, at + SLOT_WORDS), this.#find(table, slots));
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
