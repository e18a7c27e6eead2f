import { decodePlace } from "../format/chunk-value.ts";
import type { Codec, Place } from "../format/chunk-value.ts";
import type { Digest } from "../model/digest.ts";
import { DigestMap } from "../model/digest-map.ts";

/**
 * The index of chunks and the ledger as they were when they were read, in memory: about 130 bytes a chunk. Who asks several times for
 * each chunk takes a quarter of the time that asking LevelDB takes.
 */
export class ChunkIndex {
  readonly #numbers = new DigestMap();
  /** `PLACE_NUMBERS` for each, `NO_ID` first where the entry cannot be read. */
  readonly #places: number[] = [];
  readonly #dead = new Map<number, number>();

  /**
   * @param entry as the database has it
   * @throws {StoreError} FORMAT_INVALID; that there is an entry is known all the same
   */
  add(digest: Digest, entry: Uint8Array): void {
    const at = this.#places.length;
    this.#numbers.set(digest, at / PLACE_NUMBERS);
    this.#places.push(NO_ID, 0, 0, 0, 0);
    const { id, offset, storedBytes, plainBytes, codec } = decodePlace(entry, digest);
    this.#places[at] = id;
    this.#places[at + 1] = offset;
    this.#places[at + 2] = storedBytes;
    this.#places[at + 3] = plainBytes;
    this.#places[at + 4] = codec;
  }

  addDead(id: number, bytes: number): void {
    this.#dead.set(id, bytes);
  }

  /** Of a value, as the ledger has it. */
  deadBytes(id: number): number {
    return this.#dead.get(id) ?? 0;
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** Counted from 0 in the order of `add`; undefined for a chunk that there is no entry of. */
  numberOf(digest: Digest): number | undefined {
    return this.#numbers.get(digest);
  }

  /** @returns undefined for an entry that cannot be read */
  place(number: number): Place | undefined {
    const places = this.#places;
    const at = number * PLACE_NUMBERS;
    if (places[at] === NO_ID) return undefined;
    return {
      id: places[at]!,
      offset: places[at + 1]!,
      storedBytes: places[at + 2]!,
      plainBytes: places[at + 3]!,
      codec: places[at + 4]! as Codec,
    };
  }

  [Symbol.iterator](): Iterator<readonly [digest: Digest, number: number]> {
    return this.#numbers[Symbol.iterator]();
  }
}

const PLACE_NUMBERS = 5;
const NO_ID = -1;
