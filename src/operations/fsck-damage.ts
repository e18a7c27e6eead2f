import type { CheckedChunks } from "../chunks/chunk-check.ts";
import type { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { DamageSearch } from "../trees/damage-search.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";
import type { CheckedRecords } from "./fsck-records.ts";
import type { DamagedRef, RefCheck } from "./fsck-refs.ts";

/** A thing that is not as it was written. */
export interface Damage {
  readonly kind: "file" | "record" | "node" | "chunk" | "layer" | "upper" | "export" | "accounting";
  readonly what: string;
  readonly reason: string;
}

/** Of files: what did not open as it is, and tables that are not as they were written. */
export function fileDamage({ store }: Context): Damage[] {
  const { meta, chunks } = store.databases;
  const opened = store.damage.filter(({ mended }) => mended === undefined);
  const tables = [...meta.damagedFiles("blocks"), ...chunks.damagedFiles("frames"), ...store.uppers.damagedFiles()];
  return [...opened, ...tables].map(({ file, reason }) => ({ kind: "file", what: file, reason }));
}

/** Of records, also those that no name reaches. */
export function recordDamage(
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

function digestOfKey(key: Uint8Array): Digest {
  return Buffer.from(key.subarray(1)).toString("hex") as Digest;
}

/** Of chunks, nodes and layers. */
export function objectDamage(
  { bad, misdescribed }: CheckedChunks,
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
  for (const id of new Set(misdescribed.values()))
    damage.push({ kind: "record", what: `chunk value ${id}`, reason: "what it says of its chunks is damaged" });
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

/** Of what views changed, with whose that is. */
export async function* upperDamage(
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

const DIGEST_KEY_BYTES = 33;
