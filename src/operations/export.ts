import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { errnoOf, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { Change } from "../model/change.ts";
import { writeDirectory } from "../sinks/directory.ts";
import { LossTally } from "../sinks/written.ts";
import type { Losses, Written } from "../sinks/written.ts";
import { tarStream } from "../sinks/tar.ts";
import { directoryChanges } from "../sources/directory.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { TreeBuilder } from "../trees/builder.ts";
import { diffTrees } from "../trees/diff.ts";
import type { Tree } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

export interface ExportParams {
  readonly ref: string;
  /** A directory that is new or empty, a file named `….tar`, or `-` for a tar to `Context.output`. */
  readonly target: string;
  /** What this user may not make, such as devices and other owners, is left out; that is no loss then. */
  readonly asUser?: boolean;
  /** Reads the directory back and compares. */
  readonly verify?: boolean;
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

/** Writes a tree out. A target file or directory is in place only once it is complete and safe from a power cut. */
export async function exportTree(context: Context, params: ExportParams): Promise<Exported> {
  const { ref, target, verify = false } = params;
  if (verify && (target === "-" || target.endsWith(".tar")))
    throw new StoreError("USAGE", { reason: "a tar is not read back", hint: "verify goes with a directory" });
  const { tree: digest } = await settledRef(context, ref);
  const tree = context.store.trees.tree(digest);
  const written = await write(context, tree, params);
  if (verify) await compare(context, tree, target);
  return { ref, digest, target, ...written, verified: verify };
}

async function write(context: Context, tree: Tree, params: ExportParams): Promise<Written> {
  const { target } = params;
  if (target.startsWith("oci:")) throw new StoreError("UNSUPPORTED", { what: "OCI layouts are not written yet" });
  if (target === "-") {
    if (context.output === undefined) throw new StoreError("USAGE", { reason: "there is no output to write to" });
    return writeTar(context, tree, context.output);
  }
  if (/\.(tar\.(gz|xz|zst)|tgz|txz)$/.test(target))
    throw new StoreError("UNSUPPORTED", {
      what: "compressed tars are not written",
      hint: `delta0 export ${params.ref} - | zstd > ${target}`,
    });
  requireParent(target);
  return target.endsWith(".tar") ? writeTarFile(context, tree, target) : writeTarget(context, tree, params);
}

async function writeTarget(context: Context, tree: Tree, { target, asUser = false }: ExportParams): Promise<Written> {
  const path = resolve(target);
  if (existsSync(path) && !isEmptyDirectory(path))
    throw new StoreError("EXISTS", { what: `${target} exists and is not empty`, hint: "name a new directory" });
  const partial = `.${basename(path)}.delta0-${randomBytes(6).toString("hex")}`;
  const partialPath = `${dirname(path)}/${partial}`;
  try {
    const changes = diffTrees(context.store.trees, undefined, tree);
    const written = await writeDirectory(partialPath, changes, context.store.content, {
      asUser,
      ...progressOf(context, tree),
    });
    syncFilesystem(partialPath);
    renameSync(partialPath, path);
    syncPath(dirname(path));
    return written;
  } catch (error) {
    if (existsSync(partialPath)) {
      using parent = DirectoryHandle.open(dirname(path));
      parent.removeTree(Buffer.from(partial).toString("latin1"));
    }
    throw error;
  }
}

async function writeTarFile(context: Context, tree: Tree, target: string): Promise<Written> {
  if (existsSync(target)) throw new StoreError("EXISTS", { what: `${target} exists`, hint: "name a new file" });
  const partial = `${resolve(target)}.${randomBytes(6).toString("hex")}.partial`;
  try {
    await using file = await open(partial, "wx");
    const written = await writeTar(context, tree, async (bytes) => {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
    });
    await file.sync();
    await rename(partial, target);
    syncPath(dirname(resolve(target)));
    return written;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeTar(context: Context, tree: Tree, output: (bytes: Uint8Array) => Promise<void>): Promise<Written> {
  const losses = new LossTally();
  const changes: Iterable<Change> = diffTrees(context.store.trees, undefined, tree);
  const stream = tarStream(changes, context.store.content, {
    ...progressOf(context, tree),
    onLoss: (path, kind) => losses.add(kind, path),
  });
  for await (const bytes of stream) await output(bytes);
  const lost = losses.list.reduce((sum, { count }) => sum + count, 0);
  const { entries, bytes } = tree.root.listing;
  return { entries: entries - lost, bytes, losses: losses.list, omitted: [] };
}

/** @throws {StoreError} SOURCE_INVALID if what was written does not read back as the same tree */
async function compare(context: Context, tree: Tree, target: string): Promise<void> {
  const { store } = context;
  const builder = new TreeBuilder(store.trees);
  for await (const batch of directoryChanges(target, store.content.writer()))
    for (const change of batch) builder.apply(change);
  const { digest } = builder.finish();
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

function requireParent(target: string): void {
  const parent = dirname(resolve(target));
  if (!existsSync(parent)) throw new StoreError("NOT_FOUND", { what: `no directory ${parent}`, hint: "make it first" });
}

function isEmptyDirectory(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch (error) {
    if (errnoOf(error) === "ENOTDIR") return false;
    throw error;
  }
}
