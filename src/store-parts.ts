import { existsSync, rmSync } from "node:fs";
import { ChunkStore } from "./chunks/chunk-store.ts";
import { ContentStore } from "./chunks/content-store.ts";
import { NodeStore } from "./chunks/node-store.ts";
import { refVersion, Refs } from "./containers/refs.ts";
import { compressionLevel, Settings } from "./containers/settings.ts";
import { asStoreError, isStoreError, StoreError } from "./errors.ts";
import { sweepPartials } from "./exports/partials.ts";
import { SharedExports } from "./exports/shared-exports.ts";
import { FORMAT_VERSION } from "./format/record.ts";
import { FSCK } from "./kv/intact.ts";
import { Kv } from "./kv/kv.ts";
import { Reserve } from "./kv/reserve.ts";
import { recoverStagings } from "./lxc/staging.ts";
import { BlockCache } from "./overlay/block-cache.ts";
import { LowerTrees } from "./overlay/lower-tree.ts";
import { Uppers } from "./overlay/uppers.ts";
import { openDamagedParts, removeSalvaged } from "./store-damage.ts";
import type { OpenDamage, Purpose } from "./store-damage.ts";
import { checkFormat, findStore, lockStore, noteOwner, prepareDirectory } from "./store-directory.ts";
import { StorePaths } from "./store-paths.ts";
import { removeTemporaries, writeFileDurably } from "./sys/durable.ts";
import type { Lock } from "./sys/lock.ts";
import { TreeStore } from "./trees/tree-store.ts";

export interface OpenOptions {
  /** Makes the store if there is none. Default: false. */
  readonly create?: boolean;
  /** How long to wait for another process that has it open. Default: 30. */
  readonly waitSeconds?: number;
  /** What is being done, for whoever waits for this process. */
  readonly command?: string;
  /** What was noticed and is no error. */
  readonly onWarning?: (warning: string) => void;
  /**
   * For `fsck`: opens what is damaged as far as can be, and neither ends nor takes away what killed processes have left. `mend`
   * puts what can be salvaged of a database in its place.
   */
  readonly damaged?: Purpose;
  /** Of the store, held by the caller, who passes it on. */
  readonly lock?: Lock;
}

/** The databases of chunks, and of all else but uppers. */
export interface Databases {
  readonly meta: Kv;
  readonly chunks: Kv;
}

/** What a store consists of, open and wired. */
export interface StoreParts {
  readonly paths: StorePaths;
  /** Its records, for those who look through all of them. */
  readonly databases: Databases;
  /** What of it did not open as it is. */
  readonly damage: readonly OpenDamage[];
  readonly chunks: ChunkStore;
  readonly content: ContentStore;
  readonly nodes: NodeStore;
  readonly trees: TreeStore;
  readonly lowers: LowerTrees;
  readonly blocks: BlockCache;
  readonly refs: Refs;
  readonly settings: Settings;
  readonly exports: SharedExports;
  /** What containers changed that is in no tree yet. */
  readonly uppers: Uppers;
  readonly reserve: Reserve;
}

type Owned = Disposable | AsyncDisposable;

/** The parts of a store, to be closed by `closeAll`. */
export interface OpenParts {
  readonly parts: StoreParts;
  readonly owned: readonly Owned[];
}

/** @throws as `Store.open` */
export async function openParts(directory: string, options: OpenOptions): Promise<OpenParts> {
  const { damaged } = options;
  const owned: Owned[] = [];
  try {
    const parts =
      damaged === undefined
        ? await openSound(directory, options, owned)
        : await openAny(directory, damaged, options, owned);
    return { parts, owned };
  } catch (error) {
    await closeAll(owned);
    const failure = asStoreError(error, `opening the store ${directory}`);
    throw damaged === undefined ? withRemedy(failure) : failure;
  }
}

/** The last opened first; the lock on the store goes last, whatever becomes of the others. */
export async function closeAll(owned: readonly Owned[]): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  for (const resource of owned.toReversed())
    try {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    } catch (error) {
      failure ??= { error };
    }
  if (failure !== undefined) throw failure.error;
}

/** @param owned gets what is opened, at once */
async function openSound(directory: string, options: OpenOptions, owned: Owned[]): Promise<StoreParts> {
  const { create = false, waitSeconds = 30, command = "a program", onWarning } = options;
  const paths = new StorePaths(findStore(directory, create));
  owned.push(options.lock ?? (await lockStore(paths, waitSeconds)));
  const isNew = !existsSync(paths.format);
  if (!isNew) checkFormat(paths);
  else if (create) prepareDirectory(paths);
  else throw new StoreError("STORE_MISSING", { directory: paths.directory });
  noteOwner(paths, command);
  const databases = await openDatabases(paths, isNew, owned);
  if (isNew) {
    await databases.meta.barrier();
    await databases.chunks.barrier();
    writeFileDurably(paths.format, `delta0 store\nformat ${FORMAT_VERSION}\n`, 0o600);
    rmSync(paths.initialising);
  }
  const settings = new Settings(databases.meta);
  const [refs, chunks] = await Promise.all([
    Refs.open(databases.meta),
    ChunkStore.open(databases.chunks, databases.meta, { level: () => compressionLevel(settings) }),
  ]);
  const wired = wire(paths, databases, chunks, refs);
  if (!isStoreError(refusalOf(databases), "NOT_PERMITTED")) tidy(wired, onWarning);
  const uppers = await Uppers.open(paths.uppers, wired);
  owned.push(uppers);
  await dropFolded(uppers, refs, onWarning);
  return { ...wired, uppers, damage: [] };
}

