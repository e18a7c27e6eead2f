import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { ContentStore } from "../chunks/content-store.ts";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import type { Digest } from "../model/digest.ts";
import type { IdMap } from "../model/id-map.ts";
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
import { exportKey, keyOfParts, parseKeyParts, partsOfKey } from "./export-key.ts";
import type { ExportKey, KeyParts } from "./export-key.ts";
import { changedPaths, readExport, readManifest, writeManifest } from "./manifest.ts";
import { openMappedExports } from "./mapped-exports.ts";

export interface SharedExport {
  readonly key: ExportKey;
  readonly tree: Digest;
  /** Undefined if there is one that cannot be told, since the manifest is lost. */
  readonly idMap: IdMap | null | undefined;
  readonly entries: number;
  /** What differs from what was written; undefined if its manifest is lost. */
  readonly changed: readonly TreePath[] | undefined;
}

export interface ExportOptions extends WriteOptions {
  /** Of the containers that are to stand on it: whose ids it has, and whose overlays are mounted with `userxattr`. */
  readonly idMap?: IdMap | null;
}

/**
 * Trees as real directories, each made once for each id map, and shared by all containers that stand on it. Named by tree digest, so
 * a container's config can name one before it exists, and none ever changes.
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

  /** Where an export is, or will be once it is made. */
  path(key: ExportKey): string {
    const { tree, map } = partsOfKey(key);
    return map === undefined ? `${this.#paths.exports}/${tree}` : `${this.#paths.mapped}/${map}/${tree}`;
  }

  /** What `path` is the export of. */
  keyOf(path: string): ExportKey | undefined {
    const parts = this.#partsOf(path);
    return parts && keyOfParts(parts);
  }

  /** The tree that `path` is the export of. */
  treeOf(path: string): Digest | undefined {
    return this.#partsOf(path)?.tree;
  }

  #partsOf(path: string): KeyParts | undefined {
    const { exports, mapped } = this.#paths;
    const below = (directory: string): string[] | undefined =>
      path.startsWith(`${directory}/`) ? path.slice(directory.length + 1).split("/") : undefined;
    const [tree = "", ...none] = below(exports) ?? [];
    if (tree !== "") return none.length === 0 ? parseKeyParts(tree) : undefined;
    const [map, mappedTree = "", ...others] = below(mapped) ?? [];
    return others.length === 0 ? parseKeyParts(mappedTree, map ?? "") : undefined;
  }

  /** Makes the export unless it is there. A killed process leaves nothing that looks like one. */
  async ensure(tree: Digest, options: ExportOptions = {}): Promise<Written | undefined> {
    const { idMap = null } = options;
    const key = exportKey(tree, idMap);
    const home = this.#private(key);
    const directory = dirname(home);
    if (idMap !== null) openMappedExports(this.#paths, directory, idMap);
    await this.protect(idMap === null ? "exports" : "mapped");
    if (existsSync(home)) {
      setImmutable(home, true);
      return undefined;
    }
    const partial = hiddenName();
    const target = `${directory}/${partial}`;
    try {
      const changes = diffTrees(this.#trees, undefined, this.#trees.tree(tree));
      const lower = idMap === null ? "trusted" : "user";
      const written = await writeDirectory(target, changes, this.#content, { ...options, lower });
      writeManifest(this.#manifest(key), readExport(target), idMap);
      // In this process, two may have been asked for it at once.
      if (existsSync(home)) return undefined;
      // By its parent: the tree's root may be a directory that its owner cannot read.
      syncFilesystem(directory);
      renameSync(target, home);
      setImmutable(home, true);
      syncPath(directory);
      return written;
    } catch (error) {
      throw asStoreError(error, `exporting to ${target}`);
    } finally {
      if (existsSync(target)) removeHidden(directory, partial);
    }
  }

  /** Removes what a killed process was making or taking apart. Nothing may be doing that now. */
  sweep(): void {
    for (const directory of this.#directories())
      for (const name of readdirSync(directory)) if (name.startsWith(HIDDEN)) removeHidden(directory, name);
  }

  /** Shows exports read-only at their public place, again after each boot. Who may not mount gets a symlink. */
  async protect(which: "exports" | "mapped" = "exports"): Promise<void> {
    const { mountLock } = this.#paths;
    const shown = this.#paths[which];
    const hidden = which === "exports" ? this.#paths.privateExports : this.#paths.privateMapped;
    const isLink = (): boolean => lstatSync(shown, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
    const isProtected = (): boolean => isLink() || isMountPoint(shown);
    if (isProtected()) return;
    using _lock = await lock(mountLock, { waitMs: MOUNT_WAIT_MS });
    if (isProtected()) return;
    // It is gone if a process was killed between the two last calls below.
    mkdirSync(shown, { recursive: true, mode: 0o700 });
    try {
      bindReadOnly(hidden, shown);
    } catch (error) {
      if (errnoOf(error) !== "EPERM") throw error;
      rmdirSync(shown);
      symlinkSync(`private/${which}`, shown);
    }
  }

  /** Those that are there. */
  keys(): ExportKey[] {
    return this.#directories().flatMap((directory) => {
      const map = directory === this.#paths.privateExports ? undefined : basename(directory);
      const found = readdirSync(directory).sort();
      return found.flatMap((name) => {
        const parts = parseKeyParts(name, map);
        return parts === undefined ? [] : keyOfParts(parts);
      });
    });
  }

  /** Walks each of them. */
  *list(): Generator<SharedExport> {
    for (const key of this.keys()) {
      const now = readExport(this.#private(key));
      const then = this.#then(key);
      const { tree, map } = partsOfKey(key);
      const idMap = map === undefined ? null : (then?.idMap ?? undefined);
      yield { key, tree, idMap, entries: now.size, changed: then && changedPaths(then.manifest, now) };
    }
  }

  /** Removes an export that nobody uses any more. Crash-safe: it is out of its place before it is taken apart. */
  remove(key: ExportKey): void {
    const home = this.#private(key);
    setImmutable(home, false);
    const aside = hiddenName();
    const directory = dirname(home);
    renameSync(home, `${directory}/${aside}`);
    rmSync(this.#manifest(key), { force: true });
    removeHidden(directory, aside);
  }

  #then(key: ExportKey): ReturnType<typeof readManifest> | undefined {
    try {
      return readManifest(this.#manifest(key));
    } catch (error) {
      if (errnoOf(error) === "ENOENT" || error instanceof StoreError) return undefined;
      throw error;
    }
  }

  #private(key: ExportKey): string {
    const { tree, map } = partsOfKey(key);
    const { privateExports, privateMapped } = this.#paths;
    return map === undefined ? `${privateExports}/${tree}` : `${privateMapped}/${map}/${tree}`;
  }

  /** Those that hold exports. */
  #directories(): string[] {
    const { privateExports, privateMapped } = this.#paths;
    const maps = existsSync(privateMapped) ? readdirSync(privateMapped).sort() : [];
    return [privateExports, ...maps.map((map) => `${privateMapped}/${map}`)];
  }

  #manifest(key: ExportKey): string {
    return `${this.#paths.manifests}/${key}`;
  }
}

/** A hook that mounts holds the lock for as long as mount(8) takes. */
const MOUNT_WAIT_MS = 30_000;

/** Beside the exports: a directory that its owner may not write to can be renamed, but not moved to another parent. */
const HIDDEN = ".";

function removeHidden(parent: string, name: string): void {
  using directory = DirectoryHandle.open(parent);
  directory.removeTree(name);
}

function hiddenName(): string {
  return HIDDEN + randomBytes(8).toString("hex");
}
