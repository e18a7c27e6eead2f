import { digestOf } from "../format/blake3.ts";
import { parseDigest } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { formatIdMap } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";

declare const keyBrand: unique symbol;
/** `<tree>.<over>`, `<tree>-<map>` or `<tree>.<over>-<map>`: other digests than the tree's by their first 16 digits. */
type OtherKey = string & { readonly [keyBrand]: true };

/**
 * Which directory of shared exports it is: a whole tree, or what a tree changes of another one that it lies over; with the ids of an id
 * map, or without. The whole tree without an id map has the tree's digest as its key.
 */
export type ExportKey = Digest | OtherKey;

/** The parts of a key; undefined for those that it has not. */
export interface KeyParts {
  readonly tree: Digest;
  /** The first digits of the tree that it lies over. */
  readonly over: string | undefined;
  /** The first digits of the digest of the map's text. */
  readonly map: string | undefined;
}

/** @param over the tree that it lies over; undefined for a whole tree */
export function exportKey(tree: Digest, idMap: IdMap | null, over?: Digest): ExportKey {
  return keyOfParts({ tree, over: over?.slice(0, SHORT_DIGITS), map: mapOf(idMap) });
}

/** The part of a key that stands for an id map. */
export function mapOf(idMap: IdMap | null): string | undefined {
  return idMap === null ? undefined : digestOf(Buffer.from(formatIdMap(idMap).join("\n"))).slice(0, SHORT_DIGITS);
}

export function keyOfParts({ tree, over, map }: KeyParts): ExportKey {
  return `${directoryName({ tree, over })}${map === undefined ? "" : `-${map}`}` as ExportKey;
}

export function partsOfKey(key: ExportKey): KeyParts {
  const [name = "", map] = key.split("-");
  const [tree = "", over] = name.split(".");
  return { tree: tree as Digest, over, map };
}

/** What its directory is called, below that of its id map. */
export function directoryName({ tree, over }: Pick<KeyParts, "tree" | "over">): string {
  return over === undefined ? tree : `${tree}.${over}`;
}

/** @param name as `directoryName` has it @returns undefined for what is none */
export function parseKeyParts(name: string, map?: string): KeyParts | undefined {
  const [text = "", over, ...others] = name.split(".");
  const tree = parseDigest(text);
  if (tree === undefined || others.length > 0 || ![over, map].every(isShortOrNone)) return undefined;
  return { tree, over, map };
}

/** Whether a key's `over` means that tree. */
export function liesOver(over: string | undefined, tree: Digest): boolean {
  return over === tree.slice(0, SHORT_DIGITS);
}

const SHORT_DIGITS = 16;

function isShortOrNone(digits: string | undefined): boolean {
  return digits === undefined || /^[0-9a-f]{16}$/.test(digits);
}