/** Both at once: most of it is waiting for the disk. */
async function openDatabases(paths: StorePaths, create: boolean, owned: Owned[]): Promise<Databases> {
  const opening = [
    Kv.open(paths.meta, { create }),
    Kv.open(paths.chunks, { create, writeBufferBytes: CHUNK_WRITE_BUFFER_BYTES }),
  ] as const;
  for (const opened of await Promise.allSettled(opening)) if (opened.status === "fulfilled") owned.push(opened.value);
  const [meta, chunks] = await Promise.all(opening);
  return { meta, chunks };
}

/** As `openSound`, of a store that may be damaged. */
async function openAny(directory: string, purpose: Purpose, options: OpenOptions, owned: Owned[]): Promise<StoreParts> {
  const { waitSeconds = 30, command = "a program" } = options;
  const paths = new StorePaths(findStore(directory, false, true));
  owned.push(options.lock ?? (await lockStore(paths, waitSeconds)));
  noteOwner(paths, command);
  removeSalvaged(paths);
  owned.push({ [Symbol.dispose]: () => removeSalvaged(paths) });
  const opened = await openDamagedParts(paths, purpose, { writeBufferBytes: CHUNK_WRITE_BUFFER_BYTES });
  owned.push(opened.meta, opened.chunks);
  const refs = await Refs.open(opened.meta);
  const chunks = await ChunkStore.open(opened.chunks, opened.meta, { isDamaged: true });
  const wired = wire(paths, { meta: opened.meta, chunks: opened.chunks }, chunks, refs);
  const uppers = await Uppers.open(opened.uppers, wired, { pieces: `${paths.uppers}.pieces`, isDamaged: true });
  owned.push(uppers);
  return { ...wired, uppers, damage: opened.damage };
}

type Wired = Omit<StoreParts, "uppers" | "damage">;

function wire(paths: StorePaths, databases: Databases, chunks: ChunkStore, refs: Refs): Wired {
  const nodes = new NodeStore(databases.meta, chunks.claims);
  const content = new ContentStore(chunks, nodes);
  const trees = new TreeStore(nodes, chunks.claims);
  // Nodes that name chunks which could not be written must not be either.
  chunks.claims.onIdle = () => {
    if (chunks.forgetFailure()) nodes.forgetPending();
  };
  return {
    paths,
    databases,
    chunks,
    content,
    nodes,
    trees,
    lowers: new LowerTrees(trees),
    blocks: new BlockCache(chunks, nodes),
    refs,
    settings: new Settings(databases.meta),
    exports: new SharedExports(paths, trees, content),
    reserve: new Reserve(paths.reserve),
  };
}

/** Ends or takes away what killed processes have left. */
function tidy({ paths, databases, refs, exports, reserve }: Wired, onWarning: OpenOptions["onWarning"]): void {
  const { staging, partials, directory, manifests, lxc } = paths;
  for (const { directory, error } of recoverStagings(staging, refs))
    onWarning?.(`${directory} could not be put in order: ${messageOf(error)}`);
  for (const { registration, error } of sweepPartials(partials))
    onWarning?.(`${registration} leads to what is left of an unfinished export: ${messageOf(error)}`);
  for (const place of [directory, manifests, lxc]) removeTemporaries(place);
  exports.sweep();
  if (refusalOf(databases) === undefined) reserve.keep();
}

/** Why nothing could be written when that was last tried, as far as is known: NO_SPACE, NOT_PERMITTED, EIO. */
export function refusalOf({ meta, chunks }: Databases): Error | undefined {
  return meta.refusal ?? chunks.refusal;
}

/** An upper over what is not the record any more is one that was folded, or whose container is gone. */
async function dropFolded(uppers: Uppers, refs: Refs, onWarning: OpenOptions["onWarning"]): Promise<void> {
  for await (const [name, header] of uppers.headers()) {
    if (header === undefined) onWarning?.(`${name}: what was changed of it last cannot be read: its upper is damaged`);
    else if (uppers.refusal === undefined && !isVersion(refs, name, header.version)) await uppers.drop(name);
  }
}

/** True also where that cannot be told. */
function isVersion(refs: Refs, name: string, version: string): boolean {
  try {
    const ref = refs.find(name);
    return ref !== undefined && refVersion(ref) === version;
  } catch (error) {
    if (isStoreError(error, "FORMAT_INVALID") || isStoreError(error, "FORMAT_NEWER")) return true;
    throw error;
  }
}

function withRemedy(error: unknown): unknown {
  if (!isStoreError(error, "FORMAT_INVALID") || error.hint !== undefined) return error;
  return new StoreError("FORMAT_INVALID", { ...error.details, hint: FSCK }, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * So large are the tables, too, each of which is synced. After a full disk, LevelDB needs as much room, twice, to open again.
 * docs/design.md, "Storage".
 */
const CHUNK_WRITE_BUFFER_BYTES = 4 << 20;
