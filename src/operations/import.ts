import { createReadStream, statSync } from "node:fs";
import { resolve } from "node:path";
import picomatch from "picomatch";
import type { Layer, Ref } from "../containers/records.ts";
import { layerDigest, timestamp } from "../containers/refs.ts";
import { errnoOf, StoreError } from "../errors.ts";
import type { RawChange } from "../model/change.ts";
import type { Digest } from "../model/digest.ts";
import { baseName, byteStringOf, parentPath, ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { plainStream } from "../sources/decompress.ts";
import { directoryChanges } from "../sources/directory.ts";
import { tarChanges } from "../sources/tar.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { requireFree, requireName, resolveRef } from "./references.ts";

export interface SourceParams {
  /** A directory, a tar (plain, gzip, xz or zstd), or `-` for a tar on `Context.input`. */
  readonly source: string;
  /** Globs over paths; one without a slash fits a name in any directory. What is below an excluded directory is, too. */
  readonly exclude?: readonly string[];
  /** Leaves out what is mounted below a source directory. */
  readonly oneFileSystem?: boolean;
}

export interface ImportParams extends SourceParams {
  readonly name: string;
  readonly parent?: string;
  readonly message?: string;
  /** Moves the name if it stands for another layer. */
  readonly replace?: boolean;
}

export interface Imported {
  readonly name: string;
  readonly digest: Digest;
  readonly entries: number;
  readonly bytes: number;
  /** What the store grew by: chunks, compressed. */
  readonly newBytes: number;
  readonly newChunks: number;
  readonly replaced: boolean;
}

/** Makes a layer of a source. Until it is complete and durable nothing of it is visible. */
export async function importLayer(context: Context, params: ImportParams): Promise<Imported> {
  const { store } = context;
  const { name, message = "" } = params;
  const before = replaceable(context, name, params.replace ?? false);
  const parent = params.parent === undefined ? null : await requireLayer(context, params.parent);
  const chunksBefore = store.chunks.stats();
  const tree = await readSource(context, params);
  const layer: Layer = { tree: tree.digest, parent, created: timestamp(), message, source: describeSource(params) };
  const after: Ref = { type: "layer", layer: layerDigest(layer) };
  await store.change(context.command, [{ name, before, after }], [layer]);
  const chunks = store.chunks.stats();
  return {
    name,
    digest: tree.digest,
    entries: tree.root.listing.entries,
    bytes: tree.root.listing.bytes,
    newBytes: chunks.newStoredBytes - chunksBefore.newStoredBytes,
    newChunks: chunks.newChunks - chunksBefore.newChunks,
    replaced: before !== null,
  };
}

/** Reads a source into a tree, over nothing. Its content and nodes are in the store, but not yet durable. */
export async function readSource(context: Context, params: SourceParams): Promise<Tree> {
  const { store } = context;
  const builder = new TreeBuilder(store.trees);
  const excluded = excluder(params.exclude ?? []);
  for await (const batch of openSource(context, params, excluded)) {
    for (const change of batch) if (!excluded(change.path)) builder.apply(change);
  }
  return builder.finish();
}

/** @throws {StoreError} EXISTS unless the name is free or a layer that may be replaced */
export function replaceable(context: Context, name: string, replace: boolean): Ref | null {
  requireName(name);
  const ref = context.store.refs.find(name) ?? null;
  if (ref?.type !== "layer") requireFree(context.store, name);
  else if (!replace) requireFree(context.store, name, "choose another name, or --replace");
  return ref;
}

export function describeSource({ source }: SourceParams): string {
  return source === "-" ? "standard input" : resolve(source);
}

async function requireLayer(context: Context, text: string): Promise<Digest> {
  const found = await resolveRef(context.store, text);
  if (found.kind === "layer") return found.ref.layer;
  throw new StoreError("USAGE", { reason: `"${text}" is no layer, so it cannot be a parent` });
}

function openSource(
  context: Context,
  params: SourceParams,
  excluded: (path: TreePath) => boolean,
): AsyncIterable<readonly RawChange[]> {
  const { store, signal } = context;
  const { source } = params;
  const began = store.chunks.stats();
  const options = {
    ...(signal && { signal }),
    onProgress: ({ entries, bytes }: { entries: number; bytes: number }) =>
      context.onProgress?.({
        phase: "importing",
        entries,
        bytes,
        newBytes: store.chunks.stats().newPlainBytes - began.newPlainBytes,
      }),
  };
  const writer = store.content.writer();
  if (source === "-") {
    if (context.input === undefined) throw new StoreError("USAGE", { reason: "there is no input to read" });
    const named = { source: describeSource(params), ...options };
    return tarChanges(plainStream(context.input, named), writer, named);
  }
  const type = sourceType(source);
  if (type === "directory") {
    const inside = pathBelow(resolve(source), store.paths.directory);
    const exclude = (path: TreePath): boolean => path === inside || excluded(path);
    return directoryChanges(source, writer, { exclude, oneFileSystem: params.oneFileSystem ?? false, ...options });
  }
  const file = createReadStream(source, { highWaterMark: 1 << 20 });
  return tarChanges(plainStream(file, { source, ...options }), writer, { source, ...options });
}

function sourceType(source: string): "directory" | "file" {
  if (source.startsWith("oci:")) throw new StoreError("UNSUPPORTED", { what: "OCI layouts are not read yet" });
  try {
    return statSync(source).isDirectory() ? "directory" : "file";
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new StoreError(
        "NOT_FOUND",
        { what: `no file or directory "${source}"`, hint: "name a directory, a tar, or - for standard input" },
        { cause: error },
      );
    if (code === "EACCES")
      throw new StoreError("NOT_PERMITTED", { action: `reading ${source}`, hint: "run as root" }, { cause: error });
    throw error;
  }
}

/** The path of `inner` within `outer`; undefined if it is not below it. */
function pathBelow(outer: string, inner: string): TreePath | undefined {
  const prefix = outer === "/" ? "/" : `${outer}/`;
  return inner.startsWith(prefix) ? byteStringOf(inner.slice(prefix.length)) : undefined;
}

function excluder(globs: readonly string[]): (path: TreePath) => boolean {
  if (globs.length === 0) return () => false;
  const [names, paths] = [globs.filter((glob) => !glob.includes("/")), globs.filter((glob) => glob.includes("/"))];
  const options = { dot: true };
  const fitsName = picomatch(names.map(byteStringOf), options);
  const fitsPath = picomatch(
    paths.map((glob) => byteStringOf(glob.replace(/^\.?\//, "").replace(/\/$/, ""))),
    options,
  );
  return (path) => {
    for (let at = path; at !== ROOT; at = parentPath(at)) if (fitsName(baseName(at)) || fitsPath(at)) return true;
    return false;
  };
}
