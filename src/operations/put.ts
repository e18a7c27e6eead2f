import { posix } from "node:path";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import { byteStringOf, displayName, isName, joinPath, parentPath, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { RawChange } from "../model/change.ts";
import { TreeView } from "../overlay/tree-view.ts";
import { directoryChanges } from "../sources/directory.ts";
import type { Progress } from "../sources/node-reader.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import type { ContainerFile, Destination } from "./change-files.ts";
import { changeFiles, isDirectory, requireOne, shownFile } from "./change-files.ts";
import { recordTree, settleStopped } from "./container-draft.ts";
import type { Context } from "./context.ts";
import { fileFailure } from "./file-failure.ts";
import { parseFileRef, REASONS } from "./locate.ts";
import { chooseSource, refuseTwice } from "./put-source.ts";
import type { PutSource } from "./put-source.ts";

export interface PutParams {
  /**
   * Files and directories of this host. A symlink goes itself, unless a slash follows it. Of a path that ends in "/." the
   * directory's content goes, as with cp. One alone may be `-`: the bytes of `Context.input`, for a file.
   */
  readonly sources: readonly string[];
  /** `NAME:/path`: a directory for them, or the name of one. */
  readonly target: string;
  /** The target is the name itself, also if a directory has it. Default: false. */
  readonly noTargetDirectory?: boolean;
}

export interface Put {
  readonly name: string;
  readonly digest: Digest;
  /** Where each source is now. */
  readonly paths: readonly string[];
  /** Nodes that were read; further names of one do not count. */
  readonly entries: number;
  /** Of files, without holes. */
  readonly bytes: number;
}

/**
 * Copies files and directories in with all their metadata and the hard links between those of one directory. They come into
 * what is there as with `cp -a --remove-destination`: directories merge and take the source's metadata, all else is replaced.
 * The container has all of them at once.
 *
 * @throws {StoreError} NOT_FOUND, USAGE, REFUSED while it runs; EXISTS where a directory would replace something else, or the
 *   other way round; SOURCE_INVALID for what changes while it is read; NOT_PERMITTED, NO_SPACE
 */
export async function put(context: Context, params: PutParams): Promise<Put> {
  using _operation = context.store.begin();
  if (params.sources.includes("-")) return await putInput(context, params);
  const { store, signal, onProgress } = context;
  const file = parseFileRef(params.target);
  const sources = params.sources.map(chooseSource);
  refuseTwice(sources);
  const before = await settleStopped(context, file.ref);
  const tree = store.trees.tree(before.ref.tree);
  const view = TreeView.of(store.lowers.get(before.ref.tree), store.blocks);
  const places = placesOf(view, sources, { target: file, noTargetDirectory: params.noTargetDirectory ?? false });
  const builder = new TreeBuilder(store.trees, tree);
  for (const place of places) touchAbove(store.trees, tree, place, builder);
  let done: Progress = { entries: 0, bytes: 0 };
  for (const walk of walksOf(sources, places)) {
    const { entries, bytes } = done;
    const options = {
      ...(signal && { signal }),
      ...(walk.only && { only: walk.only }),
      onProgress: (read: Progress): void => {
        done = { entries: entries + read.entries, bytes: bytes + read.bytes };
        onProgress?.({ phase: "copying", ...done });
      },
    };
    for await (const batch of directoryChanges(walk.directory, store.content.writer(), options)) {
      for (const change of batch) {
        const moved = movedChange(change, walk.placeOf);
        refuseClash(store.trees, tree, file.ref, moved);
        builder.apply(moved);
      }
    }
  }
  const { digest } = builder.finish();
  await recordTree(context, file.ref, before, digest);
  return {
    name: file.ref,
    digest,
    paths: places.map((place) => `/${Buffer.from(place, "latin1").toString()}`),
    ...done,
  };
}

/** As a shell redirects: what is there keeps its owner, mode and other names. */
async function putInput(context: Context, { sources, target }: PutParams): Promise<Put> {
  const { input, signal } = context;
  if (sources.length > 1)
    throw new StoreError("USAGE", { reason: "standard input is put alone", hint: "call it twice" });
  if (input === undefined) throw new StoreError("USAGE", { reason: "there is no input to read" });
  let bytes = 0;
  async function* counted(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      yield piece;
      bytes += piece.length;
      context.onProgress?.({ phase: "copying", entries: 0, bytes });
    }
  }
  const { items, containers } = await changeFiles(context, [target], async (view, file) => {
    if (isDirectory(view, file.path))
      throw new StoreError("USAGE", { reason: `${shownFile(file)} is a directory`, hint: "name a file" });
    await view.promises.writeFile(file.path, counted(input), { signal });
    return file;
  });
  const [{ name, digest } = { name: "", digest: "" as Digest }] = containers;
  return { name, digest, paths: items.map(({ path }) => path), entries: 1, bytes };
}

