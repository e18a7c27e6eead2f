import { posix } from "node:path";
import { StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { ContainerView } from "../overlay/container-view.ts";
import type { TreeView } from "../overlay/tree-view.ts";
import { ContainerDraft } from "./container-draft.ts";
import type { Context } from "./context.ts";
import { warn } from "./context.ts";
import { fileFailure, nothingChanged } from "./file-failure.ts";
import { parseFileRef } from "./locate.ts";

/** A file of a container. */
export interface ContainerFile {
  /** The container's name. */
  readonly ref: string;
  /** As it was given, with a slash first. */
  readonly path: string;
}

export interface FilesChanged<T> {
  /** What was done to each path, in the order they were given. */
  readonly items: readonly T[];
  /** The containers that they are in, as they are now. */
  readonly containers: readonly ChangedContainer[];
}

export interface ChangedContainer {
  readonly name: string;
  readonly digest: Digest;
}

/**
 * Changes files of stopped containers, one `NAME:/path` after the other. Should one of them fail, none was changed.
 *
 * @param change what it throws is told as of the path
 * @throws {StoreError} USAGE, NOT_FOUND, EXISTS, REFUSED
 */
export async function changeFiles<T>(
  context: Context,
  paths: readonly string[],
  change: (view: ContainerView, file: ContainerFile) => Promise<T>,
): Promise<FilesChanged<T>> {
  using _operation = context.store.begin();
  const files = paths.map(parseFileRef);
  const drafts = new Map<string, ContainerDraft>();
  try {
    const items: T[] = [];
    for (const file of files) {
      context.signal?.throwIfAborted();
      const draft = drafts.get(file.ref) ?? (await ContainerDraft.open(context, file.ref));
      drafts.set(file.ref, draft);
      try {
        items.push(await change(draft.view, file));
      } catch (error) {
        const failure = fileFailure(error, file);
        throw files.length > 1 ? nothingChanged(failure) : failure;
      }
    }
    return { items, containers: await recordAll(context, [...drafts.values()]) };
  } finally {
    for (const draft of drafts.values()) await draft[Symbol.asyncDispose]();
  }
}

async function recordAll(context: Context, drafts: readonly ContainerDraft[]): Promise<ChangedContainer[]> {
  const frozen: { draft: ContainerDraft; digest: Digest }[] = [];
  for (const draft of drafts) frozen.push({ draft, digest: await draft.freeze() });
  const done: ChangedContainer[] = [];
  try {
    for (const { draft, digest } of frozen) {
      await draft.record(digest);
      done.push({ name: draft.name, digest });
    }
  } catch (error) {
    if (done.length > 0) warn(context, `changed already: ${done.map(({ name }) => name).join(", ")}`);
    throw error;
  }
  return done;
}

/** Paths that must be in one container. @throws {StoreError} USAGE */
export function filesOfOne(paths: readonly string[]): ContainerFile[] {
  const files = paths.map(parseFileRef);
  const [first, other] = new Set(files.map(({ ref }) => ref));
  if (other === undefined) return files;
  throw new StoreError("USAGE", {
    reason: `${first ?? ""} and ${other} are two containers`,
    hint: "get files out of one, and put them into the other",
  });
}

/** Where things go. */
export interface Destination {
  readonly target: ContainerFile;
  /** The target is the name itself, also if a directory has it. */
  readonly noTargetDirectory: boolean;
}

/**
 * Where things with these names go, as cp, mv and ln have it: into the target if it is a directory, else one thing goes to its
 * name.
 *
 * @throws {StoreError} USAGE for several things and no directory
 */
export function placesFor(view: TreeView, names: readonly string[], destination: Destination): string[] {
  const { target, noTargetDirectory } = destination;
  if (!noTargetDirectory && isDirectory(view, target.path)) {
    // Not joined by posix.join, which takes a symlink away with the ".." after it.
    const directory = target.path.replace(/\/+$/, "");
    return names.map((name) => `${directory}/${name}`);
  }
  requireOne(names.length, destination);
  return [target.path];
}

/** @throws {StoreError} USAGE for several things that are to have one name */
export function requireOne(count: number, { target, noTargetDirectory }: Destination): void {
  if (count === 1) return;
  throw new StoreError("USAGE", {
    reason: noTargetDirectory
      ? `several things cannot all become ${shownFile(target)}`
      : `${shownFile(target)} is no directory, which several things could go into`,
  });
}

/** Where symlinks lead to counts. What cannot be looked up is none. */
export function isDirectory(view: TreeView, path: string): boolean {
  return view.existsSync(path) && view.statSync(path).isDirectory();
}

export function shownFile({ ref, path }: ContainerFile): string {
  return `${ref}:${path}`;
}

/** The last name of a path, whether a slash follows or not; "" for the root, ".", and "..". */
export function lastName(path: string): string {
  const name = posix.basename(path);
  return name === "." || name === ".." ? "" : name;
}

/** A file below a directory. */
export interface FileBelow {
  /** With the directory's, as bytes: names need be no text. */
  readonly path: Buffer;
  readonly isSymlink: boolean;
}

/** All that is below a directory, each directory before what is in it. Symlinks are not followed. */
export function* below(view: TreeView, directory: Buffer): Generator<FileBelow> {
  const left = [directory];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    for (const entry of view.readdirSync(at, { withFileTypes: true, encoding: "buffer" })) {
      const path = Buffer.concat([at, SLASH, entry.name]);
      yield { path, isSymlink: entry.isSymbolicLink() };
      if (entry.isDirectory()) left.push(path);
    }
  }
}

const SLASH = Buffer.from("/");
