import { lstatSync } from "node:fs";
import { basename, resolve } from "node:path";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import type { Change, LinkGroup } from "../model/change.ts";
import { comparePaths, displayName, joinPath, ROOT } from "../model/name.ts";
import type { Name, TreePath } from "../model/name.ts";
import { EMPTY_LISTING, IMPLIED_DIRECTORY } from "../model/node.ts";
import type { Node } from "../model/node.ts";
import { beginPartial } from "../exports/partials.ts";
import { writeDirectory } from "../sinks/directory.ts";
import type { Losses, Written } from "../sinks/written.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { isDirectory } from "../sys/is-directory.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import type { Context } from "./context.ts";
import { locate } from "./locate.ts";

export interface GetParams {
  /** Each `REF:/path`: a file or a directory with all below. A symlink in the last place is got itself. */
  readonly paths: readonly string[];
  /** A directory that is there. */
  readonly target: string;
  /** What this user may not make, such as devices and other owners, is left out; that is no loss then. */
  readonly asUser?: boolean;
}

export interface Got {
  readonly target: string;
  readonly entries: number;
  readonly bytes: number;
  readonly losses: Losses;
  readonly omitted: Losses;
}

/**
 * Copies files and directories out, with their metadata and hard links between them. They are in place only once all of them
 * are complete and safe from a power cut.
 *
 * @throws {StoreError} USAGE, NOT_FOUND, EXISTS if the directory has one of the names, NOT_PERMITTED, NO_SPACE
 */
export async function get(context: Context, { paths, target, asUser = false }: GetParams): Promise<Got> {
  using _operation = context.store.begin();
  const chosen: Chosen[] = [];
  for (const text of paths) chosen.push(await choose(context, text));
  chosen.sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = chosen.find(({ name }, i) => name === chosen[i - 1]?.name);
  if (twice) throw new StoreError("USAGE", { reason: `two of the files are named "${displayName(twice.name)}"` });
  const directory = resolve(target);
  if (!isDirectory(directory))
    throw new StoreError("NOT_FOUND", { what: `no directory ${target}`, hint: "make it first" });
  try {
    const { entries, bytes, losses, omitted } = await copyOut(context, chosen, directory, asUser);
    return { target: directory, entries, bytes, losses, omitted };
  } catch (error) {
    throw asStoreError(error, `writing to ${target}`);
  }
}

/** A file or a directory on its way out. */
interface Chosen {
  readonly name: Name;
  readonly tree: Tree;
  readonly path: TreePath;
  readonly node: Node;
}

async function choose(context: Context, text: string): Promise<Chosen> {
  const { ref, names, entry } = await locate(context, text, false);
  if (entry.path !== "")
    return { name: entry.name, tree: names.tree, path: entry.path.slice(1), node: names.node(entry) };
  throw new StoreError("USAGE", {
    reason: `${text} is all of ${ref}, which has no name of its own`,
    hint: `delta0 export ${ref} DIR`,
  });
}

/** By way of a hidden directory in the target. */
async function copyOut(
  { store, signal, onProgress }: Context,
  chosen: readonly Chosen[],
  target: string,
  asUser: boolean,
): Promise<Written> {
  using directory = DirectoryHandle.open(target);
  const taken = chosen.find(({ name }) => lstatSync(placeOf(target, name), { throwIfNoEntry: false }) !== undefined);
  if (taken) throw exists(target, taken.name);
  using partial = beginPartial(store.paths.partials, target);
  const written = await writeDirectory(partial.path, changesOf(store.trees, chosen), store.content, {
    asUser,
    signal,
    onProgress: (progress) => onProgress?.({ phase: "copying", ...progress }),
  });
  syncFilesystem(target);
  using made = directory.openDirectory(basename(partial.path));
  for (const { name } of chosen) moveIn(made, directory, name, target);
  syncPath(target);
  return written;
}

function placeOf(target: string, name: Name): Buffer {
  return Buffer.concat([Buffer.from(`${target}/`), Buffer.from(name, "latin1")]);
}

function moveIn(from: DirectoryHandle, to: DirectoryHandle, name: Name, target: string): void {
  try {
    from.rename(name, to, name, { noReplace: true });
  } catch (error) {
    // What could not be made is a loss, and was said.
    if (errnoOf(error) === "ENOENT") return;
    throw errnoOf(error) === "EEXIST" ? exists(target, name) : error;
  }
}

function exists(target: string, name: Name): StoreError {
  return new StoreError("EXISTS", {
    what: `${target}/${displayName(name)} exists`,
    hint: "remove it, or name another",
  });
}

/** A tree of what was chosen, each under its own name. */
function* changesOf(trees: TreeStore, chosen: readonly Chosen[]): Generator<Change> {
  const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const root: Node = { type: "directory", linked: false, ...IMPLIED_DIRECTORY, ...owner, listing: EMPTY_LISTING };
  yield { path: ROOT, before: undefined, after: root };
  for (const { name, tree, path, node } of chosen) {
    for (const [below, after] of subtree(trees, node)) {
      const link = after.linked ? linkOf(trees, chosen, tree, below === ROOT ? path : `${path}/${below}`) : undefined;
      yield { path: below === ROOT ? name : `${name}/${below}`, before: undefined, after, link };
    }
  }
}

function* subtree(trees: TreeStore, top: Node): Generator<readonly [TreePath, Node]> {
  yield [ROOT, top];
  if (top.type !== "directory") return;
  const stack = [{ path: ROOT, entries: trees.entries(top.listing) }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const step = frame.entries.next();
    if (step.done === true) {
      stack.pop();
      continue;
    }
    const [name, node] = step.value;
    const path = joinPath(frame.path, name);
    yield [path, node];
    if (node.type === "directory") stack.push({ path, entries: trees.entries(node.listing) });
  }
}

/** Those names of a file that go out, as they are called there. */
function linkOf(trees: TreeStore, chosen: readonly Chosen[], tree: Tree, path: TreePath): LinkGroup | undefined {
  const group = trees.linkMap(tree).get(path) ?? [];
  const names = chosen.flatMap((each) => {
    if (each.tree.digest !== tree.digest) return [];
    const within = group.filter((name) => name === each.path || name.startsWith(`${each.path}/`));
    return within.map((name) => each.name + name.slice(each.path.length));
  });
  return names.length < 2 ? undefined : names.sort(comparePaths);
}
