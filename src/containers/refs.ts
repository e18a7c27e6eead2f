import type { SweepOptions, Swept } from "../chunks/node-store.ts";
import { StoreError } from "../errors.ts";
import { digestOf } from "../format/blake3.ts";
import { digestKey, historyKey, idOfKey, kindRange, nameKey, namePrefixRange } from "../format/keys.ts";
import { pack } from "../format/packing.ts";
import { bodyText, isIntact, openRecord, sealRecord } from "../format/record.ts";
import type { Kv, Operation } from "../kv/kv.ts";
import { digestFromBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import {
  decodeHistoryEntry,
  decodeLayer,
  decodeNameRef,
  encodeHistoryEntry,
  encodeLayer,
  encodeNameRef,
} from "./records.ts";
import type { ChangeCause, HistoryEntry, KeptFile, Layer, Ref, RefChange } from "./records.ts";

/** The names of a store and where each has pointed. */
export class Refs {
  readonly #meta: Kv;
  #nextEntry: number;

  private constructor(meta: Kv, nextEntry: number) {
    this.#meta = meta;
    this.#nextEntry = nextEntry;
  }

  /** Borrows `meta`. */
  static async open(meta: Kv): Promise<Refs> {
    let next = 0;
    for await (const key of meta.keys({ ...kindRange("history"), reverse: true, limit: 1 })) next = idOfKey(key, 1) + 1;
    return new Refs(meta, next);
  }

  /** @throws {StoreError} FORMAT_INVALID if its record is damaged */
  find(name: string): Ref | undefined {
    // A key would keep the low byte of such a char alone, and find another's record.
    if (/[^\x20-\x7e]/.test(name)) return undefined;
    const bytes = this.#meta.getSync(nameKey("ref", name));
    return bytes && decodeRecord(name, bytes);
  }

  /** True for a container of that name whose LXC directory is in `lxcPath`, and which has come to that generation. */
  has(name: string, lxcPath: string, generation = 0): boolean {
    const ref = this.find(name);
    return ref?.type === "container" && ref.lxcPath === lxcPath && ref.generation >= generation;
  }

  /**
   * All names, or those with this beginning, in byte order, over one consistent state. A damaged record is handed to `damaged`
   * and left out.
   */
  async list(
    damaged: (name: string, error: StoreError) => void,
    prefix = "",
  ): Promise<(readonly [name: string, ref: Ref])[]> {
    const found: (readonly [name: string, ref: Ref])[] = [];
    // What one command made has the same record under each name: that is decoded once.
    const known = new Map<string, Ref>();
    for await (const rows of this.#meta.textBatches(namePrefixRange("ref", prefix)))
      for (const [key, bytes] of rows) {
        const name = key.slice(1);
        try {
          const body = bodyText(bytes);
          let ref = known.get(body);
          if (ref === undefined || !isIntact(key, bytes)) {
            ref = decodeRecord(name, bytes);
            if (known.size === MOST_KNOWN) known.clear();
            known.set(body, ref);
          }
          found.push([name, ref]);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          damaged(name, error as StoreError);
        }
      }
    return found;
  }

  /** @throws {StoreError} NODE_MISSING, NODE_CORRUPT, FORMAT_INVALID */
  layer(digest: Digest): Layer {
    const layer = this.findLayer(digest);
    if (layer === undefined) throw new StoreError("NODE_MISSING", { digest });
    return layer;
  }

  /** @throws {StoreError} NODE_CORRUPT, FORMAT_INVALID */
  findLayer(digest: Digest): Layer | undefined {
    const bytes = this.#meta.getSync(digestKey("layer", digest));
    if (bytes === undefined) return undefined;
    const actual = digestOf(bytes);
    if (actual !== digest) throw new StoreError("NODE_CORRUPT", { digest, actual });
    return decodeLayer(bytes, digest);
  }

  /** The tree that a name shows. */
  treeOf(ref: Ref): Digest {
    return ref.type === "layer" ? this.layer(ref.layer).tree : ref.tree;
  }

  /** All changes of names, the newest first. */
  async *history(): AsyncGenerator<HistoryEntry & { readonly number: number }> {
    for await (const [key, bytes] of this.#meta.iterate({ ...kindRange("history"), reverse: true })) {
      yield decodeNumbered(key, bytes);
    }
  }

  /**
   * All changes of one name, the newest first; of a container also those before it got the name, by the names that it had. What has
   * nothing to do with it is passed by at 2 µs an entry, unread.
   */
  async *historyOf(name: string): AsyncGenerator<NameChange> {
    let wanted = name;
    // It stands in the record as it is, with its length, which in a command it does not.
    let packed = pack(wanted);
    for await (const [key, bytes] of this.#meta.iterate({ ...kindRange("history"), reverse: true })) {
      if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(packed)) continue;
      const { number, time, command, changes } = decodeNumbered(key, bytes);
      const change = changes.find((change) => change.name === wanted);
      if (change === undefined) continue;
      const { from = wanted, after, byItself = false } = change;
      const origin = from === wanted ? change : changes.find((change) => change.name === from);
      yield {
        number,
        time,
        command,
        byItself,
        name: wanted,
        from,
        before: origin?.before ?? null,
        after,
        files: origin?.files ?? [],
      };
      if (from === wanted) continue;
      wanted = from;
      packed = pack(wanted);
    }
  }

  /** True if a change of names was done by this request, which is not older than the history of these last changes. */
  async hasRequest(request: string): Promise<boolean> {
    let left = REMEMBERED_REQUESTS;
    for await (const entry of this.history()) {
      // What it took away or captured on its way is not yet what was asked for.
      if (entry.request === request && !entry.changes.every(({ byItself }) => byItself)) return true;
      if (--left === 0) return false;
    }
    return false;
  }

  /** Takes what names meant, and containers by the names that they had before, out of the history: nothing brings it back then. */
  async forget(names: Iterable<string>): Promise<void> {
    const forgotten = new Map<number, Set<string>>();
    for (const wanted of names) {
      for await (const { number, name, from } of this.historyOf(wanted)) {
        const found = forgotten.get(number) ?? new Set();
        forgotten.set(number, found.add(name).add(from));
      }
    }
    const operations: Operation[] = [];
    for (const [number, names] of forgotten) {
      const key = historyKey(number);
      const bytes = this.#meta.getSync(key);
      if (bytes === undefined) continue;
      const entry = decodeNumbered(key, bytes);
      const changes = entry.changes.filter(({ name }) => !names.has(name));
      if (changes.length === 0) operations.push({ type: "del", key });
      else operations.push({ type: "put", key, value: sealRecord(key, encodeHistoryEntry({ ...entry, changes })) });
    }
    await this.#meta.write(operations, { sync: true });
  }

  /** Forgets changes of names that are older, durably: what they named may be deleted then. @returns how many there are */
  async dropHistory(before: string, { dryRun }: Pick<SweepOptions, "dryRun">): Promise<number> {
    let count = 0;
    for await (const entry of this.history()) {
      if (entry.time >= before) continue;
      count++;
      if (!dryRun) await this.#meta.write([{ type: "del", key: historyKey(entry.number) }]);
    }
    if (!dryRun && count > 0) await this.#meta.barrier();
    return count;
  }

  /** Deletes the layers that are not live; or only counts them. @param isLive asked right before one is deleted */
  async sweepLayers(isLive: (digest: Digest) => boolean, { dryRun, signal }: SweepOptions): Promise<Swept> {
    const swept: Swept = { count: 0, bytes: 0, kept: 0 };
    for await (const [key, { length }] of this.#meta.iterate(kindRange("layer"))) {
      signal?.throwIfAborted();
      if (isLive(digestFromBytes(key.subarray(1)))) {
        swept.kept++;
        continue;
      }
      swept.count++;
      swept.bytes += length;
      if (!dryRun) await this.#meta.write([{ type: "del", key }]);
    }
    return swept;
  }

  /**
   * Changes names, writes the history of it, and syncs: one batch, all or nothing, safe from a power cut on return.
   * What the new refs and layers name must be durable before. One call at a time: `Store.change` sees to that.
   *
   * @throws {StoreError} EXISTS, REFUSED if a name is no more as `before` has it
   */
  async change(cause: ChangeCause, changes: readonly RefChange[], layers: readonly Layer[] = []): Promise<void> {
    const { command, request } = cause;
    const historyAt = historyKey(this.#nextEntry);
    const entry = encodeHistoryEntry({
      time: timestamp(),
      command,
      ...(request !== undefined && { request }),
      changes,
    });
    const operations: Operation[] = [{ type: "put", key: historyAt, value: sealRecord(historyAt, entry) }];
    for (const layer of layers) {
      const value = encodeLayer(layer);
      operations.push({ type: "put", key: digestKey("layer", digestOf(value)), value });
    }
    for (const { name, before, after } of changes) {
      const key = nameKey("ref", name);
      this.#requireUnchanged(name, key, before);
      operations.push(
        after === null ? { type: "del", key } : { type: "put", key, value: sealRecord(key, encodeNameRef(after)) },
      );
    }
    await this.#meta.write(operations, { sync: true });
    this.#nextEntry++;
  }

  #requireUnchanged(name: string, key: Uint8Array, before: Ref | null): void {
    const bytes = this.#meta.getSync(key);
    if (before === null && bytes === undefined) return;
    if (before === null)
      throw new StoreError("EXISTS", { what: `"${name}" exists by now`, hint: "choose another name" });
    if (bytes !== undefined && Buffer.compare(bytes, sealRecord(key, encodeNameRef(before))) === 0) return;
    throw new StoreError("REFUSED", { reason: `"${name}" was changed meanwhile`, hint: "try again" });
  }
}

/** A change of a name, with when and by what. */
export interface NameChange extends Pick<HistoryEntry, "time" | "command"> {
  /** Of the entry: the higher the later. */
  readonly number: number;
  readonly byItself: boolean;
  readonly name: string;
  /** What it was named before; mostly the same. */
  readonly from: string;
  readonly before: Ref | null;
  readonly after: Ref | null;
  readonly files: readonly KeptFile[];
}

/** The digest that names a layer. */
export function layerDigest(layer: Layer): Digest {
  return digestOf(encodeLayer(layer));
}

/** Another one for each other record. */
export function refVersion(ref: Ref): string {
  return digestOf(pack(encodeNameRef(ref))).slice(0, VERSION_DIGITS);
}

const VERSION_DIGITS = 32;

/** Of different records, of which what others have is remembered. */
const MOST_KNOWN = 1000;

/** Whoever asks again does so within seconds. */
const REMEMBERED_REQUESTS = 10_000;

/** Now, as RFC 3339 in UTC with nanoseconds (of which the clock gives milliseconds). */
export function timestamp(): string {
  return new Date().toISOString().replace("Z", "000000Z");
}

function decodeNumbered(key: Uint8Array, bytes: Uint8Array): HistoryEntry & { readonly number: number } {
  const number = idOfKey(key, 1);
  const record = `history entry ${number}`;
  return { number, ...decodeHistoryEntry(openRecord(key, bytes, record), record) };
}

function decodeRecord(name: string, bytes: Uint8Array): Ref {
  return decodeNameRef(openRecord(nameKey("ref", name), bytes, recordOf(name)), recordOf(name));
}

function recordOf(name: string): string {
  return `record of "${name}"`;
}
