import type { Layer, LayerRef } from "../containers/records.ts";
import { layerDigest } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { renamedConfig } from "../lxc/clone-config.ts";
import { appendValue, parseConfig, parseSetting, removeSettings, setValue } from "../lxc/config-file.ts";
import type { ConfigFile } from "../lxc/config-file.ts";
import { hooksFile } from "../lxc/hooks.ts";
import { withSettings } from "../lxc/template.ts";
import type { Digest } from "../model/digest.ts";
import { Turns } from "../sinks/turns.ts";
import { ByteReader } from "../sources/byte-reader.ts";
import type { Store } from "../store.ts";
import { decodeBackupHead, decodeBackupTail } from "../transfer/backup-notes.ts";
import type { BackupDirectory, BackupTail } from "../transfer/backup-notes.ts";
import { ObjectReceiver } from "../transfer/objects.ts";
import { damaged, PACKET, PacketReader } from "../transfer/packets.ts";
import { TreeCheck } from "../transfer/tree-check.ts";
import type { Context } from "./context.ts";
import { sweepNames } from "./ephemeral.ts";
import { lxcPathFor, newConfig, requireFreeDirectory } from "./lxc-host.ts";
import type { LxcParams } from "./lxc-host.ts";
import { makeContainers } from "./make-containers.ts";
import { isRefName, requireFree } from "./references.ts";
import { snapshotRefName } from "./snapshots.ts";
import { openSourceFile } from "./source.ts";
import { asStreamFailure } from "./stream-failure.ts";

export interface RestoreParams extends Omit<LxcParams, "idMap"> {
  /** What `backup` wrote, or `-` for `Context.input`. */
  readonly file: string;
  /** Default: the name that the container had. */
  readonly name?: string;
}

export interface RestoredBackup {
  readonly name: string;
  readonly digest: Digest;
  readonly snapshots: readonly string[];
  readonly lxcPath: string | null;
  /** When the backup was made. */
  readonly created: string;
}

/**
 * Makes the container that a backup is of, with its snapshots, as it was. It is there once all of the backup is read and proven.
 *
 * Its config is the backup's, with what that has on the host run: hooks, mounts. Whoever restores a backup trusts who made it.
 *
 * @throws {StoreError} EXISTS; SOURCE_INVALID for a file that is damaged or no backup, saying where; FORMAT_NEWER
 */
export async function restore(context: Context, params: RestoreParams): Promise<RestoredBackup> {
  using _operation = context.store.begin();
  const { store, input } = context;
  const { file } = params;
  const lxcPath = lxcPathFor(store, params);
  const stream = file === "-" ? input : openSourceFile(file);
  if (stream === undefined) throw new StoreError("USAGE", { reason: "there is no input to read" });
  const bytes = new ByteReader(stream);
  try {
    const { head, name, tail } = await readBackup(context, bytes, params, lxcPath);
    await makeRestored(context, name, tail, params, lxcPath);
    const snapshots = tail.snapshots.map((snapshot) => snapshot.name);
    return { name, digest: tail.ref.tree, snapshots, lxcPath, created: head.created };
  } catch (error) {
    throw asStreamFailure(error, file, "nothing was restored");
  } finally {
    await bytes.close();
  }
}

