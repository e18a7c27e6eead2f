import { isStoreError } from "../errors.ts";
import { decodeChunkValue, decodePlace } from "../format/chunk-value.ts";
import type { Frame } from "../format/chunk-value.ts";
import { digestKey, idKey, idOfKey, kindRange } from "../format/keys.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import type { ChunkPlaces } from "./chunk-places.ts";
import type { SweepOptions, Swept } from "./node-store.ts";
import type { ValueLedger } from "./value-ledger.ts";
import type { ValueWriter } from "./value-writer.ts";

/** What a collection did, or would do, with chunks. `bytes` are those of their frames. */
export interface SweptChunks extends Swept {
  /** Chunk values that nothing is left of. */
  values: number;
  /** Frames' bytes that had to be written again, for more than half of their value was dead. */
  movedBytes: number;
}

/** What a sweep works with; all is the chunk store's. */
export interface SweepParts {
  readonly places: ChunkPlaces;
  readonly writer: ValueWriter;
  readonly values: Kv;
  readonly meta: Kv;
  readonly ledger: ValueLedger;
}

/**
 * Deletes the index entries of all chunks that are not kept, then the values that nothing is left of, and writes anew what is left of
 * those that are mostly dead. May end at any time, by a kill too: what is left is left for the next.
 *
 * The index is read whole, at 1 µs a chunk; of the values only those that are written anew, and those that nothing may lead to.
 *
 * @param isKept asked right before one is deleted
 */
export async function sweepChunks(
  parts: SweepParts,
  isKept: (digest: Digest) => boolean,
  options: SweepOptions,
): Promise<SweptChunks> {
  const swept: SweptChunks = { count: 0, bytes: 0, kept: 0, values: 0, movedBytes: 0 };
  const dead = await parts.ledger.dead();
  const live = await sweepIndex(parts, isKept, options, dead, swept);
  const gone = [...dead.keys()].filter((id) => !live.has(id));
  for (const id of await orphans(parts, live)) if (!dead.has(id)) gone.push(id);
  const wasteful = [...live].filter(([id, bytes]) => (dead.get(id) ?? 0) > bytes);
  swept.values = gone.length;
  swept.movedBytes = wasteful.reduce((sum, [, bytes]) => sum + bytes, 0);
  if (options.dryRun) return swept;
  // An entry that came back after a power cut would say of a chunk that it is there, and whoever puts it would not store it.
  if (gone.length > 0) await parts.meta.barrier();
  await removeValues(parts, gone);
  // What is moved takes room before it gives any back.
  const isShort = parts.values.freeBytes < SHORT_OF_BYTES;
  if (isShort) await compactValues(parts, gone.sort(rising), options.signal);
  const moved = await moveLive(parts, wasteful.map(([id]) => id).sort(rising), options.signal);
  await compactValues(parts, [...(isShort ? [] : gone), ...moved].sort(rising), options.signal);
  await parts.meta.write([parts.ledger.clearSuspects()]);
  return swept;
}

/** @returns the bytes of live frames in each value */
async function sweepIndex(
  { places, meta, ledger }: SweepParts,
  isKept: (digest: Digest) => boolean,
  { dryRun, signal }: SweepOptions,
  dead: Map<number, number>,
  swept: SweptChunks,
): Promise<Map<number, number>> {
  const live = new Map<number, number>();
  const keep = ({ id, storedBytes }: Found): void => {
    live.set(id, (live.get(id) ?? 0) + storedBytes);
    swept.kept++;
  };
  /** Digests lie in no order: of many at once the ledger writes each value's row once. */
  let unwanted: Found[] = [];
  const condemn = async (): Promise<void> => {
    const condemned: Digest[] = [];
    const touched = new Set<number>();
    for (const chunk of unwanted) {
      // Somebody may have come to need it meanwhile.
      if (isKept(chunk.digest)) {
        keep(chunk);
        continue;
      }
      const { digest, id, storedBytes } = chunk;
      dead.set(id, (dead.get(id) ?? 0) + storedBytes);
      condemned.push(digest);
      touched.add(id);
      swept.count++;
      swept.bytes += storedBytes;
    }
    unwanted = [];
    if (dryRun || condemned.length === 0) return;
    await places.condemn(
      condemned,
      [...touched].map((id) => ledger.setDead(id, dead.get(id) ?? 0)),
    );
  };
  for await (const rows of meta.batches(kindRange("chunk"))) {
    signal?.throwIfAborted();
    for (const [key, bytes] of rows) {
      const digest = digestFromBytes(key.subarray(1));
      const { id, storedBytes } = decodePlace(bytes, digest);
      const chunk = { digest, id, storedBytes };
      if (isKept(digest)) keep(chunk);
      else unwanted.push(chunk);
    }
    if (unwanted.length >= CONDEMNED_AT_ONCE) await condemn();
  }
  await condemn();
  return live;
}

