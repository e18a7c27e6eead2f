import { open } from "node:fs/promises";
import type { ContainerRef, LayerRef } from "../containers/records.ts";
import { timestamp } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { formatConfig } from "../lxc/config-file.ts";
import { readContainerDirectory } from "../lxc/container-directory.ts";
import { hooksFile } from "../lxc/hooks.ts";
import type { Digest } from "../model/digest.ts";
import { Turns } from "../sinks/turns.ts";
import type { Store } from "../store.ts";
import { encodeBackupHead, encodeBackupTail } from "../transfer/backup-notes.ts";
import type { BackupDirectory, BackupLayer } from "../transfer/backup-notes.ts";
import { TreeSender } from "../transfer/objects.ts";
import type { SentObjects } from "../transfer/objects.ts";
import { PACKET, PacketWriter } from "../transfer/packets.ts";
import { settleToCopy } from "./capture-running.ts";
import type { Context } from "./context.ts";
import { makeInPlace } from "./export-place.ts";
import { directoryOf } from "./lxc-host.ts";
import { requireContainer } from "./references.ts";
import { settledRef } from "./settle.ts";
import { snapshotsOf } from "./snapshots.ts";

export interface BackupParams {
  /** The container's. */
  readonly name: string;
  /** A file that there is not yet, or `-` for `Context.output`. */
  readonly file: string;
  /** One that runs is frozen for as long as it is read. Default: it is backed up as of its last capture, with a warning. */
  readonly allowRunning?: boolean;
}

export interface BackedUp extends SentObjects {
  readonly name: string;
  readonly digest: Digest;
  readonly file: string;
  readonly snapshots: number;
  readonly fileBytes: number;
}

/**
 * Writes all that a container is to one file: its config, what it stands on, its changes, its snapshots. `restore` takes that in, here
 * or in another store. docs/format.md, "Streams".
 *
 * @throws {StoreError} EXISTS, USAGE for what is no container
 */
export async function backup(context: Context, params: BackupParams): Promise<BackedUp> {
  using _operation = context.store.begin();
  const { store, output } = context;
  const { name, file, allowRunning = false } = params;
  const container = await requireContainer(store, name);
  const ref = allowRunning ? await settleToCopy(context, name, container, true) : await settledContainer(context, name);
  const snapshots = await snapshotsOf(store, name);
  const write = (to: (bytes: Uint8Array) => Promise<void>): Promise<BackedUp> =>
    writeBackup(context, { name, file, ref, snapshots }, to);
  if (file === "-") {
    if (output === undefined) throw new StoreError("USAGE", { reason: "there is no output to write to" });
    return await write(output);
  }
  return await makeInPlace(store, file, "file", async (path) => {
    await using handle = await open(path, "wx", 0o600);
    const written = await write(async (bytes) => {
      for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
    });
    await handle.sync();
    return written;
  });
}

async function settledContainer(context: Context, name: string): Promise<ContainerRef> {
  const settled = await settledRef(context, name);
  if (settled.kind !== "container") throw new StoreError("NOT_FOUND", { what: `no container "${name}" any more` });
  return settled.ref;
}

interface Backup {
  readonly name: string;
  readonly file: string;
  readonly ref: ContainerRef;
  readonly snapshots: readonly (readonly [snapshot: string, ref: LayerRef])[];
}

async function writeBackup(
  context: Context,
  { name, file, ref, snapshots }: Backup,
  output: (bytes: Uint8Array) => Promise<void>,
): Promise<BackedUp> {
  const { store, signal, onProgress } = context;
  let fileBytes = 0;
  const writer = new PacketWriter(async (bytes) => {
    fileBytes += bytes.length;
    await output(bytes);
  });
  const layers = layersOf(store, [
    ...snapshots.map(([, { layer }]) => layer),
    ...(ref.base === null ? [] : [ref.base]),
  ]);
  await writer.put(PACKET.note, encodeBackupHead({ name, created: timestamp() }));
  const sender = new TreeSender(store, writer);
  const turns = new Turns({
    signal,
    onProgress: () => onProgress?.({ phase: "backing up", entries: sender.sent.objects, bytes: sender.sent.bytes }),
  });
  for (const tree of [ref.lower, ...layers.map((layer) => layer.tree), ref.tree])
    await sender.send(tree, () => (turns.due ? turns.rest() : undefined));
  const places = new Map(layers.map(({ digest }, i) => [digest, i]));
  const rows = snapshots.map(([snapshot, { layer, pinned = false }]) => ({
    name: snapshot,
    layer: places.get(layer) ?? 0,
    isPinned: pinned,
  }));
  await writer.put(
    PACKET.note,
    encodeBackupTail({ ref, layers, snapshots: rows, directory: directoryIn(store, name, ref) }),
  );
  await writer.end();
  return { name, digest: ref.tree, file, snapshots: snapshots.length, ...sender.sent, fileBytes };
}

/**
 * These layers and their parents, parents first. Lineage ends there: what is further back is nothing that the container could go
 * back to.
 */
function layersOf(store: Store, layers: readonly Digest[]): BackupLayer[] {
  const wanted = new Set(layers.flatMap((layer) => [layer, store.refs.layer(layer).parent ?? []].flat()));
  const rows: BackupLayer[] = [];
  const places = new Map<Digest, number>();
  const add = (digest: Digest): void => {
    if (places.has(digest)) return;
    const line: Digest[] = [];
    for (
      let at: Digest | null = digest;
      at !== null && wanted.has(at) && !places.has(at);
      at = store.refs.layer(at).parent
    )
      line.push(at);
    for (const digest of line.reverse()) {
      const { parent, ...layer } = store.refs.layer(digest);
      places.set(digest, rows.push({ digest, ...layer, parent: parent === null ? undefined : places.get(parent) }) - 1);
    }
  };
  for (const digest of wanted) add(digest);
  return rows;
}

function directoryIn(store: Store, name: string, ref: ContainerRef): BackupDirectory | undefined {
  const path = directoryOf(name, ref);
  const found = path === undefined ? undefined : readContainerDirectory(path);
  if (path === undefined || found?.type !== "container") return undefined;
  return { path, hooksFile: hooksFile(store.paths), config: formatConfig(found.config) };
}
