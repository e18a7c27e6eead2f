import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync } from "node:fs";
import type { ContentStore } from "../chunks/content-store.ts";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { parseDigest } from "../model/digest.ts";
import type { Digest } from "../model/digest.ts";
import type { TreePath } from "../model/name.ts";
import { writeDirectory } from "../sinks/directory.ts";
import type { WriteOptions } from "../sinks/directory.ts";
import type { Written } from "../sinks/written.ts";
import type { StorePaths } from "../store-paths.ts";
import { setImmutable } from "../sys/attributes.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { lock } from "../sys/lock.ts";
import { bindReadOnly, isMountPoint } from "../sys/mounts.ts";
import { diffTrees } from "../trees/diff.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import { changedPaths, readExport, readManifest, writeManifest } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";

export interface SharedExport {
  readonly key: Digest;
  readonly entries: number;
  /** What differs from what was written; undefined if its manifest is lost. */
  readonly changed: readonly TreePath[] | undefined;
}

/**
 * Trees as real directories, each made once and shared by all containers that stand on it. Named by tree digest, so a
 * container's config can name one before it exists, and none ever changes.
 *
 * They are seen through a read-only mount, and their roots are immutable: a container's tools, `lxc-destroy` above all,
 * do them no harm. docs/design.md, "Exports".
 */
export class SharedExports {
  readonly #paths: StorePaths;
  readonly #trees: TreeStore;
  readonly #content: ContentStore;

  /** Borrows all. */
  constructor(paths: StorePaths, trees: TreeStore, content: ContentStore) {
    this.#paths = paths;
    this.#trees = trees;
    this.#content = content;
  }

  /** Where the export of a tree is, or will be once it is made. */
  path(key: Digest): string {
    return `${this.#paths.exports}/${key}`;
  }

  /** The tree that `path` is the export of. */
  keyOf(path: string): Digest | undefined {
    const prefix = `${this.#paths.exports}/`;
    return path.startsWith(prefix) ? parseDigest(path.slice(prefix.length)) : undefined;
  }

  /** Makes the export unless it is there. A killed process leaves nothing that looks like one. */
  async ensure(key: Digest, options: WriteOptions = {}): Promise<Written | undefined> {
    await this.protect();
    const home = this.#private(key);
    if (existsSync(home)) {
      setImmutable(home, true);
      return undefined;
    }
    const partial = hiddenName();
    const target = `${this.#paths.privateExports}/${partial}`;
    try {
      const changes = diffTrees(this.#trees, undefined, this.#trees.tree(key));
      const written = await writeDirectory(target, changes, this.#content, { ...options, lower: true });
      writeManifest(this.#manifest(key), readExport(target));
      // In this process, two may have been asked for it at once.
      if (existsSync(home)) return undefined;
      // By its parent: the tree's root may be a directory that its owner cannot read.
      syncFilesystem(this.#paths.privateExports);
      renameSync(target, home);
      setImmutable(home, true);
      syncPath(this.#paths.privateExports);
      return written;
    } catch (error) {
      throw asStoreError(error, `exporting to ${target}`);
    } finally {
      if (existsSync(target)) this.#removeHidden(partial);
    }
  }

  /** Removes what a killed process was making or taking apart. Nothing may be doing that now. */
  sweep(): void {
    const names = readdirSync(this.#paths.privateExports);
    for (const name of names) if (name.startsWith(HIDDEN)) this.#removeHidden(name);
  }

  /** Shows the exports read-only at their public place, again after each boot. Who may not mount gets a symlink. */
  async protect(): Promise<void> {
    const { exports, privateExports, mountLock } = this.#paths;
    const isLink = (): boolean => lstatSync(exports, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
    const isProtected = (): boolean => isLink() || isMountPoint(exports);
    if (isProtected()) return;
    using _lock = await lock(mountLock, { waitMs: MOUNT_WAIT_MS });
    if (isProtected()) return;
    // It is gone if a process was killed between the two last calls below.
    mkdirSync(exports, { recursive: true, mode: 0o700 });
    try {
      bindReadOnly(privateExports, exports);
    } catch (error) {
      if (errnoOf(error) !== "EPERM") throw error;
      rmdirSync(exports);
      symlinkSync("private/exports", exports);
    }
  }

  /** Those that are there. */
  keys(): Digest[] {
    return readdirSync(this.#paths.privateExports)
      .sort()
      .flatMap((name) => parseDigest(name) ?? []);
  }

  /** Walks each of them. */
  *list(): Generator<SharedExport> {
    for (const key of this.keys()) {
      const now = readExport(this.#private(key));
      const then = this.#then(key);
      yield { key, entries: now.size, changed: then && changedPaths(then, now) };
    }
  }

  /** Removes an export that nobody uses any more. Crash-safe: it is out of its place before it is taken apart. */
  remove(key: Digest): void {
    const home = this.#private(key);
    setImmutable(home, false);
    const aside = hiddenName();
    renameSync(home, `${this.#paths.privateExports}/${aside}`);
    rmSync(this.#manifest(key), { force: true });
    this.#removeHidden(aside);
  }

  #removeHidden(name: string): void {
    using directory = DirectoryHandle.open(this.#paths.privateExports);
    directory.removeTree(name);
  }

  #then(key: Digest): Manifest | undefined {
    try {
      return readManifest(this.#manifest(key));
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || error instanceof StoreError) return undefined;
      throw error;
    }
  }

  #private(key: Digest): string {
    return `${this.#paths.privateExports}/${key}`;
  }

  #manifest(key: Digest): string {
    return `${this.#paths.manifests}/${key}`;
  }
}

/** A hook that mounts holds the lock for as long as mount(8) takes. */
const MOUNT_WAIT_MS = 30_000;

/** Beside the exports: a directory that its owner may not write to can be renamed, but not moved to another parent. */
const HIDDEN = ".";

function hiddenName(): string {
  return HIDDEN + randomBytes(8).toString("hex");
}
