import { encodeRef, TupleReader } from "../format/node.ts";
import { pack, unpack } from "../format/packing.ts";
import { FORMAT_VERSION, requireVersion } from "../format/record.ts";
import type { Digest } from "../model/digest.ts";
import { digestToBytes } from "../model/digest.ts";
import type { IdMap, IdRange } from "../model/id-map.ts";

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
  /** `retain` does not remove it. */
  readonly pinned?: true;
}

/**
 * A container. Its upper is the difference from `lower` to `tree`, and never stored twice: a clone is this one record.
 *
 * With an LXC directory the truth is there while the container lives: see docs/design.md, "One truth at a time".
 */
export interface ContainerRef {
  readonly type: "container";
  /** The layer it was made from or last committed to; null if it was cloned from a container without one. */
  readonly base: Digest | null;
  /** The tree that its changes are relative to: what its LXC config names as lower. */
  readonly lower: Digest;
  /** Its state as last captured. */
  readonly tree: Digest;
  /** Rises with each change of this record; a `pending` mark in the LXC directory carries the one it waits for. */
  readonly generation: number;
  readonly created: string;
  /** When `tree` was read from a delta directory; null if never. */
  readonly captured: string | null;
  /** Where its LXC directory lies: LXCPATH, absolute; null if it has none. */
  readonly lxcPath: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** It is removed once it has run and stopped. */
  readonly ephemeral: boolean;
  /** From when on it may be removed, RFC 3339 UTC; null: never. */
  readonly expires: string | null;
  /** It gets an identity of its own at its next start. */
  readonly identityPending: boolean;
  /** That of its user namespace; null if it has none. Trees hold ids as they are inside. */
  readonly idMap: IdMap | null;
}

export type Ref = LayerRef | ContainerRef;

/** One change of one name; `before` or `after` is null where the name did not or does not exist. */
export interface RefChange {
  readonly name: string;
  readonly before: Ref | null;
  readonly after: Ref | null;
  /** The name that the container had until now. */
  readonly from?: string;
  /** Of a container's LXC directory, what this takes away or writes anew, as it was before. */
  readonly files?: readonly KeptFile[];
  /** No command did it: it is what the container itself did, found by whoever looked next. */
  readonly byItself?: true;
}

