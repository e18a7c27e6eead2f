import { appendFileSync, rmSync } from "node:fs";
import { readRows } from "../chunks/chunk-check.ts";
import { plainOf, requireDigest } from "../sys/chunk-frames.ts";
import { NEXT_ID_KEY, reserveIds, safeNextId } from "../chunks/value-ids.ts";
import { setDeadBytes } from "../chunks/value-ledger.ts";
import { encodeHistoryEntry, encodeNameRef } from "../containers/records.ts";
import type { RefChange } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { isStoreError, StoreError } from "../errors.ts";
import { partsOfKey } from "../exports/export-key.ts";
import { encodePlace } from "../format/chunk-value.ts";
import type { FrameRow } from "../format/chunk-value.ts";
import { digestKey, idKey, idOfKey } from "../format/keys.ts";
import { sealRecord } from "../format/record.ts";
import type { Operation } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { displayName } from "../model/name.ts";
import type { Context } from "./context.ts";
import { ExportUsers } from "./export-users.ts";
import { inspect } from "./fsck.ts";
import type { FsckParams, FsckResult, Inspection } from "./fsck.ts";
import type { DamagedRecord } from "./fsck-records.ts";
import { openHealingSources } from "./fsck-sources.ts";
import type { HealingSource, Wanted } from "./fsck-sources.ts";

export interface Fscked extends FsckResult {
  /** What was mended, for people. Empty without `repair`. */
  readonly repaired: readonly string[];
  /** Where what could not be mended, or was taken out, is kept. */
  readonly kept: readonly string[];
}

/**
 * Looks through the store, or what some refs reach of it, and with `repair` mends what can be mended. A damaged thing hides nothing but what
 * is below it.
 *
 * What is damaged is replaced only by what is proven, or told by a record that was written together with it. What nothing can replace
 * any more is taken out if its being there would keep it from being brought in again: a chunk's index entry, a node. It is kept
 * beside the store's databases.
 *
 * A store that does not open is opened for this with `OpenOptions.damaged`.
 *
 * @throws {StoreError} NOT_FOUND for a ref or source that there is not; USAGE; NO_SPACE
 */
export async function fsck(context: Context, params: FsckParams = {}): Promise<Fscked> {
  using _operation = context.store.begin();
  const { refs, repair = false, from = [] } = params;
  if (from.length > 0 && !repair) throw new StoreError("USAGE", { reason: "from is for repair" });
  if (repair && refs !== undefined)
    throw new StoreError("USAGE", { reason: "a store is mended as a whole", hint: "leave out the REFs" });
  const found = await inspect(context, params);
  if (!repair) return resultOf(found, [], []);
  const mending = new Mending(context, found);
  const sources = await openHealingSources(context, from);
  try {
    await mending.run(sources);
  } finally {
    for (const source of sources) await source[Symbol.asyncDispose]();
  }
  const left = await inspect(context, params);
  const kept = [...mending.kept];
  for (const { aside, isWhole, file } of context.store.damage) {
    if (aside === undefined) continue;
    // Chunks prove whether all is there. What was lost of other records with a table or a log nobody can tell.
    const isDone = left.damage.length === 0 && (isWhole || file === context.store.paths.chunks);
    if (isDone) rmSync(aside, { recursive: true, force: true });
    else kept.push(aside);
  }
  return resultOf(left, mending.repaired, kept);
}

function resultOf(inspection: Inspection, repaired: readonly string[], kept: readonly string[]): Fscked {
  const { deep, damage, refs, soundNames, checked, notes } = inspection;
  return { deep, damage, refs, soundNames, checked, notes, repaired, kept };
}

class Mending {
  readonly repaired: string[] = [];
  readonly kept: string[] = [];
  readonly #context: Context;
  readonly #found: Inspection;

  constructor(context: Context, found: Inspection) {
    this.#context = context;
    this.#found = found;
    for (const { file, mended } of context.store.damage)
      if (mended !== undefined) this.repaired.push(`${file}: ${mended}`);
  }

