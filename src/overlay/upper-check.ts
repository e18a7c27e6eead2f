import { isStoreError, StoreError } from "../errors.ts";
import type { Kv } from "../kv/kv.ts";
import { joinPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { LowerTree } from "./lower-tree.ts";
import type { PieceFile } from "./piece-file.ts";
import { loadUpper } from "./upper-loader.ts";
import { DamagedNode, UpperNode } from "./upper-node.ts";

/** What of an upper cannot be read. */
export interface UpperDamage {
  /** undefined if it cannot be told what it is of. */
  readonly path: TreePath | undefined;
  readonly error: StoreError;
}

/** Reads all records of an upper, and with `deep` all bytes that were written. */
export async function checkUpper(
  { kv, pieces }: { readonly kv: Kv; readonly pieces: PieceFile },
  id: number,
  base: LowerTree,
  deep: boolean,
): Promise<UpperDamage[]> {
  const { nodes, damage } = await loadUpper(kv, id, base);
  const found: UpperDamage[] = damage === undefined ? [] : [{ path: undefined, error: damage }];
  const paths = pathsOf(nodes);
  for (const [ino, node] of nodes) {
    const path = paths.get(ino) ?? (node instanceof UpperNode ? node.origin : undefined);
    if (node instanceof DamagedNode) found.push({ path, error: node.error });
    else if (node.body.type === "directory") {
      if (node.body.damage !== undefined) found.push({ path, error: node.body.damage });
      for (const [name, entry] of node.body.entries)
        if (entry instanceof DamagedNode && nodes.get(entry.ino) !== entry)
          found.push({ path: path === undefined ? undefined : joinPath(path, name), error: entry.error });
    } else if (deep && node.body.type === "file") {
      const error = pieceError(pieces, node.body.dirty);
      if (error !== undefined) found.push({ path, error });
    }
  }
  return found;
}

function pieceError(
  pieces: PieceFile,
  blocks: Extract<UpperNode["body"], { type: "file" }>["dirty"],
): StoreError | undefined {
  try {
    for (const [, block] of blocks) for (const piece of block.pieces) pieces.get(piece);
    return undefined;
  } catch (error) {
    if (!isStoreError(error, "FORMAT_INVALID")) throw error;
    return error;
  }
}

/** Where the entries of an upper's directories are. */
function pathsOf(nodes: ReadonlyMap<number, UpperNode | DamagedNode>): ReadonlyMap<number, TreePath> {
  const parents = new Map<number, { readonly ino: number; readonly name: string }>();
  for (const [ino, node] of nodes)
    if (node instanceof UpperNode && node.body.type === "directory")
      for (const [name, entry] of node.body.entries) if (entry !== null) parents.set(entry.ino, { ino, name });
  const paths = new Map<number, TreePath>();
  for (const ino of parents.keys()) {
    const names: string[] = [];
    let at = ino;
    // Damage may lead around in a circle.
    for (let parent = parents.get(at); parent !== undefined && names.length < MAX_DEPTH; parent = parents.get(at)) {
      names.push(parent.name);
      at = parent.ino;
    }
    const top = nodes.get(at);
    const above = at === ROOT_INO ? ROOT : top instanceof UpperNode ? top.origin : undefined;
    if (above !== undefined && names.length < MAX_DEPTH)
      paths.set(
        ino,
        names.reduceRight((path, name) => joinPath(path, name as never), above),
      );
  }
  return paths;
}

const ROOT_INO = 1;
const MAX_DEPTH = 4096;