/** An entry of the index. */
interface Found {
  readonly digest: Digest;
  readonly id: number;
  readonly storedBytes: number;
}

/** Values that no index entry leads to, nor ever did. */
async function orphans({ values, ledger }: SweepParts, live: ReadonlyMap<number, number>): Promise<number[]> {
  const found: number[] = [];
  for (const { from, to } of ledger.suspects) {
    for await (const key of values.keys({ gte: idKey(from), lt: idKey(to) }))
      if (!live.has(idOfKey(key))) found.push(idOfKey(key));
  }
  return found;
}

/** The ledger still tells of them: their room is not given back yet. */
async function removeValues({ values }: SweepParts, ids: readonly number[]): Promise<void> {
  for (let i = 0; i < ids.length; i += DELETED_AT_ONCE) {
    const deletions = ids.slice(i, i + DELETED_AT_ONCE).map((id): Operation => ({ type: "del", key: idKey(id) }));
    // What the ledger forgets while its value stays would never be found again.
    await values.write(deletions, { sync: true });
  }
}

/** @returns those that are gone then; a damaged one stays, for whoever may mend it */
async function moveLive(parts: SweepParts, ids: readonly number[], signal?: AbortSignal): Promise<number[]> {
  const { places, writer, meta } = parts;
  const moved: number[] = [];
  let done: number[] = [];
  let frames: Frame[] = [];
  let bytes = 0;
  const write = async (): Promise<void> => {
    if (frames.length > 0) await writer.write(frames);
    frames = [];
    bytes = 0;
  };
  /** The index leads to the new ones, whatever happens, before the old ones go. */
  const finish = async (): Promise<void> => {
    await write();
    await places.index();
    await meta.barrier();
    await removeValues(parts, done);
    moved.push(...done);
    done = [];
  };
  for (const id of ids) {
    signal?.throwIfAborted();
    const left = liveFrames(parts, id);
    if (left === undefined) continue;
    for (const frame of left) {
      frames.push(frame);
      bytes += frame.stored.length;
      if (bytes >= MOVED_VALUE_BYTES) await write();
    }
    done.push(id);
    if (done.length === VALUES_AT_ONCE) await finish();
  }
  if (done.length > 0) await finish();
  return moved;
}

/** @returns undefined if it cannot be read */
function liveFrames({ values, meta }: SweepParts, id: number): Frame[] | undefined {
  const value = values.getSync(idKey(id));
  if (value === undefined) return [];
  try {
    return decodeChunkValue(id, value).filter(({ digest }) => {
      const place = meta.getSync(digestKey("chunk", digest));
      return place !== undefined && decodePlace(place, digest).id === id;
    });
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    return undefined;
  }
}

/**
 * Has LevelDB give back the room of values that were deleted, a slice at a time. Only then the ledger forgets them: a disk that is too full
 * for it is no reason never to try again.
 *
 * @param ids in rising order
 */
async function compactValues(
  { values, meta, ledger }: SweepParts,
  ids: readonly number[],
  signal?: AbortSignal,
): Promise<void> {
  let slice: number[] = [];
  for (const id of [...ids, Number.MAX_SAFE_INTEGER]) {
    const [first = id, last = id] = [slice[0], slice.at(-1)];
    if (id - last > NEIGHBOURS || id - first > SLICE_IDS) {
      signal?.throwIfAborted();
      await values.compact({ gte: idKey(first), lt: idKey(last + 1) });
      await meta.write(slice.map((id) => ledger.setDead(id, 0)));
      slice = [];
    }
    slice.push(id);
  }
}

const rising = (a: number, b: number): number => a - b;
const DELETED_AT_ONCE = 1000;
const CONDEMNED_AT_ONCE = 10_000;
const SHORT_OF_BYTES = 128 << 20;
const MOVED_VALUE_BYTES = 128 * 1024;
/** Values that are moved between two barriers: at most 32 MiB. */
const VALUES_AT_ONCE = 256;
/** A table of LevelDB holds about as many values; slices nearer than that would rewrite the same ones. */
const NEIGHBOURS = 32;
/** About 64 MiB. */
const SLICE_IDS = 512;
