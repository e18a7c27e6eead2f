import { encodeChunkValue } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import { idKey } from "../format/keys.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import type { ChunkPlaces, Placed } from "./chunk-places.ts";
import type { ValueLedger } from "./value-ledger.ts";

/** Packs frames to values of about 128 KiB, and writes these under rising ids, so that LevelDB's tables never overlap. */
export class ValueWriter {
  readonly #values: Kv;
  readonly #ledger: ValueLedger;
  readonly #places: ChunkPlaces;

  /** Borrows all. */
  constructor(values: Kv, ledger: ValueLedger, places: ChunkPlaces) {
    this.#values = values;
    this.#ledger = ledger;
    this.#places = places;
  }

  /**
   * All in one batch, in values of about the same size, in order. They are found from then on.
   *
   * @param room where the values are put as far as they fit; borrowed until it is done
   */
  async write(frames: readonly Frame[], room?: Buffer): Promise<void> {
    const storedBytes = frames.reduce((sum, { stored }) => sum + stored.length, 0);
    const valueBytes = storedBytes / Math.max(Math.round(storedBytes / VALUE_BYTES), 1);
    const operations: Operation[] = [];
    const placed: Placed[] = [];
    let left = room;
    let first = 0;
    let bytes = 0;
    for (const [i, { stored }] of frames.entries()) {
      bytes += stored.length;
      if (bytes < valueBytes && i + 1 < frames.length) continue;
      const held = frames.slice(first, i + 1);
      const id = await this.#ledger.begin();
      const { value, places } = encodeChunkValue(id, held, left);
      operations.push({ type: "put", key: idKey(id), value });
      for (const [n, { digest }] of held.entries()) placed.push([digest, places[n]!]);
      left = left?.subarray(value.length);
      first = i + 1;
      bytes = 0;
    }
    await this.#values.write(operations);
    this.#places.add(placed);
  }
}

const VALUE_BYTES = 128 * 1024;
