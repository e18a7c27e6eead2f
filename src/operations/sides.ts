import { closeSync, readSync } from "node:fs";
import { BlockWriter } from "../chunks/content-writer.ts";
import { FORGOTTEN_CHUNKS, ScratchNodes } from "../chunks/scratch.ts";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { baseName, displayName, parentPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { PathWalker } from "../sys/path-walker.ts";
import { directoryChanges } from "../sources/directory.ts";
import { TreeBuilder } from "../trees/builder.ts";
import { TreeStore } from "../trees/tree-store.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import type { Resolved } from "./references.ts";
import { settledRef } from "./settle.ts";
import { storeBelow } from "./source.ts";

/** One of the two that are compared. */
export interface Side {
  readonly description: SideDescription;
  /** Undefined: nothing at all. */
  readonly tree: Tree | undefined;
  /**
   * The bytes of a regular file of it in order (borrowed until the next step), and lengths of runs of zeros.
   *
   * @throws {StoreError} SOURCE_INVALID if it is not any more what it was
   */
  readonly pieces: (path: TreePath, content: Content) => Iterable<Uint8Array | number>;
}

export interface SideDescription {
  /** As it was given, or what was taken for it. */
  readonly ref: string;
  readonly type: "layer" | "container" | "tree" | "directory" | "nothing";
  readonly digest: Digest | null;
}

export interface Sides {
  /** What both trees are in. */
  readonly trees: TreeStore;
  readonly before: Side;
  readonly after: Side;
}

/**
 * What is compared with what. `dir:/path` is a directory of the host: it is read whole, and nothing of it kept.
 *
 * @param a if `b` is not given it is compared with its parent: a layer's, or what a container stands on
 * @throws {StoreError} NOT_FOUND; USAGE if there is no parent that it could be compared with
 */
export async function openSides(context: Context, a: string, b?: string): Promise<Sides> {
  const { store } = context;
  // What is read of a directory of the host is in no cache that outlives this.
  const trees = [a, b].some(isDirectory) ? new TreeStore(new ScratchNodes(store.nodes)) : store.trees;
  if (b === undefined) {
    if (isDirectory(a)) throw noParent(a);
    const found = await settledRef(context, a);
    return { trees, before: parentSide(context, trees, found, a), after: storedSide(context, trees, found, a) };
  }
  return { trees, before: await openSide(context, trees, a), after: await openSide(context, trees, b) };
}

async function openSide(context: Context, trees: TreeStore, text: string): Promise<Side> {
  if (isDirectory(text)) return await directorySide(context, trees, text.slice(DIRECTORY_PREFIX.length));
  return storedSide(context, trees, await settledRef(context, text), text);
}

const DIRECTORY_PREFIX = "dir:";

function isDirectory(text: string | undefined): boolean {
  return text?.startsWith(DIRECTORY_PREFIX) === true;
}

function storedSide(context: Context, trees: TreeStore, { kind, tree }: Resolved, ref: string): Side {
  return treeSide(context, trees, { ref, type: kind, digest: tree });
}

function parentSide(context: Context, trees: TreeStore, found: Resolved, text: string): Side {
  const { refs } = context.store;
  const ref = `parent of ${text}`;
  if (found.kind !== "layer") {
    const container = found.kind === "container" ? found.ref : found.past?.ref;
    if (container === undefined) throw noParent(text);
    return treeSide(context, trees, { ref, type: "tree", digest: container.lower });
  }
  const { parent } = refs.layer(found.ref.layer);
  const digest = parent === null ? null : refs.layer(parent).tree;
  return treeSide(context, trees, { ref, type: digest === null ? "nothing" : "layer", digest });
}

function treeSide({ store }: Context, trees: TreeStore, description: SideDescription): Side {
  const { digest } = description;
  return {
    description,
    tree: digest === null ? undefined : trees.tree(digest),
    pieces: (_path, content) => store.content.pieces(content),
  };
}

/** Its bytes are hashed, as they would be in the store; so it costs reading it. */
async function directorySide(context: Context, trees: TreeStore, path: string): Promise<Side> {
  const { signal, onProgress } = context;
  const inside = storeBelow(context, path);
  const builder = new TreeBuilder(trees);
  const options = {
    exclude: (below: TreePath) => below === inside,
    onProgress: (progress: { entries: number; bytes: number }) => onProgress?.({ phase: "reading", ...progress }),
    ...(signal && { signal }),
  };
  for await (const batch of directoryChanges(path, new BlockWriter(FORGOTTEN_CHUNKS, trees.nodes), options))
    for (const change of batch) builder.apply(change);
  const tree = builder.finish();
  return {
    description: { ref: `${DIRECTORY_PREFIX}${path}`, type: "directory", digest: tree.digest },
    tree,
    pieces: (file, content) => readAgain(trees, path, file, content),
  };
}

/** Hashed again: it is the host's, and may have changed since. */
function* readAgain(trees: TreeStore, directory: string, path: TreePath, content: Content): Generator<Uint8Array> {
  using root = DirectoryHandle.open(directory);
  using walker = PathWalker.open(root);
  walker.goTo(parentPath(path));
  const writer = new BlockWriter(FORGOTTEN_CHUNKS, trees.nodes);
  const block = Buffer.alloc(BLOCK_BYTES);
  const fd = walker.current.openRead(baseName(path));
  try {
    for (let at = 0; at < content.size;) {
      const count = readSync(fd, block, 0, Math.min(BLOCK_BYTES, content.size - at), at);
      if (count === 0) break;
      void writer.write(block.subarray(0, count));
      yield block.subarray(0, count);
      at += count;
    }
  } finally {
    closeSync(fd);
  }
  const { root: found, size } = writer.end();
  if (found === content.root && size === content.size) return;
  throw new StoreError("SOURCE_INVALID", {
    source: directory,
    reason: `"${displayName(path)}" changed while it was read`,
    hint: "try again when nothing writes there",
  });
}

function noParent(text: string): StoreError {
  return new StoreError("USAGE", {
    reason: `"${text}" has no parent to be compared with`,
    hint: `name both: delta0 diff A ${text}`,
  });
}