  async run(sources: readonly HealingSource[]): Promise<void> {
    if (this.#found.damage.length === 0 && this.repaired.length === 0) return;
    await this.#mendRecords();
    await this.#moveMisdescribed();
    const left = await this.#healObjects(sources);
    await this.#takeOut(left);
    await this.#mendLedger();
    await this.#mendExports();
  }

  /** Counters, names, history, settings. */
  async #mendRecords(): Promise<void> {
    const { damaged, untold } = this.#found.records;
    const lastEntry = damaged.findLast(({ kind, value }) => kind === "history" && value !== null);
    for (const record of damaged) {
      const changes = record === lastEntry ? untold : [];
      const operation = record.kind === "history" ? historyFor(record, changes) : await this.#operationFor(record);
      if (operation === undefined) continue;
      this.#keep(record);
      await this.#write([operation]);
      const how = operation.type === "put" ? "written anew" : "taken out";
      this.repaired.push(`${record.what}: ${how}`);
    }
  }

  async #operationFor({ kind, key, known, value }: DamagedRecord): Promise<Operation | undefined> {
    const { meta, chunks } = this.#context.store.databases;
    switch (kind) {
      case "ref": {
        if (known === undefined) return undefined;
        const deletion: Operation = { type: "del", key };
        return known === null ? deletion : { type: "put", key, value: sealRecord(key, encodeNameRef(known)) };
      }
      case "setting":
        if (Buffer.compare(key, NEXT_ID_KEY) === 0) return reserveIds(await safeNextId(chunks, meta));
        return { type: "del", key };
      case "value":
        return value === null ? undefined : { type: "del", key };
      case "history":
      case "chunk":
      case "node":
      case "layer":
      case undefined:
        return undefined;
    }
  }

  /** To values that say what they hold. */
  async #moveMisdescribed(): Promise<void> {
    const { store } = this.#context;
    const { misdescribed } = this.#found.chunks;
    if (misdescribed.size === 0) return;
    for (const digest of misdescribed.keys()) {
      store.chunks.heal(store.chunks.get(digest));
      await store.chunks.backpressure();
    }
    await store.flush();
    this.repaired.push(`${misdescribed.size} chunks: moved from values that do not say what they hold`);
  }

  /** @returns what no source had */
  async #healObjects(sources: readonly HealingSource[]): Promise<Wanted> {
    const wanted = wantedIn(this.#found);
    let healed = 0;
    for (let before = -1; sizeOf(wanted) > 0 && sizeOf(wanted) !== before;) {
      before = sizeOf(wanted);
      await this.#reindex(wanted.chunks);
      for (const source of sources) await source.heal(wanted);
      await this.#context.store.flush();
      if (sizeOf(wanted) === before) break;
      healed += before - sizeOf(wanted);
      // What was brought back names what may be missing, too.
      const more = wantedIn(await inspect(this.#context, {}));
      for (const kind of ["nodes", "chunks", "layers"] as const)
        for (const digest of more[kind]) wanted[kind].add(digest);
      before = -1;
    }
    if (healed > 0) this.repaired.push(`${healed} chunks, nodes and layers: brought back`);
    return wanted;
  }

  /** Finds chunks in values, which say themselves what is in them. */
  async #reindex(wanted: Set<Digest>): Promise<void> {
    if (wanted.size === 0) return;
    const { chunks: values, meta } = this.#context.store.databases;
    const before = wanted.size;
    for await (const key of values.keys({})) {
      if (key.length !== ID_BYTES) continue;
      for (const row of readRows(values, idOfKey(key)) ?? []) {
        if (!wanted.has(row.digest) || !this.#isProven(row)) continue;
        wanted.delete(row.digest);
        await meta.write([{ type: "put", key: digestKey("chunk", row.digest), value: encodePlace(row) }]);
      }
      this.#context.signal?.throwIfAborted();
    }
    if (wanted.size === before) return;
    await meta.barrier();
    this.repaired.push(`${before - wanted.size} index entries: written anew from what values say of themselves`);
  }

  #isProven(row: FrameRow): boolean {
    const { databases } = this.#context.store;
    try {
      const stored = databases.chunks.getPartSync(idKey(row.id), row.offset, row.storedBytes);
      if (stored?.length !== row.storedBytes) return false;
      requireDigest(plainOf(stored, row, row.digest, undefined), row.digest);
      return true;
    } catch (error) {
      if (isStoreError(error, "CHUNK_CORRUPT")) return false;
      throw error;
    }
  }

  /** What is there and damaged would keep the same thing, brought in again, from being stored. */
  async #takeOut(left: Wanted): Promise<void> {
    const { records, search, chunks } = this.#found;
    const { store } = this.#context;
    const { meta } = store.databases;
    const operations: Operation[] = [];
    const drop = (key: Uint8Array): void => {
      if (meta.getSync(key) !== undefined) operations.push({ type: "del", key });
    };
    for (const record of records.damaged) {
      if (record.kind !== "node" || record.value === null) continue;
      const digest = Buffer.from(record.key.subarray(1)).toString("hex") as Digest;
      if (!left.nodes.has(digest) && search.reachesNode(digest)) continue;
      this.#keep(record);
      drop(record.key);
    }
    for (const digest of chunks.bad.keys())
      if (left.chunks.has(digest) || !search.reachesChunk(digest)) drop(digestKey("chunk", digest));
    if (operations.length === 0) return;
    await this.#write(operations);
    this.repaired.push(
      `${operations.length} damaged chunks and nodes: taken out, so that they can be brought in again`,
    );
  }

  async #mendLedger(): Promise<void> {
    const { store } = this.#context;
    const { ledger } = (await inspect(this.#context, { deep: false })).chunks;
    const operations = [...ledger].map(([id, dead]) => setDeadBytes(id, dead));
    if (operations.length > 0) this.repaired.push(`${operations.length} ledger records: written anew`);
    // Values that lost their index entries may be any.
    await this.#write([...operations, store.chunks.suspectAll()]);
  }

  async #mendExports(): Promise<void> {
    const { store, signal, onProgress } = this.#context;
    if (this.#found.exports.length === 0) return;
    const users = await ExportUsers.find(this.#context);
    for (const { key, of, reason } of this.#found.exports) {
      if (of === undefined || users.isMounted(key)) continue;
      try {
        await store.exports.repair(of, {
          anew: reason.startsWith("reads as"),
          signal,
          onProgress: (progress) => onProgress?.({ phase: "repairing", ...progress }),
        });
        this.repaired.push(`export ${key}: made anew`);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#context.onWarning?.(`the export of ${partsOfKey(key).tree} cannot be made anew: ${error.message}`);
      }
    }
  }

  async #write(operations: readonly Operation[]): Promise<void> {
    await this.#context.store.databases.meta.write(operations, { sync: true });
  }

  /** Keeps a record's bytes before it is replaced or taken out. */
  #keep({ key, value, what, error }: DamagedRecord): void {
    if (value === null) return;
    const { directory } = this.#context.store.paths;
    const file = `${directory}/damaged-records`;
    const row = { time: new Date().toISOString(), what: displayName(what), reason: error.message };
    const bytes = { key: Buffer.from(key).toString("hex"), value: Buffer.from(value).toString("hex") };
    appendFileSync(file, `${JSON.stringify({ ...row, ...bytes })}\n`, { mode: 0o600 });
    if (!this.kept.includes(file)) this.kept.push(file);
  }
}

/**
 * An entry in the place of one that cannot be read: without it the history would tell something wrong of the names that it changed.
 *
 * @param untold what is known of what was in it
 */
function historyFor({ key, value }: DamagedRecord, untold: readonly RefChange[]): Operation | undefined {
  if (value === null) return undefined;
  const entry = { time: timestamp(), command: "(an entry that was damaged)", changes: untold };
  return { type: "put", key, value: sealRecord(key, encodeHistoryEntry(entry)) };
}

function wantedIn({ chunks, search, badLayers }: Inspection): Wanted {
  const wanted: Wanted = { nodes: new Set(), chunks: new Set(chunks.bad.keys()), layers: new Set(badLayers.keys()) };
  for (const { part } of search.damaged) wanted[part.kind === "chunk" ? "chunks" : "nodes"].add(part.digest);
  return wanted;
}

function sizeOf({ nodes, chunks, layers }: Wanted): number {
  return nodes.size + chunks.size + layers.size;
}

const ID_BYTES = 8;
