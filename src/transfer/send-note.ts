import type { ContainerRef, Layer } from "../containers/records.ts";
import { decodeNameRef, encodeNameRef } from "../containers/records.ts";
import { layerDigest } from "../containers/refs.ts";
import { StoreError } from "../errors.ts";
import { TupleReader } from "../format/node.ts";
import { pack, unpack } from "../format/packing.ts";
import { FORMAT_VERSION, requireVersion } from "../format/record.ts";
import { digestToBytes } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";

/** A state that whoever receives a stream has. */
export interface SentBase {
  /** As the sender calls it, for people. */
  readonly ref: string;
  /** Its tree, and those of what it was made from. */
  readonly trees: readonly Digest[];
}

/** A layer with its digest, which its record and so that of its parent make. */
export interface SentLayer {
  readonly digest: Digest;
  readonly layer: Layer;
}

export interface SentSnapshot {
  readonly name: string;
  /** Among the layers. */
  readonly layer: Digest;
  readonly isPinned: boolean;
}

/** What is named where it comes to. */
export type SentItem =
  | {
      readonly type: "layer";
      /** null: it has none of its own. */
      readonly name: string | null;
      /** Among the layers. */
      readonly layer: Digest;
      readonly isPinned: boolean;
    }
  | {
      readonly type: "container";
      readonly name: string;
      /** Its base is among the layers. */
      readonly ref: ContainerRef;
      /** In the order in which people count them. */
      readonly snapshots: readonly SentSnapshot[];
    };

/** What goes from one store to another, but for the trees. */
export interface Sent {
  readonly bases: readonly SentBase[];
  /** All that items stand for, and their lineage; parents first. */
  readonly layers: readonly SentLayer[];
  readonly items: readonly SentItem[];
}

/** The trees of all that, each once, those that others were made from first, with the nearest of these. */
export function sentTrees({ layers, items }: Pick<Sent, "layers" | "items">): Map<Digest, Digest | undefined> {
  const trees = new Map<Digest, Digest | undefined>();
  const add = (tree: Digest, from: Digest | undefined): void => {
    if (!trees.has(tree)) trees.set(tree, from);
  };
  const treeOf = new Map(layers.map(({ digest, layer }) => [digest, layer.tree]));
  for (const { layer } of layers) add(layer.tree, layer.parent === null ? undefined : treeOf.get(layer.parent));
  for (const item of items) {
    if (item.type !== "container") continue;
    const { base, lower, tree } = item.ref;
    add(lower, base === null ? undefined : treeOf.get(base));
    add(tree, lower);
  }
  return trees;
}

export function encodeSent({ bases, layers, items }: Sent): Buffer {
  const places = new Map(layers.map(({ digest }, i) => [digest, i]));
  const placeOf = (layer: Digest): number => {
    const place = places.get(layer);
    if (place === undefined) throw new Error(`layer ${layer} is sent without its record`);
    return place;
  };
  const baseRows = bases.map(({ ref, trees }) => [ref, trees.map(digestToBytes)]);
  const layerRows = layers.map(({ layer: { tree, parent, created, message, source } }) => [
    digestToBytes(tree),
    parent === null ? -1 : placeOf(parent),
    created,
    message,
    source,
  ]);
  const itemRows = items.map((item) =>
    item.type === "layer"
      ? [item.type, item.name, placeOf(item.layer), item.isPinned ? 1 : 0]
      : [
          item.type,
          item.name,
          encodeNameRef(item.ref),
          item.snapshots.map(({ name, layer, isPinned }) => [name, placeOf(layer), isPinned ? 1 : 0]),
        ],
  );
  return pack([FORMAT_VERSION, "sent", baseRows, layerRows, itemRows]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeSent(bytes: Uint8Array): Sent {
  const t = new TupleReader(unpack(bytes, RECORD), RECORD);
  requireVersion(t.next(), RECORD);
  const kind = t.next();
  if (kind === "backup")
    throw new StoreError("FORMAT_INVALID", { record: RECORD, reason: "is a backup: delta0 restore takes it" });
  if (kind !== "sent") throw t.invalid("is nothing that was sent");
  const bases = t.list().map(decodeBase);
  const layers: SentLayer[] = [];
  for (const row of t.list()) layers.push(decodeLayer(row, layers));
  const known = new Set(layers.map(({ digest }) => digest));
  const items = t.list().map((row) => decodeItem(row, layers));
  t.end();
  for (const item of items)
    if (item.type === "container" && item.ref.base !== null && !known.has(item.ref.base))
      throw t.invalid("lacks a base");
  return { bases, layers, items };
}

const RECORD = "the stream";

function decodeBase(row: unknown): SentBase {
  const t = new TupleReader(row, RECORD);
  const ref = t.text();
  const trees = new TupleReader(t.list(), RECORD);
  t.end();
  const digests: Digest[] = [];
  while (!trees.isAtEnd) digests.push(trees.digest());
  return { ref, trees: digests };
}

function decodeLayer(row: unknown, before: readonly SentLayer[]): SentLayer {
  const t = new TupleReader(row, RECORD);
  const tree = t.digest();
  const parent = before[t.integer(-1, before.length - 1)]?.digest ?? null;
  const layer: Layer = { tree, parent, created: t.text(), message: t.text(), source: t.text() };
  t.end();
  return { digest: layerDigest(layer), layer };
}

function decodeItem(row: unknown, layers: readonly SentLayer[]): SentItem {
  const t = new TupleReader(row, RECORD);
  const type = t.next();
  if (type === "layer") {
    const item: SentItem = { type, name: t.textOrNull(), ...decodePlace(t, layers) };
    t.end();
    return item;
  }
  if (type !== "container") throw t.invalid("has something that is neither layer nor container");
  const name = t.text();
  const ref = decodeNameRef(t.next(), RECORD);
  const snapshots = t.list().map((row): SentSnapshot => {
    const t = new TupleReader(row, RECORD);
    const snapshot = { name: t.text(), ...decodePlace(t, layers) };
    t.end();
    return snapshot;
  });
  t.end();
  if (ref.type !== "container") throw t.invalid("has a container that is none");
  if (new Set(snapshots.map(({ name }) => name)).size < snapshots.length) throw t.invalid("has a snapshot twice");
  return { type, name, ref, snapshots };
}

function decodePlace(t: TupleReader, layers: readonly SentLayer[]): { layer: Digest; isPinned: boolean } {
  const found = layers[t.integer(0, layers.length - 1)];
  if (found === undefined) throw t.invalid("lacks a layer");
  return { layer: found.digest, isPinned: t.integer(0, 1) === 1 };
}
