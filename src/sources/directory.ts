import { errnoOf, StoreError } from "../errors.ts";
import type { ContentWriter, RawChange } from "../model/change.ts";
import { joinPath, type Name, ROOT, type TreePath } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { PathWalker } from "../sys/path-walker.ts";
import type { Stat } from "../sys/stat.ts";
import { NodeReader, type NodeReaderOptions } from "./node-reader.ts";
import { notPermitted, reading } from "./reading.ts";

export interface DirectoryOptions extends NodeReaderOptions {
  /** What is true of a path is not looked at, nor what is below it. */
  readonly exclude?: (path: TreePath) => boolean;
  /** Of what is mounted below, only the directory itself is read, as tar --one-file-system does. */
  readonly oneFileSystem?: boolean;
  /** Of what is in the directory these alone are read; of itself nothing. Default: all, and itself. */
  readonly only?: readonly Name[];
}

/**
 * All that is in the directory `path`, the directory itself first, as batches of puts and links. A symlink is followed
 * nowhere but in `path`. Content goes through `writer`.
 *
 * Memory: the names of one directory, the subdirectories still to do on the way to it, and the inodes that have names
 * still to come.
 *
 * @throws {StoreError} NOT_FOUND; SOURCE_INVALID if `path` is no directory, or what is in it changes while it is read;
 * NOT_PERMITTED
 */
export async function* directoryChanges(
  path: string,
  writer: ContentWriter,
  options: DirectoryOptions = {},
): AsyncGenerator<readonly RawChange[], void, undefined> {
  const { exclude, oneFileSystem = false, only } = options;
  using root = openSource(path);
  using walker = PathWalker.open(root);
  const { device } = root.statSelf();
  const reader = new NodeReader(path, writer, options);
  const inodes = new OpenInodes();
  const directories: TreePath[] = [ROOT];
  let batch: RawChange[] = [];

  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    if (batch.length >= BATCH_CHANGES) {
      yield batch;
      batch = [];
      await reader.turn();
    }
    const here = enter(walker, path, at);
    // Only now, not when its parent was listed: its times are then those of the listing that follows.
    const self = here.statSelf();
    const chosen = at === ROOT ? only : undefined;
    if (chosen === undefined) batch.push({ kind: "put", path: at, node: reader.readDirectory(here, at, self) });
    if (oneFileSystem && self.device !== device) continue;

    for (const name of chosen ?? reading(path, at, () => here.list())) {
      const below = joinPath(at, name);
      if (exclude?.(below)) continue;
      const listed = reading(path, below, () => here.stat(name));
      if (listed.type === "directory") {
        directories.push(below);
        continue;
      }
      const target = inodes.nameOf(listed);
      if (target !== undefined) {
        batch.push({ kind: "link", path: below, target });
      } else {
        const { node, stat } = await reader.read(here, at, name, listed);
        inodes.add(stat, below);
        batch.push({ kind: "put", path: below, node });
      }
      if (batch.length >= BATCH_CHANGES) {
        yield batch;
        batch = [];
        await reader.turn();
      }
    }
  }
  if (batch.length > 0) yield batch;
  await reader.turn();
}

const BATCH_CHANGES = 256;

function openSource(path: string): DirectoryHandle {
  try {
    return DirectoryHandle.open(path);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") throw new StoreError("NOT_FOUND", { what: `no directory "${path}"` }, { cause: error });
    if (code === "ENOTDIR")
      throw new StoreError("SOURCE_INVALID", { source: path, reason: "is no directory" }, { cause: error });
    if (code === "EACCES" || code === "EPERM") throw notPermitted(path, error);
    throw error;
  }
}

function enter(walker: PathWalker, source: string, path: TreePath): DirectoryHandle {
  reading(source, path, () => walker.goTo(path));
  return walker.current;
}

/** The inodes that have more names than were met so far, by their first one. */
class OpenInodes {
  readonly #inodes = new Map<string, { readonly path: TreePath; left: number }>();

  /** The first name of what `stat` is of, if this is a further one. */
  nameOf(stat: Stat): TreePath | undefined {
    if (stat.nlink < 2) return undefined;
    const inode = this.#inodes.get(keyOf(stat));
    if (inode === undefined) return undefined;
    if (--inode.left === 0) this.#inodes.delete(keyOf(stat));
    return inode.path;
  }

  add(stat: Stat, path: TreePath): void {
    if (stat.nlink > 1) this.#inodes.set(keyOf(stat), { path, left: stat.nlink - 1 });
  }
}

function keyOf({ device, ino }: Stat): string {
  return `${device} ${ino}`;
}
