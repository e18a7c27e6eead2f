import { StoreError } from "../errors.ts";
import { TupleReader } from "../format/node.ts";
import { pack, unpack } from "../format/packing.ts";
import { FORMAT_VERSION, requireVersion } from "../format/record.ts";
import type { Digest } from "../model/digest.ts";
import { digestToBytes, parseDigest } from "../model/digest.ts";

/** A layer: immutable, named by the BLAKE3 of its bytes. The parent is a layer too, alive as long as this one is. */
export interface Layer {
  readonly tree: Digest;
  readonly parent: Digest | null;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly message: string;
  /** What it was made from, for people: a path, "container web". */
  readonly source: string;
}

/** What a layer's name stands for. */
export interface LayerRef {
  readonly type: "layer";
  /** Digest of the layer record. */
  readonly layer: Digest;
}

/**
 * A container. Its upper is the difference from `lower` to `tree`, and never stored twice: a clone is this one record.
 *
 * With an LXC directory the truth is there while the container lives: see docs/design.md, "One truth at a time".
 */
export interface ContainerRef {
  readonly type: "container";
  /** The layer it was made from or last committed to. */
  readonly base: Digest | null;
  /** The tree that its changes are relative to: what its LXC config names as lower. */
  readonly lower: Digest;
  /** Its state as last captured. */
  readonly tree: Digest;
  /** Rises with each change of `lower` or `tree`; a `pending` mark in the LXC directory carries the one it waits for. */
  readonly generation: number;
  readonly created: string;
  /** When `tree` was read from a delta directory; null if never. */
  readonly captured: string | null;
  /** Where its LXC directory lies: LXCPATH, absolute; null if it has none. */
  readonly lxcPath: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export type Ref = LayerRef | ContainerRef;

/** One change of one name; `before` or `after` is null where the name did not or does not exist. */
export interface RefChange {
  readonly name: string;
  readonly before: Ref | null;
  readonly after: Ref | null;
}

/** What one command did to names. */
export interface HistoryEntry {
  readonly time: string;
  readonly command: string;
  readonly changes: readonly RefChange[];
}

export function encodeLayer(layer: Layer): Buffer {
  const { tree, parent, created, message, source } = layer;
  return pack([FORMAT_VERSION, "layer", digestToBytes(tree), parent && digestToBytes(parent), created, message, source]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeLayer(bytes: Uint8Array, digest: Digest): Layer {
  const record = `layer ${digest}`;
  const t = new TupleReader(unpack(bytes, record), record);
  requireVersion(t.next(), record);
  if (t.next() !== "layer") throw t.invalid("is no layer");
  const [tree, parent] = [t.digest(), t.ref()];
  const layer = { tree, parent, created: text(t.next(), record), message: text(t.next(), record), source: text(t.next(), record) };
  t.end();
  return layer;
}

/** @throws {StoreError} FORMAT_INVALID unless `value` is a ref as `RefChange` holds it */
export function parseRef(value: unknown, record: string): Ref {
  const fields = object(value, record);
  if (fields["type"] === "layer") return { type: "layer", layer: digest(fields["layer"], record) };
  if (fields["type"] !== "container") throw new StoreError("FORMAT_INVALID", { record, reason: "is neither layer nor container" });
  const generation = fields["generation"];
  if (typeof generation !== "number") throw new StoreError("FORMAT_INVALID", { record, reason: "has no generation" });
  return {
    type: "container",
    base: fields["base"] === null ? null : digest(fields["base"], record),
    lower: digest(fields["lower"], record),
    tree: digest(fields["tree"], record),
    generation,
    created: text(fields["created"], record),
    captured: fields["captured"] === null ? null : text(fields["captured"], record),
    lxcPath: fields["lxcPath"] === null ? null : text(fields["lxcPath"], record),
    labels: Object.fromEntries(Object.entries(object(fields["labels"], record)).map(([k, v]) => [k, text(v, record)])),
  };
}

/** @throws {StoreError} FORMAT_INVALID */
export function parseHistoryEntry(value: unknown, record: string): HistoryEntry {
  const fields = object(value, record);
  const { changes } = fields;
  if (!Array.isArray(changes)) throw new StoreError("FORMAT_INVALID", { record, reason: "has no changes" });
  const side = (ref: unknown): Ref | null => (ref === null ? null : parseRef(ref, record));
  return {
    time: text(fields["time"], record),
    command: text(fields["command"], record),
    changes: changes.map((change: unknown) => {
      const c = object(change, record);
      return { name: text(c["name"], record), before: side(c["before"]), after: side(c["after"]) };
    }),
  };
}

function object(value: unknown, record: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new StoreError("FORMAT_INVALID", { record, reason: "is no map" });
  return value as Record<string, unknown>;
}

function text(value: unknown, record: string): string {
  if (typeof value !== "string") throw new StoreError("FORMAT_INVALID", { record, reason: "lacks a text field" });
  return value;
}

function digest(value: unknown, record: string): Digest {
  const parsed = parseDigest(text(value, record));
  if (parsed === undefined) throw new StoreError("FORMAT_INVALID", { record, reason: "lacks a digest" });
  return parsed;
}
