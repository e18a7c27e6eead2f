import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { neededForDirectory, neededForTar, requireRoomFor } from "../exports/room-for.ts";
import { shiftedIn, shiftedOut } from "../format/shift-ids.ts";
import type { Digest } from "../model/digest.ts";
import type { Change } from "../model/change.ts";
import { parseIdMap } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import { writeDirectory } from "../sinks/directory.ts";
import { LossTally } from "../sinks/written.ts";
import type { Losses, Written } from "../sinks/written.ts";
import { tarStream } from "../sinks/tar.ts";
import { syncFilesystem } from "../sys/durable.ts";
import { diffTrees } from "../trees/diff.ts";
import type { Tree } from "../trees/tree-store.ts";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { makeInPlace } from "./export-place.ts";
import { parseOciPlace } from "./read-oci.ts";
import type { Resolved } from "./references.ts";
import { settledRef } from "./settle.ts";
import { readSource } from "./source.ts";
import { writeOci } from "./write-oci.ts";

export interface ExportParams {
  readonly ref: string;
  /** A directory that is new or empty, a file named `….tar`, `-` for a tar to `Context.output`, or `oci:DIR[:TAG]` for an image. */
  readonly target: string;
  /** What this user may not make, such as devices and other owners, is left out; that is no loss then. */
  readonly asUser?: boolean;
  /** Reads the directory back and compares, unless something was lost or left out. What does not compare stays. */
  readonly verify?: boolean;
  /** For what is thrown away: does not wait until a directory or tar is safe from a power cut. */
  readonly noSync?: boolean;
  /** The id map whose ids it gets, as `parseIdMap` takes it. Default: ids are as they are inside. */
  readonly idMap?: readonly string[];
}

export interface Exported {
  readonly ref: string;
  readonly digest: Digest;
  readonly target: string;
  readonly entries: number;
  readonly bytes: number;
  /** What could not be kept, by kind. */
  readonly losses: Losses;
  /** What `asUser` left out, by kind. */
  readonly omitted: Losses;
  readonly verified: boolean;
}

/** Writes a tree out. A target file or directory is in place only once it is complete and, unless `noSync`, safe from a power cut. */
export async function exportTree(context: Context, params: ExportParams): Promise<Exported> {
  using _operation = context.store.begin();
  const { ref, target, verify = false } = params;
  const idMap = params.idMap === undefined || params.idMap.length === 0 ? null : parseIdMap(params.idMap);
  if (verify && (target === "-" || target.endsWith(".tar") || target.startsWith("oci:")))
    throw new StoreError("USAGE", { reason: "a tar is not read back", hint: "verify goes with a directory" });
  if (params.noSync === true && target.startsWith("oci:"))
    throw new StoreError("USAGE", { reason: "an image is always synced", hint: "leave --no-sync out" });
  const found = await settledRef(context, ref);
  const { tree: digest } = found;
  const tree = context.store.trees.tree(digest);
  const written = await aside(context, () => write(context, found, tree, params, idMap));
  const verified = verify && written.losses.length === 0 && written.omitted.length === 0;
  if (verified) await compare(context, tree, target, idMap);
  return { ref, digest, target, ...written, verified };
}

async function write(
  context: Context,
  found: Resolved,
  tree: Tree,
  params: ExportParams,
  idMap: IdMap | null,
): Promise<Written> {
  const { target } = params;
  const place = parseOciPlace(target);
  if (place !== undefined)
    return await makeInPlace(context.store, place.directory, "directory", async (path) => {
      const image = { tag: place.tag ?? "latest", created: createdOf(context, found) };
      return await writeOci(path, image, (output) => writeTar(context, tree, idMap, output));
    });
  if (target === "-") {
    if (context.output === undefined) throw new StoreError("USAGE", { reason: "there is no output to write to" });
    return writeTar(context, tree, idMap, context.output);
  }
  if (/\.(tar\.(gz|xz|zst)|tgz|txz)$/.test(target))
    throw new StoreError("UNSUPPORTED", {
      what: "compressed tars are not written",
      hint: `delta0 export ${params.ref} - | zstd > ${target}`,
    });
  return target.endsWith(".tar")
    ? writeTarFile(context, tree, idMap, params)
    : writeTarget(context, tree, idMap, params);
}

