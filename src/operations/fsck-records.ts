import { decodeHistoryEntry, decodeLayer, decodeNameRef } from "../containers/records.ts";
import type { Ref, RefChange } from "../containers/records.ts";
import { refVersion } from "../containers/refs.ts";
import { ChunkIndex } from "../chunks/chunk-index.ts";
import { NEXT_ID_KEY } from "../chunks/value-ids.ts";
import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { idOfKey, KIND, kindRange, slicesOf } from "../format/keys.ts";
import type { Kind } from "../format/keys.ts";
import { openRecord } from "../format/record.ts";
import { isDatabaseError, isUnreadable } from "../kv/kv.ts";
import type { Kv } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { byteString, displayName } from "../model/name.ts";

/** A record of `meta` that cannot be read, or is not what it should be. */
export interface DamagedRecord {
  readonly key: Uint8Array;
  /** null for one that is not there. */
  readonly value: Uint8Array | null;
  readonly kind: Kind | undefined;
  readonly what: string;
  readonly error: StoreError;
  /** Of a name: what the history says that it is. null: that it is gone; undefined: it does not say. */
  readonly known?: Ref | null | undefined;
}

/** What a name meant before or after a change. */
export interface PastRef {
  readonly name: string;
  readonly ref: Ref;
  readonly time: string;
  readonly command: string;
}

export interface CheckedRecords {
  readonly damaged: readonly DamagedRecord[];
  /** What must have been in entries of the history that cannot be read: how names became what they are. */
  readonly untold: readonly RefChange[];
  readonly names: ReadonlyMap<string, Ref>;
  /** Of each state of a name that it has no more, the last change that had it. */
  readonly past: readonly PastRef[];
  readonly records: number;
  readonly index: ChunkIndex;
}

/** Reads all records of `meta`. @param rest called now and then */
export async function checkRecords(
  { meta, chunks }: { readonly meta: Kv; readonly chunks: Kv },
  rest: () => Promise<void> | undefined,
): Promise<CheckedRecords> {
  const check = new RecordCheck(meta);
  for (const kind of KINDS) {
    for await (const [key, value] of rowsOf(meta, kind, (error) => check.unreadable(kind, error))) {
      check.take(kind, key, value);
      const resting = rest();
      if (resting !== undefined) await resting;
    }
  }
  for await (const _ of chunks.keys({ limit: 1 })) check.requireCounter();
  check.compareNames();
  return check;
}

/** As far as LevelDB can read them: what it cannot is told, and what lies behind it is read. */
async function* rowsOf(
  meta: Kv,
  kind: Kind,
  unreadable: (error: unknown) => void,
): AsyncGenerator<readonly [Uint8Array, Uint8Array]> {
  let last: Uint8Array | undefined;
  try {
    for await (const row of meta.iterate(kindRange(kind))) {
      yield row;
      [last] = row;
    }
    return;
  } catch (error) {
    if (!isUnreadable(error) && !isDatabaseError(error)) throw error;
    unreadable(error);
  }
  for (const slice of slicesOf(kind, 256)) {
    if (last !== undefined && Buffer.compare(slice.lt, last) <= 0) continue;
    try {
      for await (const row of meta.iterate(slice))
        if (last === undefined || Buffer.compare(row[0], last) > 0) yield row;
    } catch (error) {
      if (!isUnreadable(error) && !isDatabaseError(error)) throw error;
    }
  }
}

class RecordCheck implements CheckedRecords {
  readonly damaged: DamagedRecord[] = [];
  readonly untold: RefChange[] = [];
  readonly names = new Map<string, Ref>();
  readonly past: PastRef[] = [];
  records = 0;
  readonly index = new ChunkIndex();
  readonly #meta: Kv;
  /** By name: the last change that the history has, the number of its entry first. */
  readonly #last = new Map<string, readonly [number: number, ref: Ref | null]>();
  readonly #pastByVersion = new Map<string, PastRef>();
  /** The newest entry of the history that cannot be read, or is not there. */
  #lastDamaged = -1;
  #nextEntry = 0;
  readonly #badNames = new Map<string, DamagedRecord>();

  constructor(meta: Kv) {
    this.#meta = meta;
  }