/** Where sources go, by the tree's own paths. */
function placesOf(view: TreeView, sources: readonly PutSource[], destination: Destination): TreePath[] {
  const { target, noTargetDirectory } = destination;
  try {
    if (!noTargetDirectory && isDirectory(view, target.path)) {
      const directory = realPath(view, target.path);
      return sources.map(({ name }) => (name === undefined ? directory : joinPath(directory, name)));
    }
    requireOne(sources.length, destination);
    if (isDirectory(view, target.path) && !view.lstatSync(target.path).isSymbolicLink())
      return [realPath(view, target.path)];
  } catch (error) {
    throw fileFailure(error, target);
  }
  return [placeOf(view, target, sources[0]?.isDirectory === true)];
}

/** Of a name that may be new. */
function placeOf(view: TreeView, target: ContainerFile, ofDirectory: boolean): TreePath {
  const above = { ref: target.ref, path: posix.dirname(target.path) };
  const name = byteStringOf(posix.basename(target.path));
  if (target.path.endsWith("/") && !ofDirectory)
    throw new StoreError("NOT_FOUND", { what: `${shownFile(target)}: no such directory` });
  if (!isName(name)) throw new StoreError("NOT_FOUND", { what: `${shownFile(target)}: ${REASONS.ENAMETOOLONG}` });
  try {
    if (isDirectory(view, above.path)) return joinPath(realPath(view, above.path), name);
    view.statSync(above.path);
  } catch (error) {
    throw fileFailure(error, above);
  }
  throw new StoreError("NOT_FOUND", { what: `${shownFile(target)}: ${REASONS.ENOTDIR}` });
}

function realPath(view: TreeView, path: string): TreePath {
  return view.realpathSync(path, "buffer").toString("latin1").slice(1);
}

/** One directory to read, and where what is read of it goes. */
interface Walk {
  readonly directory: string;
  readonly only?: readonly Name[];
  readonly placeOf: (path: TreePath) => TreePath;
}

/** What is in one directory is read in one go: hard links between are found. */
function walksOf(sources: readonly PutSource[], places: readonly TreePath[]): Walk[] {
  const walks: Walk[] = [];
  const named = new Map<string, Map<Name, TreePath>>();
  for (const [i, { name, directory, isWhole }] of sources.entries()) {
    const place = places[i] ?? ROOT;
    if (isWhole || name === undefined) {
      walks.push({ directory, placeOf: (path) => (path === ROOT ? place : joinPath(place, path)) });
      continue;
    }
    const group = named.get(directory) ?? new Map<Name, TreePath>();
    named.set(directory, group.set(name, place));
  }
  for (const [directory, group] of named)
    walks.push({
      directory,
      only: [...group.keys()],
      placeOf: (path) => {
        const slash = path.indexOf("/");
        const name = slash < 0 ? path : path.slice(0, slash);
        return (group.get(name as Name) ?? name) + path.slice(name.length);
      },
    });
  return walks;
}

function movedChange(change: RawChange, placeOf: (path: TreePath) => TreePath): RawChange {
  const path = placeOf(change.path);
  return change.kind === "link" ? { kind: "link", path, target: placeOf(change.target) } : { ...change, path };
}

function refuseClash(trees: TreeStore, tree: Tree, ref: string, change: RawChange): void {
  const there = trees.lookup(tree, change.path);
  const isDirectory = change.kind === "put" && change.node.type === "directory";
  if (there === undefined || (there.type === "directory") === isDirectory) return;
  const what = isDirectory ? `a ${there.type}, which no directory replaces` : "a directory, which no file replaces";
  throw new StoreError("EXISTS", { what: `${ref}:/${displayName(change.path)} is ${what}`, hint: "unlink it first" });
}

/** A directory that gets another name in it. */
function touchAbove(trees: TreeStore, tree: Tree, place: TreePath, builder: TreeBuilder): void {
  if (place === ROOT || trees.lookup(tree, place)?.type === "directory") return;
  const path = parentPath(place);
  const node = trees.lookup(tree, path);
  if (node?.type !== "directory") return;
  const { mode, uid, gid, xattrs } = node;
  const ms = Date.now();
  const times = { mtimeSec: Math.floor(ms / 1000), mtimeNsec: (ms % 1000) * 1e6 };
  builder.apply({ kind: "put", path, node: { type: "directory", mode, uid, gid, ...times, xattrs } });
}
