import { closeSync, writeSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { baseName, parentPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { FileNode } from "../model/node.ts";
import type { FilesAtHand } from "../sinks/files-at-hand.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { cloneFile } from "../sys/file.ts";
import { PathWalker } from "../sys/path-walker.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import { hiddenName } from "./hidden.ts";
import { identityOf } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";

/** What of an export's directory is still as its manifest has it. */
export class KnownFiles implements Disposable {
  readonly #root: DirectoryHandle;
  readonly #walker: PathWalker;
  readonly #manifest: Manifest;

  private constructor(root: DirectoryHandle, manifest: Manifest) {
    this.#root = root;
    this.#walker = PathWalker.open(root);
    this.#manifest = manifest;
  }

  static open(directory: string, manifest: Manifest): KnownFiles {
    return new KnownFiles(DirectoryHandle.open(directory), manifest);
  }

  /** Whether something was made at `path`. */
  has(path: TreePath): boolean {
    return this.#manifest.has(path);
  }

  /** The directory that holds what was made at `path`, good until the next call; undefined if that was changed. */
  directoryOf(path: TreePath): DirectoryHandle | undefined {
    try {
      this.#walker.goTo(parentPath(path));
      const stat = this.#walker.current.stat(baseName(path));
      return stat.type === "file" && identityOf(stat) === this.#manifest.get(path) ? this.#walker.current : undefined;
    } catch (error) {
      if (GONE.has(errnoOf(error) ?? "")) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#walker[Symbol.dispose]();
    this.#root.close();
  }
}

/** For an export that is made again: what was not changed of it gets a further name. */
export class LinkedFiles implements FilesAtHand {
  readonly #files: KnownFiles;

  /** Borrows `files`, of the same export. */
  constructor(files: KnownFiles) {
    this.#files = files;
  }

  make(path: TreePath, _node: FileNode, directory: DirectoryHandle, name: string): "whole" | undefined {
    const source = this.#files.directoryOf(path);
    if (source === undefined) return undefined;
    try {
      source.link(baseName(path), directory, name);
      return "whole";
    } catch (error) {
      if (LINK_REFUSED.has(errnoOf(error) ?? "")) return undefined;
      throw error;
    }
  }
}

/** For an export of a near tree: contents that both trees have at one path share their blocks. */
export class ClonedFiles implements FilesAtHand, Disposable {
  readonly #trees: TreeStore;
  readonly #tree: Tree;
  readonly #layers: readonly KnownFiles[];

  private constructor(trees: TreeStore, tree: Tree, layers: readonly KnownFiles[]) {
    this.#trees = trees;
    this.#tree = tree;
    this.#layers = layers;
  }

  /** Borrows `trees`. @param layers the exports that show `tree`, the topmost first */
  static open(
    trees: TreeStore,
    tree: Tree,
    layers: readonly { readonly directory: string; readonly manifest: Manifest }[],
  ): ClonedFiles {
    const opened: KnownFiles[] = [];
    try {
      for (const { directory, manifest } of layers) opened.push(KnownFiles.open(directory, manifest));
      return new ClonedFiles(trees, tree, opened);
    } catch (error) {
      for (const layer of opened) layer[Symbol.dispose]();
      throw error;
    }
  }

  make(path: TreePath, { content }: FileNode, directory: DirectoryHandle, name: string): "content" | undefined {
    if (content.size === 0) return undefined;
    const known = this.#trees.lookup(this.#tree, path);
    if (known?.type !== "file" || known.content.root !== content.root) return undefined;
    if (known.content.size !== content.size || known.content.sparse !== content.sparse) return undefined;
    const source = this.#layers.find((layer) => layer.has(path))?.directoryOf(path);
    if (source === undefined) return undefined;
    return cloneBetween(source, baseName(path), directory, name) ? "content" : undefined;
  }

  [Symbol.dispose](): void {
    for (const layer of this.#layers) layer[Symbol.dispose]();
  }
}

/** Whether files in `directory` can share their blocks (FICLONE). */
export function canClone(directory: string): boolean {
  using parent = DirectoryHandle.open(directory);
  const [from, to] = [hiddenName(), hiddenName()];
  const fd = parent.create(from, 0o600);
  try {
    try {
      writeSync(fd, "x");
    } finally {
      closeSync(fd);
    }
    const done = cloneBetween(parent, from, parent, to);
    if (done) parent.unlink(to);
    return done;
  } finally {
    parent.unlink(from);
  }
}

/** @returns false where the filesystem cannot, and nothing is made */
function cloneBetween(source: DirectoryHandle, from: string, target: DirectoryHandle, to: string): boolean {
  const fromFd = source.openRead(from);
  try {
    const toFd = target.create(to, 0o600);
    let done = false;
    try {
      done = cloneFile(fromFd, toFd);
    } finally {
      closeSync(toFd);
      if (!done) target.unlink(to);
    }
    return done;
  } finally {
    closeSync(fromFd);
  }
}

const GONE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EACCES", "ELOOP"]);
const LINK_REFUSED: ReadonlySet<string> = new Set(["EMLINK", "EPERM", "ENOTSUP", "EXDEV"]);
