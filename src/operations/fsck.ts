import { ChunkCheck } from "../chunks/chunk-check.ts";
import type { CheckedChunks } from "../chunks/chunk-check.ts";
import type { Ref } from "../containers/records.ts";
import { errnoOf, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { DamageSearch } from "../trees/damage-search.ts";
import type { Context } from "./context.ts";
import { fileDamage, objectDamage, recordDamage, upperDamage } from "./fsck-damage.ts";
import type { Damage } from "./fsck-damage.ts";
import { damagedExports } from "./fsck-exports.ts";
import type { DamagedExport } from "./fsck-exports.ts";
import { checkRecords } from "./fsck-records.ts";
import type { CheckedRecords } from "./fsck-records.ts";
import { RefCheck } from "./fsck-refs.ts";
import type { DamagedRef } from "./fsck-refs.ts";
import { resolveRef } from "./references.ts";
import { parseSnapshotName } from "./snapshots.ts";
import { Turns } from "./turns.ts";

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
  const turns = new Turns(context);
  const rest = (): Promise<void> | undefined => turns.due();
  using check = new ChunkCheck(store, { deep, rest: (values, bytes) => turns.at(values, bytes) });
  turns.phase = "reading records";
  const records = await checkRecords(store.databases, rest);
  const wanted = params.refs && (await wantedRefs(context, params.refs, records));

  turns.phase = "reading chunks";
  const isWanted = wanted && (await reachedChunks(context, wanted, rest));
  await check.compare(records.index, isWanted);

  // While chunks are proven: most stores have no bad ones.
  turns.phase = "walking trees";
  let walked = await walk(context, wanted, records, NO_ERRORS, rest);
  const exports: DamagedExport[] = [];
  const damage: Damage[] = [];
  const notes: string[] = [];
  if (wanted === undefined) {
    turns.phase = "looking through exports";
    for await (const found of damagedExports(context, deep, (note) => notes.push(note))) exports.push(found);
    damage.push(...fileDamage(context));
  }
  turns.phase = "proving chunks";
  const chunks = await check.result();
  if (chunks.bad.size > 0) walked = await walk(context, wanted, records, chunks.bad, rest);
  const { search, refCheck, refs, soundNames } = walked;

  if (wanted === undefined) {
    damage.push(...recordDamage(records, search, refCheck.badLayers));
    damage.push(...exports.map(({ key, reason }): Damage => ({ kind: "export", what: `export ${key}`, reason })));
    for await (const found of upperDamage(context, refCheck, deep)) {
      damage.push(...found.damage);
      if (found.ref !== undefined) refs.push(found.ref);
    }
    for (const [id, dead] of chunks.ledger)
      damage.push({ kind: "accounting", what: `ledger of chunk value ${id}`, reason: `${dead} of its bytes are dead` });
  }
  damage.push(...objectDamage(chunks, search, refCheck.badLayers));
  return {
    deep,
    damage,
    refs,
    soundNames,
    checked: {
      names: wanted?.length ?? records.names.size,
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
    badLayers: refCheck.badLayers,
    exports,
  };
}

type WantedRef = { readonly name: string; readonly ref: Ref | { readonly tree: Digest } };

interface Walked {
  readonly search: DamageSearch;
  readonly refCheck: RefCheck;
  /** That are hit. */
  readonly refs: DamagedRef[];
  readonly soundNames: number;
}

/** Finds what of `wanted` is hit, or of all that names mean and meant. @param bad chunks that cannot be read, as far as is known */
async function walk(
  context: Context,
  wanted: readonly WantedRef[] | undefined,
  { names, past, index }: CheckedRecords,
  bad: ReadonlyMap<Digest, StoreError>,
  rest: () => Promise<void> | undefined,
): Promise<Walked> {
  const { nodes, chunks } = context.store;
  const search = new DamageSearch(nodes, (digest) => {
    const isThere = index.numberOf(digest) !== undefined || chunks.isThere(digest);
    return bad.get(digest) ?? (isThere ? undefined : new StoreError("CHUNK_MISSING", { digest }));
  });
  const refCheck = new RefCheck(context, search, rest);
  const refs: DamagedRef[] = [];
  let soundNames = 0;
  for (const { name, ref } of wanted ?? Array.from(names, ([name, ref]) => ({ name, ref }))) {
    const hit =
      "tree" in ref ? await refCheck.tree(name, "tree", ref.tree) : await refCheck.ref(name, typeOf(name, ref), ref);
    if (hit === undefined) soundNames++;
    else refs.push(hit);
  }
  for (const { name, ref, time, command } of wanted === undefined ? past : []) {
    const hit = await refCheck.ref(name, "past", ref, `${command}, ${time}`);
    if (hit !== undefined) refs.push(hit);
  }
  return { search, refCheck, refs, soundNames };
}

async function wantedRefs(
  { store }: Context,
  texts: readonly string[],
  { names }: CheckedRecords,
): Promise<WantedRef[]> {
  const wanted: WantedRef[] = [];
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
  wanted: readonly WantedRef[],
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

function exportsThere({ store }: Context): number {
  try {
    return store.exports.keys().length;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return 0;
  }
}

const NO_ERRORS: ReadonlyMap<Digest, StoreError> = new Map();
