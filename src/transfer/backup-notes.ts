import type { ContainerRef, Layer } from "../containers/records.ts";
import { decodeNameRef, encodeNameRef } from "../containers/records.ts";
import { TupleReader } from "../format/node.ts";
import { pack, unpack } from "../format/packing.ts";
import { FORMAT_VERSION, requireVersion } from "../format/record.ts";
import { digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { isName } from "../model/name.ts";

/** What a backup begins with. */
export interface BackupHead {
  /** The container's name. */
  readonly name: string;
  /** When it was made, RFC 3339. */
  readonly created: string;
}

/** A layer of a backup: as it was where it comes from, and what of its lineage is in the backup. */
export interface BackupLayer extends Omit<Layer, "parent"> {
  readonly digest: Digest;
  /** Among the layers before this one; undefined if that is not in the backup, or there is none. */
  readonly parent: number | undefined;
}

export interface BackupSnapshot {
  readonly name: string;
  /** Among the layers. */
  readonly layer: number;
  readonly isPinned: boolean;
}

/** The LXC directory that a container had. */
export interface BackupDirectory {
  /** Where it was: LXCPATH/NAME. */
  readonly path: string;
  /** What its config took in for the sake of our hooks. */
  readonly hooksFile: string;
  readonly config: Uint8Array;
}

/** What a backup ends with, after the trees. */
export interface BackupTail {
  readonly ref: ContainerRef;
  readonly layers: readonly BackupLayer[];
  /** In the order in which people count them. */
  readonly snapshots: readonly BackupSnapshot[];
  /** Undefined for a container without one. */
  readonly directory: BackupDirectory | undefined;
}

export function encodeBackupHead({ name, created }: BackupHead): Buffer {
  return pack([FORMAT_VERSION, "backup", name, created]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeBackupHead(bytes: Uint8Array): BackupHead {
  const t = open(bytes, "backup");
  const head = { name: t.text(), created: t.text() };
  t.end();
  return head;
}

export function encodeBackupTail({ ref, layers, snapshots, directory }: BackupTail): Buffer {
  const layerRows = layers.map(({ digest, tree, parent = -1, created, message, source }) => [
    digestToBytes(digest),
    digestToBytes(tree),
    parent,
    created,
    message,
    source,
  ]);
  const snapshotRows = snapshots.map(({ name, layer, isPinned }) => [name, layer, isPinned ? 1 : 0]);
  const files = directory === undefined ? null : [directory.path, directory.hooksFile, Buffer.from(directory.config)];
  return pack([FORMAT_VERSION, "container", encodeNameRef(ref), layerRows, snapshotRows, files]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeBackupTail(bytes: Uint8Array): BackupTail {
  const t = open(bytes, "container");
  const ref = decodeNameRef(t.next(), RECORD);
  if (ref.type !== "container") throw t.invalid("is of no container");
  const layers = t.list().map((row, i) => decodeLayerRow(row, i));
  const snapshots = t.list().map((row) => decodeSnapshotRow(row, layers.length));
  const files = t.next();
  t.end();
  if (new Set(snapshots.map(({ name }) => name)).size < snapshots.length) throw t.invalid("has a snapshot twice");
  if (ref.base !== null && !layers.some(({ digest }) => digest === ref.base)) throw t.invalid("lacks its base");
  return { ref, layers, snapshots, directory: files === null ? undefined : decodeDirectory(files) };
}

const RECORD = "the backup";

function decodeLayerRow(row: unknown, index: number): BackupLayer {
  const t = new TupleReader(row, RECORD);
  const [digest, tree] = [t.digest(), t.digest()];
  const parent = t.integer(-1, index - 1);
  const layer = { digest, tree, created: t.text(), message: t.text(), source: t.text() };
  t.end();
  return { ...layer, parent: parent < 0 ? undefined : parent };
}

function decodeSnapshotRow(row: unknown, layers: number): BackupSnapshot {
  const t = new TupleReader(row, RECORD);
  const name = t.text();
  if (!isName(name)) throw t.invalid("has a snapshot without a name");
  const snapshot = { name, layer: t.integer(0, layers - 1), isPinned: t.integer(0, 1) === 1 };
  t.end();
  return snapshot;
}

function decodeDirectory(tuple: unknown): BackupDirectory {
  const t = new TupleReader(tuple, RECORD);
  const directory = { path: t.text(), hooksFile: t.text(), config: t.bytes() };
  t.end();
  return directory;
}

function open(bytes: Uint8Array, kind: string): TupleReader {
  const t = new TupleReader(unpack(bytes, RECORD), RECORD);
  requireVersion(t.next(), RECORD);
  if (t.next() !== kind) throw t.invalid(`has no ${kind} where one should be`);
  return t;
}