/** A file of an LXC directory. */
export interface KeptFile {
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/** What one command did to names. */
/** What a change of names is done by. */
export interface ChangeCause {
  /** The verb and its arguments. */
  readonly command: string;
  /** By which whoever asked another process for it finds that it was done. */
  readonly request?: string;
}

export interface HistoryEntry extends ChangeCause {
  readonly time: string;
  readonly changes: readonly RefChange[];
}

export function encodeLayer(layer: Layer): Buffer {
  const { tree, parent, created, message, source } = layer;
  return pack([FORMAT_VERSION, "layer", digestToBytes(tree), encodeRef(parent), created, message, source]);
}

/** @throws {StoreError} FORMAT_INVALID, FORMAT_NEWER */
export function decodeLayer(bytes: Uint8Array, digest: Digest): Layer {
  const record = `layer ${digest}`;
  const t = new TupleReader(unpack(bytes, record), record);
  requireVersion(t.next(), record);
  if (t.next() !== "layer") throw t.invalid("is no layer");
  const layer: Layer = { tree: t.digest(), parent: t.ref(), created: t.text(), message: t.text(), source: t.text() };
  t.end();
  return layer;
}

const PINNED = 1;
const EPHEMERAL = 1;
const IDENTITY_PENDING = 2;

/** A ref as a MessagePack tuple: `["layer", layer]`, with flags if it has any, or `["container", base, lower, tree, generation, …]`. */
export function encodeNameRef(ref: Ref): readonly unknown[] {
  if (ref.type === "layer")
    return ref.pinned === true ? [ref.type, digestToBytes(ref.layer), PINNED] : [ref.type, digestToBytes(ref.layer)];
  const { type, base, lower, tree, generation, created, captured, lxcPath, labels } = ref;
  const trees = [encodeRef(base), digestToBytes(lower), digestToBytes(tree)];
  const flags = (ref.ephemeral ? EPHEMERAL : 0) | (ref.identityPending ? IDENTITY_PENDING : 0);
  const labelList = Object.entries(labels).flat();
  const idMap = ref.idMap && [ref.idMap.uids, ref.idMap.gids].map((ranges) => ranges.flatMap(numbersOf));
  return [type, ...trees, generation, created, captured, lxcPath, labelList, flags, ref.expires, idMap];
}

/** @throws {StoreError} FORMAT_INVALID */
export function decodeNameRef(tuple: unknown, record: string): Ref {
  const t = new TupleReader(tuple, record);
  const type = t.next();
  if (type === "layer") {
    const layer = t.digest();
    const isPinned = !t.isAtEnd && t.integer(PINNED, PINNED) === PINNED;
    t.end();
    return isPinned ? { type, layer, pinned: true } : { type, layer };
  }
  if (type !== "container") throw t.invalid("is neither layer nor container");
  const ref: ContainerRef = {
    type,
    base: t.ref(),
    lower: t.digest(),
    tree: t.digest(),
    generation: t.integer(0),
    created: t.text(),
    captured: t.textOrNull(),
    lxcPath: t.textOrNull(),
    labels: decodeLabels(t.list(), record),
    ...decodeFlags(t.integer(0, EPHEMERAL | IDENTITY_PENDING)),
    expires: t.textOrNull(),
    idMap: decodeIdMap(t.next(), record),
  };
  t.end();
  return ref;
}

/**
 * `[time, command, refs, [name, before, after, …]]`, before and after as indexes in `refs`, -1 for null: a thousand clones made
 * by one command are equal refs, and cost the history their names. Then, if there are such, what some changes have beside that:
 * `[[index of the change, from, by itself, [file, mode, bytes, …]], …]`.
 */
export function encodeHistoryEntry({ time, command, request, changes }: HistoryEntry): readonly unknown[] {
  const refs: (readonly unknown[])[] = [];
  const indexes = new Map<string, number>();
  const indexOf = (ref: Ref | null): number => {
    if (ref === null) return -1;
    const key = JSON.stringify(ref);
    const known = indexes.get(key);
    if (known !== undefined) return known;
    indexes.set(key, refs.length);
    return refs.push(encodeNameRef(ref)) - 1;
  };
  const rows = changes.flatMap(({ name, before, after }) => [name, indexOf(before), indexOf(after)]);
  const notes = changes.flatMap((change, i) => {
    const { from, files = [], byItself } = change;
    if (from === undefined && files.length === 0 && byItself === undefined) return [];
    return [
      [i, from ?? null, byItself === true ? 1 : 0, files.flatMap(({ name, mode, bytes }) => [name, mode, bytes])],
    ];
  });
  if (request !== undefined) return [time, command, refs, rows, notes, request];
  return notes.length === 0 ? [time, command, refs, rows] : [time, command, refs, rows, notes];
}

/** @throws {StoreError} FORMAT_INVALID */
export function decodeHistoryEntry(tuple: unknown, record: string): HistoryEntry {
  const t = new TupleReader(tuple, record);
  const [time, command] = [t.text(), t.text()];
  const refs = t.list().map((ref) => decodeNameRef(ref, record));
  const list = t.list();
  const notes = decodeNotes(t.isAtEnd ? [] : t.list(), record);
  const request = t.isAtEnd ? undefined : t.text();
  t.end();
  const rows = new TupleReader(list, record);
  const side = (): Ref | null => {
    const index = rows.integer(-1, refs.length - 1);
    return refs[index] ?? null;
  };
  const changes: RefChange[] = [];
  while (changes.length * 3 < list.length)
    changes.push({ name: rows.text(), before: side(), after: side(), ...notes.get(changes.length) });
  return { time, command, ...(request !== undefined && { request }), changes };
}

type Notes = Pick<RefChange, "from" | "files" | "byItself">;

function decodeNotes(list: readonly unknown[], record: string): ReadonlyMap<number, Notes> {
  const notes = new Map<number, Notes>();
  for (const tuple of list) {
    const t = new TupleReader(tuple, record);
    const [row, from, byItself] = [t.integer(0), t.textOrNull(), t.integer(0, 1)];
    const list = t.list();
    t.end();
    const files = decodeFiles(list, record);
    notes.set(row, {
      ...(from !== null && { from }),
      ...(files.length > 0 && { files }),
      ...(byItself === 1 && { byItself: true }),
    });
  }
  return notes;
}

function decodeFiles(list: readonly unknown[], record: string): KeptFile[] {
  const t = new TupleReader(list, record);
  const files: KeptFile[] = [];
  // Names that could lead out of the directory that they are written to are none.
  while (!t.isAtEnd) files.push({ name: t.name(), mode: t.integer(0, 0o7777), bytes: t.bytes() });
  return files;
}

function decodeFlags(flags: number): Pick<ContainerRef, "ephemeral" | "identityPending"> {
  return { ephemeral: (flags & EPHEMERAL) !== 0, identityPending: (flags & IDENTITY_PENDING) !== 0 };
}

function numbersOf({ container, host, count }: IdRange): readonly number[] {
  return [container, host, count];
}

function decodeIdMap(value: unknown, record: string): IdMap | null {
  if (value === null) return null;
  const t = new TupleReader(value, record);
  const idMap = { uids: decodeRanges(t.list(), record), gids: decodeRanges(t.list(), record) };
  t.end();
  return idMap;
}

function decodeRanges(list: readonly unknown[], record: string): IdRange[] {
  const t = new TupleReader(list, record);
  const id = (): number => t.integer(0, 2 ** 32 - 1);
  const ranges: IdRange[] = [];
  while (ranges.length * 3 < list.length) ranges.push({ container: id(), host: id(), count: id() });
  return ranges;
}

function decodeLabels(list: readonly unknown[], record: string): Record<string, string> {
  const t = new TupleReader(list, record);
  const pairs: [string, string][] = [];
  while (!t.isAtEnd) pairs.push([t.text(), t.text()]);
  // Not by assignment: a label may be called "__proto__".
  return Object.fromEntries(pairs);
}
