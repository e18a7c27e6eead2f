import { setImmediate as turn } from "node:timers/promises";
import type { SweptChunks } from "../chunks/chunk-sweep.ts";
import type { Swept } from "../chunks/node-store.ts";
import type { Marker } from "../containers/marker.ts";
import { StoreError } from "../errors.ts";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { exportsNamedIn } from "./foreign.ts";
import { directoryOf } from "./lxc-host.ts";
import { requireDuration } from "../model/duration.ts";
import { removeTemporaries } from "../sys/durable.ts";
import { isDamage } from "./references.ts";
import { markRoot, roots } from "./roots.ts";
import type { RootsOptions } from "./roots.ts";
import { storeBytes } from "./store-bytes.ts";
import { sweepExports } from "./sweep-exports.ts";

export interface GcParams {
  /** For how long what a name meant is kept after it was changed or removed: "2h", "14d", "0". Default: the setting. */
  readonly grace?: string;
  /** Tells what would go, and removes nothing. */
  readonly dryRun?: boolean;
  /** Only if it is likely to be worth it: a day after the last one, or once the store has grown by a tenth since. */
  readonly auto?: boolean;
}

export interface Collected {
  /** By `auto`: then nothing was looked at. */
  readonly skipped: boolean;
  readonly graceSeconds: number;
  /** Changes of names that are forgotten. */
  readonly historyEntries: number;
  readonly exports: number;
  readonly layers: Swept;
  readonly nodes: Swept;
  readonly chunks: SweptChunks;
  /** Accounted bytes: of nodes, and of chunks' frames. */
  readonly freedBytes: number;
}

/**
 * Removes what no name reaches and whose grace is over, and has the room on disk given back. Imports and clones may run beside it: what
 * they look into and put is kept. It may be interrupted at any time: what it did not get to is left for the next.
 *
 * @throws {StoreError} REFUSED if a collection runs already; what damage says, of what a name reaches: then nothing is removed
 */
export async function gc(context: Context, params: GcParams = {}): Promise<Collected> {
  const { store, signal } = context;
  const { dryRun = false } = params;
  const graceMs = requireDuration(params.grace ?? store.settings.find("gc.grace") ?? DEFAULT_GRACE);
  if (params.auto === true && !isDue(context)) return { ...NOTHING, graceSeconds: graceMs / 1000 };
  using _room = dryRun ? undefined : await store.makeRoom();
  const since = new Date(Date.now() - graceMs).toISOString();
  if (!dryRun) await sweepTemporaries(context);
  const { removed } = await sweepExports(context, { ...(params.grace !== undefined && { graceMs }), dryRun });
  const collect = (): Promise<Collected> =>
    store.collect(async (marker) => {
      await markAll(context, marker, { since, withoutExports: new Set(removed) });
      const options = { dryRun, signal };
      const historyEntries = await store.refs.dropHistory(since, options);
      context.onProgress?.({ phase: "sweeping", entries: 0, bytes: 0 });
      const chunks = await store.chunks.sweep((digest) => marker.hasChunk(digest), options);
      const nodes = await store.nodes.sweep((digest) => marker.hasNode(digest), options);
      const layers = await store.refs.sweepLayers((digest) => marker.hasLayer(digest), options);
      if (!dryRun) await compactRecords(context, { chunk: chunks, node: nodes });
      if (!dryRun) await store.settings.set("gc.last", `${new Date().toISOString()} ${storeBytes(store)}`);
      return {
        skipped: false,
        graceSeconds: graceMs / 1000,
        historyEntries,
        exports: removed.length,
        layers,
        nodes,
        chunks,
        freedBytes: nodes.bytes + chunks.bytes,
      };
    });
  return await aside(context, collect);
}

/**
 * To give back the room of their records all of a kind are rewritten: where few of them went, that waits until more have. What waits is
 * noted, or many small collections would never do it.
 */
async function compactRecords(
  { store, signal }: Context,
  swept: Readonly<Record<"chunk" | "node", Swept>>,
): Promise<void> {
  const noted = store.settings.find("gc.waiting")?.split(" ").map(Number) ?? [];
  const waiting: number[] = [];
  for (const [i, kind] of (["chunk", "node"] as const).entries()) {
    const { count, kept } = swept[kind];
    const dead = count + (noted[i] ?? 0);
    const isDue = dead > 0 && dead * LEAST_DEAD_RECORDS >= kept;
    if (isDue) await store.compactRecords(kind, dead + kept, signal);
    waiting.push(isDue ? 0 : dead);
  }
  await store.settings.set("gc.waiting", waiting.join(" "));
}

/** What killed processes were writing beside containers' configs. */
async function sweepTemporaries({ store }: Context): Promise<void> {
  for (const [name, ref] of await store.refs.list(() => undefined)) {
    const directory = ref.type === "container" ? directoryOf(name, ref) : undefined;
    const isOurs = directory !== undefined && exportsNamedIn(store, `${directory}/config`).length > 0;
    if (isOurs) removeTemporaries(directory);
  }
}

/** Lets others in between roots. */
async function markAll(context: Context, marker: Marker, options: RootsOptions): Promise<void> {
  let entries = 0;
  for await (const root of roots(context, options)) {
    context.signal?.throwIfAborted();
    context.onProgress?.({ phase: "marking", entries: ++entries, bytes: 0 });
    try {
      markRoot(marker, root);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const what = "name" in root ? `"${root.name}"` : `the export ${root.key}`;
      throw new StoreError(
        "REFUSED",
        { reason: `${what} reaches what is damaged (${error.message}): nothing was collected`, hint: "delta0 fsck" },
        { cause: error },
      );
    }
    if (entries % ROOTS_BETWEEN_TURNS === 0) await turn();
  }
}

function isDue({ store }: Context): boolean {
  const [time, bytes] = store.settings.find("gc.last")?.split(" ") ?? [];
  if (time === undefined) return true;
  return Date.now() - Date.parse(time) > DAY_MS || storeBytes(store) > Number(bytes) * 1.1 + LEAST_GROWTH_BYTES;
}

const NONE_SWEPT: Swept = { count: 0, bytes: 0, kept: 0 };
const NOTHING: Collected = {
  skipped: true,
  graceSeconds: 0,
  historyEntries: 0,
  exports: 0,
  layers: NONE_SWEPT,
  nodes: NONE_SWEPT,
  chunks: { ...NONE_SWEPT, values: 0, movedBytes: 0 },
  freedBytes: 0,
};
/** One of so many that are left. */
const LEAST_DEAD_RECORDS = 8;
const DAY_MS = 24 * 3600 * 1000;
const LEAST_GROWTH_BYTES = 64 << 20;
const DEFAULT_GRACE = "14d";
const ROOTS_BETWEEN_TURNS = 16;