function writeTarget(
  context: Context,
  tree: Tree,
  idMap: IdMap | null,
  { target, asUser = false, noSync = false }: ExportParams,
): Promise<Written> {
  const { store } = context;
  return makeInPlace(store, target, "directory", async (path) => {
    requireRoomFor(dirname(path), tree.root.listing, () => neededForDirectory(diffTrees(store.trees, undefined, tree)));
    const changes = diffTrees(store.trees, undefined, tree);
    const written = await writeDirectory(path, changes, store.content, { asUser, idMap, ...progressOf(context, tree) });
    // By its parent: the tree's root may be a directory that its owner cannot read.
    if (!noSync) syncFilesystem(dirname(path));
    return written;
  });
}

/** When the state came to be: images of one state are to be the same whenever they are made. */
function createdOf({ store }: Context, found: Resolved): string {
  if (found.kind === "layer") return store.refs.layer(found.ref.layer).created;
  const ref = found.kind === "container" ? found.ref : found.past?.ref;
  return ref?.captured ?? ref?.created ?? "1970-01-01T00:00:00Z";
}

function writeTarFile(
  context: Context,
  tree: Tree,
  idMap: IdMap | null,
  { target, noSync = false }: ExportParams,
): Promise<Written> {
  const { trees } = context.store;
  return makeInPlace(context.store, target, "file", async (path) => {
    requireRoomFor(dirname(path), tree.root.listing, () => neededForTar(diffTrees(trees, undefined, tree)));
    await using file = await open(path, "wx");
    const written = await writeTar(context, tree, idMap, async (bytes) => {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
    });
    if (!noSync) await file.sync();
    return written;
  });
}

async function writeTar(
  context: Context,
  tree: Tree,
  idMap: IdMap | null,
  output: (bytes: Uint8Array) => Promise<void>,
): Promise<Written> {
  const losses = new LossTally();
  const changes: Iterable<Change> = diffTrees(context.store.trees, undefined, tree);
  const ids = new LossTally();
  const shifted = idMap === null ? changes : shiftedOut(changes, idMap, (...loss) => ids.add(...loss));
  const stream = tarStream(shifted, context.store.content, {
    ...progressOf(context, tree),
    onLoss: (path, kind) => losses.add(kind, path),
  });
  for await (const bytes of stream) await output(bytes);
  const lost = losses.list.reduce((sum, { count }) => sum + count, 0);
  const { entries, bytes } = tree.root.listing;
  return { entries: entries - lost, bytes, losses: [...losses.list, ...ids.list], omitted: [] };
}

/** @throws {StoreError} SOURCE_INVALID if what was written does not read back as the same tree */
async function compare(context: Context, tree: Tree, target: string, idMap: IdMap | null): Promise<void> {
  const shift = idMap === null ? undefined : shiftedIn(idMap, () => undefined);
  const { digest } = await readSource(context, { source: target }, { shift });
  if (digest === tree.digest) return;
  throw new StoreError("SOURCE_INVALID", {
    source: target,
    reason: `reads back as ${digest}, not as what was written`,
  });
}

function progressOf(context: Context, tree: Tree): Pick<Parameters<typeof writeDirectory>[3] & object, "onProgress"> {
  const { entries: totalEntries, bytes: totalBytes } = tree.root.listing;
  return {
    ...(context.signal && { signal: context.signal }),
    onProgress: ({ entries, bytes }) =>
      context.onProgress?.({ phase: "exporting", entries, bytes, totalEntries, totalBytes }),
  };
}