  take(kind: Kind, key: Uint8Array, value: Uint8Array): void {
    this.records++;
    const what = describeKey(kind, key);
    try {
      this.#read(kind, key, value, what);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const record = {
        key: Uint8Array.from(key),
        value: Uint8Array.from(value),
        kind,
        what,
        error: error as StoreError,
      };
      if (kind === "history") this.#lastDamaged = Math.max(this.#lastDamaged, numberOf(key));
      if (kind === "ref") this.#badNames.set(byteString(key.subarray(1)), record);
      else this.damaged.push(record);
    }
  }

  unreadable(kind: Kind, cause: unknown): void {
    const [what, reason] = [`records of the kind "${kind}"`, cause instanceof Error ? cause.message : String(cause)];
    const error = new StoreError("FORMAT_INVALID", { record: what, reason }, { cause });
    // Any entry may be among what cannot be read.
    if (kind === "history") this.#lastDamaged = Infinity;
    this.damaged.push({ key: kindRange(kind).gte, value: null, kind: undefined, what, error });
  }

  #read(kind: Kind, key: Uint8Array, value: Uint8Array, what: string): void {
    switch (kind) {
      case "chunk":
        this.index.add(digestIn(key, what), value);
        return;
      case "node":
        requireBytes(digestIn(key, what), value);
        return;
      case "layer":
        requireBytes(digestIn(key, what), value);
        decodeLayer(value, digestIn(key, what));
        return;
      case "ref":
        this.names.set(byteString(key.subarray(1)), decodeNameRef(openRecord(key, value, what), what));
        return;
      case "history":
        this.#readHistory(numberOf(key), key, value, what);
        return;
      case "setting":
        openRecord(key, value, what);
        return;
      case "value": {
        const dead = openRecord(key, value, what);
        if (typeof dead !== "number" || key.length !== NUMBER_KEY_BYTES)
          throw new StoreError("FORMAT_INVALID", { record: what, reason: "is no number" });
        this.index.addDead(numberOf(key), dead);
      }
    }
  }

  #readHistory(number: number, key: Uint8Array, value: Uint8Array, what: string): void {
    // gc drops the oldest ones; of others that are not there nobody knows what was in them.
    if (number !== this.#nextEntry && this.#nextEntry > 0) this.#lastDamaged = number - 1;
    this.#nextEntry = number + 1;
    const { time, command, changes } = decodeHistoryEntry(openRecord(key, value, what), what);
    for (const { name, before, after } of changes) {
      this.#last.set(name, [number, after]);
      for (const ref of [before, after])
        if (ref !== null) this.#pastByVersion.set(refVersion(ref), { name, ref, time, command });
    }
  }

  /** There is a chunk, and before the first one it was written. */
  requireCounter(): void {
    if (this.#meta.getSync(NEXT_ID_KEY) !== undefined) return;
    const what = describeKey("setting", NEXT_ID_KEY);
    const error = new StoreError("FORMAT_INVALID", { record: what, reason: "is lost" });
    this.damaged.push({ key: NEXT_ID_KEY, value: null, kind: "setting", what, error });
  }

  /** A name's record and its history are written together, so each proves what the other is. */
  compareNames(): void {
    for (const [name, record] of this.#badNames) this.damaged.push({ ...record, known: this.#knownOf(name) });
    for (const name of new Set([...this.#last.keys(), ...this.names.keys()])) {
      const ref = this.names.get(name) ?? null;
      const [, last = null] = this.#last.get(name) ?? [];
      if (this.#badNames.has(name) || isSame(ref, last)) continue;
      const known = this.#knownOf(name);
      if (known === undefined) {
        this.untold.push({ name, before: last, after: ref });
        continue;
      }
      const key = Buffer.concat([Buffer.of(KIND.ref), Buffer.from(name, "latin1")]);
      const what = describeKey("ref", key);
      const reason = ref === null ? "is lost" : "is not what the last change of it made";
      const error = new StoreError("FORMAT_INVALID", { record: what, reason });
      this.damaged.push({ key, value: this.#meta.getSync(key) ?? null, kind: "ref", what, error, known });
    }
    const present = new Set(Array.from(this.names.values(), refVersion));
    for (const [version, past] of this.#pastByVersion) if (!present.has(version)) this.past.push(past);
  }

  /** undefined if the history does not tell, or a newer entry of it cannot be read. */
  #knownOf(name: string): Ref | null | undefined {
    const [number, ref] = this.#last.get(name) ?? [-1, undefined];
    return number > this.#lastDamaged ? ref : undefined;
  }
}

function isSame(a: Ref | null, b: Ref | null): boolean {
  return a === null || b === null ? a === b : refVersion(a) === refVersion(b);
}

/** All kinds that there are, history before names. */
const KINDS: readonly Kind[] = ["chunk", "history", "node", "ref", "setting", "value", "layer"];
const NUMBER_KEY_BYTES = 9;
const DIGEST_KEY_BYTES = 33;

function requireBytes(digest: Digest, value: Uint8Array): void {
  const actual = digestOf(value);
  if (actual !== digest) throw new StoreError("NODE_CORRUPT", { digest, actual });
}

function digestIn(key: Uint8Array, record: string): Digest {
  if (key.length === DIGEST_KEY_BYTES) return digestFromBytes(key.subarray(1));
  throw new StoreError("FORMAT_INVALID", { record, reason: "has a key that is none" });
}

function numberOf(key: Uint8Array): number {
  return key.length === NUMBER_KEY_BYTES ? idOfKey(key, 1) : Infinity;
}

function describeKey(kind: Kind, key: Uint8Array): string {
  const rest = key.subarray(1);
  switch (kind) {
    case "chunk":
      return `index entry of chunk ${Buffer.from(rest).toString("hex")}`;
    case "node":
    case "layer":
      return `${kind} ${Buffer.from(rest).toString("hex")}`;
    case "ref":
      return `record of "${displayName(byteString(rest))}"`;
    case "setting":
      return `setting ${displayName(byteString(rest))}`;
    case "history":
      return `history entry ${numberOf(key)}`;
    case "value":
      return `ledger of chunk value ${numberOf(key)}`;
  }
}
