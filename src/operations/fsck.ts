import { setImmediate as turn } from "node:timers/promises";
import { checkChunks } from "../chunks/chunk-check.ts";
import type { CheckedChunks } from "../chunks/chunk-check.ts";
import type { Ref } from "../containers/records.ts";
import { errnoOf, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { DamageSearch } from "../trees/damage-search.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";
import { damagedExports } from "./fsck-exports.ts";
import type { DamagedExport } from "./fsck-exports.ts";
import { checkRecords } from "./fsck-records.ts";
import type { CheckedRecords } from "./fsck-records.ts";
import { RefCheck } from "./fsck-refs.ts";
import type { DamagedRef } from "./fsck-refs.ts";
import { resolveRef } from "./references.ts";
import { parseSnapshotName } from "./snapshots.ts";

export interface FsckParams {
  /** Looks at what these reach, and no further. Default: at the whole store. */
  readonly refs?: readonly string[];
  /** Reads all bytes and proves them. Default: looks whether all is there, and all records can be read. */
  readonly deep?: boolean;
  /** Mends what can be mended. */
  readonly repair?: boolean;
  /** Where `repair` looks for bytes that are lost: directories, tars, other stores. */
  readonly from?: readonly string[];
}

/** A thing that is not as it was written. */
export interface Damage {
  readonly kind: "file" | "record" | "node" | "chunk" | "layer" | "upper" | "export" | "accounting";
  readonly what: string;
  readonly reason: string;
}

export interface FsckResult {
  readonly deep: boolean;
  readonly damage: readonly Damage[];
  /** What the damage hits. */
  readonly refs: readonly DamagedRef[];
  /** How many names it does not hit. */
  readonly soundNames: number;
  readonly checked: {
    readonly names: number;
    readonly records: number;
    readonly nodes: number;
    readonly chunks: number;
    /** Of chunks' frames, and of what is in them. */
    readonly storedBytes: number;
    readonly plainBytes: number;
    readonly exports: number;
  };
  /** What could not be looked at, and what is no damage but should be known. */
  readonly notes: readonly string[];
}

/** A check, with what a repair has to know of it. */
export interface Inspection extends FsckResult {
  readonly records: CheckedRecords;
  readonly chunks: CheckedChunks;
  readonly search: DamageSearch;
  readonly badLayers: ReadonlyMap<Digest, StoreError>;
  readonly exports: readonly DamagedExport[];
}

/**
 * Looks through the store. A damaged thing hides nothing but what is below it, and what it hits is told by names and paths.
 *
 * @throws {StoreError} NOT_FOUND for a ref that there is not
 */
export async function inspect(context: Context, params: FsckParams): Promise<Inspection> {
  const { store } = context;
  const { deep = false } = params;
  const turns = new Rest(context);
  const rest = (): Promise<void> | undefined => turns.due();
  turns.phase = "reading records";
  const records = await checkRecords(store.databases, rest);
  const wanted = params.refs && (await wantedRefs(context, params.refs, records));

  turns.phase = "reading chunks";
  const isWanted = wanted && (await reachedChunks(context, wanted, rest));
  const chunks = await checkChunks(store, { deep, isWanted, rest: (values, bytes) => turns.at(values, bytes) });

  turns.phase = "walking trees";
  const search = new DamageSearch(store.nodes, (digest) => {
    const error = chunks.bad.get(digest);
    if (error !== undefined) return error;
    return store.chunks.isThere(digest) ? undefined : new StoreError("CHUNK_MISSING", { digest });
  });
  const check = new RefCheck(context, search, rest);
  const refs: DamagedRef[] = [];
  const names = wanted ?? [...records.names].map(([name, ref]) => ({ name, ref }));
  let soundNames = 0;
  for (const { name, ref } of names) {
    const hit =
      "tree" in ref ? await check.tree(name, "tree", ref.tree) : await check.ref(name, typeOf(name, ref), ref);
    if (hit === undefined) soundNames++;
    else refs.push(hit);
  }
  const exports: DamagedExport[] = [];
  const damage: Damage[] = [];
  const notes: string[] = [];
  if (wanted === undefined) {
    for (const { name, ref, time, command } of records.past) {
      const hit = await check.ref(name, "past", ref, `${command}, ${time}`);
      if (hit !== undefined) refs.push(hit);
    }
    turns.phase = "looking through exports";
    for await (const found of damagedExports(context, deep, (note) => notes.push(note))) exports.push(found);
    damage.push(...fileDamage(context), ...recordDamage(records, search, check.badLayers));
    damage.push(...exports.map(({ key, reason }): Damage => ({ kind: "export", what: `export ${key}`, reason })));
    for await (const found of upperDamage(context, check, deep)) {
      damage.push(...found.damage);
      if (found.ref !== undefined) refs.push(found.ref);
    }
    for (const [id, dead] of chunks.ledger)
      damage.push({ kind: "accounting", what: `ledger of chunk value ${id}`, reason: `${dead} of its bytes are dead` });
  }
  damage.push(...objectDamage(chunks, search, check.badLayers));
  return {
    deep,
    damage,
    refs,
    soundNames,
    checked: {
      names: names.length,
      records: records.records,
      nodes: search.reached.nodes,
      chunks: chunks.chunks,
      storedBytes: chunks.storedBytes,
      plainBytes: chunks.plainBytes,
      exports: wanted === undefined ? exportsThere(context) : 0,
    },
    notes,
    records,
    chunks,
    search,
    badLayers: check.badLayers,
    exports,
  };
}

async function wantedRefs(
  { store }: Context,
  texts: readonly string[],
  { names }: CheckedRecords,
): Promise<{ name: string; ref: Ref | { readonly tree: Digest } }[]> {
  const wanted = [];
  for (const text of texts) {
    const ref = names.get(text);
    if (ref !== undefined) wanted.push({ name: text, ref });
    else wanted.push({ name: text, ref: { tree: (await resolveRef(store, text)).tree } });
  }
  return wanted;
}

/** @returns whether a chunk is among what these reach */
async function reachedChunks(
  context: Context,
  wanted: readonly { readonly name: string; readonly ref: Ref | { readonly tree: Digest } }[],
  rest: () => Promise<void> | undefined,
): Promise<(digest: Digest) => boolean> {
  const search = new DamageSearch(context.store.nodes, () => undefined);
  const check = new RefCheck(context, search, rest);
  for (const { name, ref } of wanted)
    await ("type" in ref ? check.ref(name, ref.type, ref) : check.tree(name, "tree", ref.tree));
  return (digest) => search.reachesChunk(digest);
}

function typeOf(name: string, ref: Ref): DamagedRef["type"] {
  return parseSnapshotName(name) === undefined ? ref.type : "snapshot";
}

function fileDamage({ store }: Context): Damage[] {
  const { meta, chunks } = store.databases;
  const opened = store.damage.filter(({ mended }) => mended === undefined);
  const tables = [...meta.damagedFiles("blocks"), ...chunks.damagedFiles("frames"), ...store.uppers.damagedFiles()];
  return [...opened, ...tables].map(({ file, reason }) => ({ kind: "file", what: file, reason }));
}

/** What no name reaches, too. */
function recordDamage(
  { damaged }: CheckedRecords,
  search: DamageSearch,
  badLayers: ReadonlyMap<Digest, StoreError>,
): Damage[] {
  return damaged.flatMap(({ kind, key, what, error }): Damage[] => {
    // Those that are reached are told with what they hit.
    const digest = key.length === DIGEST_KEY_BYTES ? digestOfKey(key) : undefined;
    if (digest !== undefined && kind === "node" && search.reachesNode(digest)) return [];
    if (digest !== undefined && (kind === "chunk" || badLayers.has(digest))) return [];
    const isObject = kind === "node" || kind === "layer";
    return [{ kind: isObject ? kind : "record", what, reason: reasonOf(error) }];
  });
}

const DIGEST_KEY_BYTES = 33;

function digestOfKey(key: Uint8Array): Digest {
  return Buffer.from(key.subarray(1)).toString("hex") as Digest;
}

function objectDamage(
  { bad }: CheckedChunks,
  search: DamageSearch,
  badLayers: ReadonlyMap<Digest, StoreError>,
): Damage[] {
  const damage: Damage[] = [];
  for (const { part, error } of search.damaged)
    damage.push({
      kind: part.kind === "chunk" ? "chunk" : "node",
      what: `${part.kind === "chunk" ? "chunk" : "node"} ${part.digest}`,
      reason: reasonOf(error),
    });
  for (const [digest, error] of bad)
    if (!search.reachesChunk(digest))
      damage.push({ kind: "chunk", what: `chunk ${digest}`, reason: `${reasonOf(error)}; nothing reaches it` });
  for (const [digest, error] of badLayers)
    damage.push({ kind: "layer", what: `layer ${digest}`, reason: reasonOf(error) });
  return damage;
}

/** Without what it is of. */
function reasonOf(error: StoreError): string {
  const { code } = error;
  if (code === "CHUNK_MISSING" || code === "NODE_MISSING") return "is missing";
  if (code === "CHUNK_CORRUPT" || code === "NODE_CORRUPT") return "is damaged";
  return "reason" in error.details ? (error.details as { reason: string }).reason : error.message;
}

async function* upperDamage(
  { store }: Context,
  check: RefCheck,
  deep: boolean,
): AsyncGenerator<{ readonly damage: readonly Damage[]; readonly ref: DamagedRef | undefined }> {
  for await (const [name, header] of store.uppers.headers()) {
    const what = `what views changed of ${name}`;
    if (header === undefined) {
      const reason = "its record is damaged";
      const ref = { name, type: "upper" as const, paths: [{ path: null, of: "tree", reason }], morePaths: 0 };
      yield { damage: [{ kind: "upper", what, reason }], ref };
      continue;
    }
    const base = await check.tree(name, "upper", header.base);
    if (base !== undefined) {
      yield { damage: [], ref: base };
      continue;
    }
    const found = await store.uppers.damage(name, deep);
    if (found.length === 0) continue;
    const paths = found.map(({ path, error }) => {
      const place = path === undefined || path === "" ? { path: null } : describePath("path", `/${path}`);
      return { ...place, of: "tree", reason: error.message };
    });
    yield {
      damage: found.map(({ error }) => ({ kind: "upper", what, reason: error.message })),
      ref: { name, type: "upper", paths, morePaths: 0 },
    };
  }
}

function exportsThere({ store }: Context): number {
  try {
    return store.exports.keys().length;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return 0;
  }
}

/** Turns for others, and progress. */
class Rest {
  phase = "";
  readonly #context: Context;
  #next = 0;
  #entries = 0;
  #bytes = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  at(entries: number, bytes: number): Promise<void> | undefined {
    this.#entries = entries;
    this.#bytes = bytes;
    return this.due();
  }

  due(): Promise<void> | undefined {
    if (Date.now() < this.#next) return undefined;
    this.#next = Date.now() + TURN_MS;
    return this.#rest();
  }

  async #rest(): Promise<void> {
    const { onProgress, signal } = this.#context;
    onProgress?.({ phase: this.phase, entries: this.#entries, bytes: this.#bytes });
    await turn();
    signal?.throwIfAborted();
  }
}

const TURN_MS = 50;
