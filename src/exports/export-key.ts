import { digestOf } from "../format/blake3.ts";
import { parseDigest } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import { formatIdMap } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";

declare const mappedBrand: unique symbol;
/** `<tree>-<map>`, the map's text by the first 16 digits of its digest. */
type MappedKey = string & { readonly [mappedBrand]: true };

/** What a shared export is of: a tree, and the id map whose ids it has on disk. Without one the key is the tree's digest. */
export type ExportKey = Digest | MappedKey;

/** The two parts of a key; `map` is undefined for none. */
export interface KeyParts {
  readonly tree: Digest;
  readonly map: string | undefined;
}

export function exportKey(tree: Digest, idMap: IdMap | null): ExportKey {
  if (idMap === null) return tree;
  return keyOfParts({ tree, map: digestOf(Buffer.from(formatIdMap(idMap).join("\n"))).slice(0, MAP_DIGITS) });
}

export function keyOfParts({ tree, map }: KeyParts): ExportKey {
  return map === undefined ? tree : (`${tree}-${map}` as MappedKey);
}

export function partsOfKey(key: ExportKey): KeyParts {
  const [tree = "", map] = key.split("-");
  return { tree: tree as Digest, map };
}

/** @returns undefined for what is none */
export function parseKeyParts(tree: string, map?: string): KeyParts | undefined {
  const digest = parseDigest(tree);
  if (digest === undefined || (map !== undefined && !/^[0-9a-f]{16}$/.test(map))) return undefined;
  return { tree: digest, map };
}

const MAP_DIGITS = 16;
