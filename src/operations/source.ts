import { createReadStream, openSync, realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import type { ContentWriter, RawChange } from "../model/change.ts";
import { byteStringOf } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { plainStream } from "../sources/decompress.ts";
import { directoryChanges } from "../sources/directory.ts";
import { tarChanges } from "../sources/tar.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree } from "../trees/tree-store.ts";
import { setImmediate as nextRound } from "node:timers/promises";
import { aside } from "./context.ts";
import type { Context } from "./context.ts";
import { Exclusion } from "./exclusion.ts";
import { KnownFiles } from "./known-files.ts";
import { parseOciPlace, readOci } from "./read-oci.ts";
import type { OciReading } from "./read-oci.ts";
import { roomWatch } from "./room.ts";

export interface SourceParams {
  /** A directory, a tar (plain, gzip, xz or zstd), `-` for a tar on `Context.input`, or an image of an OCI layout, `oci:DIR[:TAG]`. */
  readonly source: string;
  /** Globs over paths; one without a slash fits a name in any directory. What is below an excluded directory is, too. */
  readonly exclude?: readonly string[];
  /** Leaves out what is mounted below a source directory. */
  readonly oneFileSystem?: boolean;
}

export interface ReadOptions {
  /** Makes of each change what it means. */
  readonly shift?: ((change: RawChange) => RawChange) | undefined;
  /** Does not read files of a directory that were read before and have not changed since. */
  readonly trustKnown?: boolean;
}

/** Reads a source into a tree, over nothing. Its content and nodes are in the store, but not yet durable. */
export async function readSource(
  context: Context,
  params: SourceParams,
  { shift = (change) => change, trustKnown = false }: ReadOptions = {},
): Promise<Tree> {
  const { store } = context;
  const { source } = params;
  const builder = new TreeBuilder(store.trees);
  const exclusion = new Exclusion(params.exclude ?? []);
  if (source.startsWith("oci:")) return await readOciSource(context, params, exclusion, shift);
  const isDirectory = source !== "-" && sourceType(source) === "directory";
  const known = trustKnown && isDirectory ? KnownFiles.open(store, source) : undefined;
  return await aside(context, async () => {
    for await (const batch of openSource(context, params, exclusion, known)) {
      // Most of it is no waiting: others would have no turn.
      await nextRound();
      for (const change of batch) {
        const kept = exclusion.keep(change);
        if (kept !== undefined) builder.apply(shift(kept));
      }
    }
    const tree = builder.finish();
    known?.save();
    return tree;
  });
}

async function readOciSource(
  context: Context,
  { source }: SourceParams,
  exclusion: Exclusion,
  shift: (change: RawChange) => RawChange,
): Promise<Tree> {
  const place = parseOciPlace(source);
  if (place === undefined) throw new StoreError("USAGE", { reason: `"${source}" is no layout`, hint: "oci:DIR[:TAG]" });
  const reading: OciReading = {
    writer: watched(context.store.content.writer(), roomWatch(context)),
    keep: (change) => {
      const kept = exclusion.keep(change);
      return kept && shift(kept);
    },
    onProgress: progressOf(context),
  };
  return await aside(context, () => readOci(context, place, reading));
}

/** For people. */
export function describeSource({ source }: SourceParams): string {
  return source === "-" ? "standard input" : source.startsWith("oci:") ? source : resolve(source);
}

function progressOf({ store, onProgress }: Context): (progress: { entries: number; bytes: number }) => void {
  const began = store.chunks.stats();
  return ({ entries, bytes }) =>
    onProgress?.({
      phase: "importing",
      entries,
      bytes,
      newBytes: store.chunks.stats().newPlainBytes - began.newPlainBytes,
    });
}

function openSource(
  context: Context,
  params: SourceParams,
  exclusion: Exclusion,
  known: KnownFiles | undefined,
): AsyncIterable<readonly RawChange[]> {
  const { store, signal } = context;
  const { source } = params;
  const options = { ...(signal && { signal }), onProgress: progressOf(context) };
  const writer = watched(store.content.writer(), roomWatch(context));
  if (source === "-") {
    if (context.input === undefined) throw new StoreError("USAGE", { reason: "there is no input to read" });
    const named = { source: describeSource(params), ...options };
    return tarChanges(plainStream(context.input, named), writer, named);
  }
  const type = sourceType(source);
  if (type === "directory") {
    const inside = storeBelow(context, source);
    const exclude = (path: TreePath): boolean => path === inside || exclusion.covers(path);
    const { oneFileSystem = false } = params;
    return directoryChanges(source, writer, { exclude, oneFileSystem, known, ...options });
  }
  return tarChanges(plainStream(openSourceFile(source), { source, ...options }), writer, { source, ...options });
}

function watched(writer: ContentWriter, look: () => void): ContentWriter {
  return {
    write: (bytes) => {
      look();
      return writer.write(bytes);
    },
    hole: (length) => writer.hole(length),
    end: () => writer.end(),
  };
}

/** The bytes of a regular file. @throws {StoreError} NOT_FOUND, NOT_PERMITTED, SOURCE_INVALID for a directory or device */
export function openSourceFile(source: string): AsyncIterable<Uint8Array> {
  if (sourceType(source) === "directory") throw new StoreError("SOURCE_INVALID", { source, reason: "is a directory" });
  return createReadStream("", { fd: openFile(source), highWaterMark: 1 << 20 });
}

function sourceType(source: string): "directory" | "file" {
  const found = reading(source, () => statSync(source));
  if (found.isDirectory()) return "directory";
  if (found.isFile()) return "file";
  // A pipe without a writer and /dev/zero would never end, and hold the store.
  throw new StoreError("SOURCE_INVALID", {
    source,
    reason: "is neither a directory nor a regular file",
    hint: "a tar from a pipe or a device comes by standard input, as -",
  });
}

function openFile(source: string): number {
  return reading(source, () => openSync(source, "r"));
}

function reading<T>(source: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw asStoreError(error, `reading ${source}`);
    throw new StoreError(
      "NOT_FOUND",
      { what: `no file or directory "${source}"`, hint: "name a directory, a tar, or - for standard input" },
      { cause: error },
    );
  }
}

/** Where the store itself is in a directory of the host: nobody wants it in a tree. */
export function storeBelow({ store }: Context, directory: string): TreePath | undefined {
  return pathBelow(
    reading(directory, () => realpathSync(directory)),
    store.paths.directory,
  );
}

/** The path of `inner` within `outer`; undefined if it is not below it. */
function pathBelow(outer: string, inner: string): TreePath | undefined {
  const prefix = outer === "/" ? "/" : `${outer}/`;
  return inner.startsWith(prefix) ? byteStringOf(inner.slice(prefix.length)) : undefined;
}
