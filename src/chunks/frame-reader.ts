import { StoreError } from "../errors.ts";
import { CODEC } from "../format/chunk-value.ts";
import type { Frame, Place } from "../format/chunk-value.ts";
import { idKey } from "../format/keys.ts";
import { isUnreadable } from "../kv/kv.ts";
import type { Kv } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import { RecentValues } from "./recent-values.ts";

/** Reads frames out of values, without proving them. */
export class FrameReader {
  readonly #values: Kv;
  readonly #recent = new RecentValues();
  /** A frame that is being read. */
  readonly #room = new Uint8Array(BLOCK_BYTES);

  /** Borrows `values`. */
  constructor(values: Kv) {
    this.#values = values;
  }

  /**
   * @returns what is borrowed until the next call
   * @throws {StoreError} CHUNK_MISSING; CHUNK_CORRUPT if it cannot be read
   */
  borrow(digest: Digest, place: Place): Frame {
    return this.#frame(digest, place, this.#stored(digest, place, this.#room));
  }

  /**
   * As `borrow`, but a frame that is the chunk itself is the caller's.
   *
   * @param room where that may be put if it fits
   */
  read(digest: Digest, place: Place, room: Uint8Array | undefined): Frame {
    if (place.codec !== CODEC.raw) return this.borrow(digest, place);
    const stored = this.#stored(digest, place, room);
    return this.#frame(digest, place, isAlone(place) ? stored : stored && Uint8Array.from(stored));
  }

  #frame(digest: Digest, { codec, plainBytes, storedBytes }: Place, stored: Uint8Array | undefined): Frame {
    if (stored?.length !== storedBytes) throw new StoreError("CHUNK_MISSING", { digest });
    return { digest, codec, plainBytes, stored };
  }

  /** Of a small frame's value all is read, for its neighbours. */
  #stored(digest: Digest, place: Place, room: Uint8Array | undefined): Uint8Array | undefined {
    const { id, offset, storedBytes } = place;
    const key = idKey(id);
    try {
      if (isAlone(place)) return this.#values.getPartSync(key, offset, storedBytes, room);
      const value = this.#recent.get(id, (space) => this.#values.getPartSync(key, 0, Number.POSITIVE_INFINITY, space));
      return value?.subarray(offset, offset + storedBytes);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      throw new StoreError("CHUNK_CORRUPT", { digest, actual: "nothing: it cannot be read" }, { cause: error });
    }
  }
}

/** A large frame is read by itself. */
function isAlone({ storedBytes }: Place): boolean {
  return storedBytes >= 4 * 1024;
}