/** Reads all of it. No name leads to anything of it yet. */
async function readBackup(
  context: Context,
  bytes: ByteReader,
  params: RestoreParams,
  lxcPath: string | null,
): Promise<{ head: ReturnType<typeof decodeBackupHead>; name: string; tail: BackupTail }> {
  const { store, signal, onProgress } = context;
  const packets = await PacketReader.open(bytes);
  const first = await packets.next();
  if (first.kind !== PACKET.note) throw damaged(first.at);
  const head = decodeBackupHead(first.payload);
  const name = params.name ?? head.name;
  await sweepNames(context, [name]);
  // Before gigabytes are read.
  requireFree(store, name, "name another: delta0 restore FILE NAME");
  if (lxcPath !== null) requireFreeDirectory(lxcPath, name);

  const receiver = new ObjectReceiver(store, () => store.flush());
  const turns = new Turns({
    signal,
    onProgress: ({ entries, bytes }) => onProgress?.({ phase: "restoring", entries, bytes }),
  });
  let packet = await packets.next();
  for (; packet.kind !== PACKET.note; packet = await packets.next()) {
    await receiver.take(packet);
    turns.entries++;
    turns.bytes = bytes.position;
    if (turns.due) await turns.rest();
  }
  const tail = decodeBackupTail(packet.payload);
  if (!tail.snapshots.every((snapshot) => isRefName(snapshot.name))) throw damaged(packet.at);
  const last = await packets.next();
  if (last.kind !== PACKET.end || (await bytes.take(1)).length > 0) throw damaged(last.at);
  await requireTrees(store, tail, turns);
  return { head, name, tail };
}

async function requireTrees(store: Store, { ref, layers }: BackupTail, turns: Turns): Promise<void> {
  const check = new TreeCheck(store);
  let before: Digest[] = [];
  for (const tree of [ref.lower, ...layers.map(({ tree }) => tree), ref.tree]) {
    await check.require(tree, before, () => (turns.due ? turns.rest() : undefined));
    before = [tree];
  }
}

async function makeRestored(
  context: Context,
  name: string,
  tail: BackupTail,
  params: RestoreParams,
  lxcPath: string | null,
): Promise<void> {
  const { store } = context;
  const { ref, snapshots, directory } = tail;
  const { layers, digests } = layersFor(store, tail);
  const others = snapshots.map((snapshot) => {
    const layer = digests[snapshot.layer];
    if (layer === undefined) throw new Error("a snapshot of no layer");
    const after: LayerRef = { type: "layer", layer, ...(snapshot.isPinned && { pinned: true as const }) };
    return { name: snapshotRefName({ container: name, snapshot: snapshot.name }), before: null, after };
  });
  const base = digests[tail.layers.findIndex(({ digest }) => digest === ref.base)] ?? null;
  const { labels, ephemeral, expires, identityPending, idMap, created, captured } = ref;
  await makeContainers(context, {
    names: [name],
    origin: { base, lower: ref.lower, tree: ref.tree },
    labels,
    traits: { ephemeral, expires, identityPending, idMap, created, captured },
    lxcPath,
    configOf: (name, rootfs) => configFor(store, name, rootfs, directory, params, lxcPath ?? ""),
    layers,
    others,
  });
}

/** The layers that this store lacks, with what of their lineage there is, and the digest of each of the backup's here. */
function layersFor(store: Store, { layers: rows }: BackupTail): { layers: Layer[]; digests: Digest[] } {
  const layers: Layer[] = [];
  const digests: Digest[] = [];
  for (const { digest, parent, tree, created, message, source } of rows) {
    if (store.refs.findLayer(digest)?.tree === tree) {
      digests.push(digest);
      continue;
    }
    const layer: Layer = { tree, parent: (parent !== undefined && digests[parent]) || null, created, message, source };
    layers.push(layer);
    digests.push(layerDigest(layer));
  }
  return { layers, digests };
}

function configFor(
  store: Store,
  name: string,
  rootfs: string,
  directory: BackupDirectory | undefined,
  params: RestoreParams,
  lxcPath: string,
): ConfigFile {
  if (directory === undefined || params.config !== undefined) return newConfig(store, name, rootfs, params);
  const before = removeSettings(
    parseConfig(directory.config),
    ({ key, value }) => key === "lxc.rootfs.path" || (key === "lxc.include" && value === directory.hooksFile),
  );
  const moved = renamedConfig(before, {
    originalName: directory.path.slice(directory.path.lastIndexOf("/") + 1),
    originalDirectory: directory.path,
    name,
    directory: `${lxcPath}/${name}`,
  });
  const ours = appendValue(setValue(moved, "lxc.rootfs.path", rootfs), "lxc.include", hooksFile(store.paths));
  return withSettings(ours, (params.settings ?? []).map(parseSetting));
}
