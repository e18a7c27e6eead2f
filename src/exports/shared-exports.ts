import { existsSync, readdirSync, renameSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { ContentStore } from "../chunks/content-store.ts";
import { asStoreError } from "../errors.ts";
import type { IdMap } from "../model/id-map.ts";
import type { Change } from "../model/change.ts";
import type { TreePath } from "../model/name.ts";
import type { TurnOptions } from "../sinks/turns.ts";
import type { Written } from "../sinks/written.ts";
import type { StorePaths } from "../store-paths.ts";
import { setImmutable } from "../sys/attributes.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem, syncPath } from "../sys/durable.ts";
import { diffTrees } from "../trees/diff.ts";
import type { TreeStore } from "../trees/tree-store.ts";
import { directoryName, keyOfParts, parseKeyParts, partsOfKey } from "./export-key.ts";
import type { ExportKey } from "./export-key.ts";
import { hasMap, lowestFirst, stackOfKeys, treeOfStack } from "./export-stack.ts";
import type { ExportStack } from "./export-stack.ts";
import { hiddenName, isHidden, removeHidden } from "./hidden.ts";
import { canClone, ClonedFiles, KnownFiles, LinkedFiles } from "./known-files.ts";
import { ManifestFiles } from "./manifest-files.ts";
import type { KnownChange } from "./manifest-files.ts";
import { changedPaths, readExport } from "./manifest.ts";
import type { ManifestHeader } from "./manifest.ts";
import { openMappedExports } from "./mapped-exports.ts";
import { nearestStack } from "./near-trees.ts";
import { PresentExports } from "./present-exports.ts";
import { protectExports } from "./protect.ts";
import { neededForDirectory, requireRoomFor } from "./room-for.ts";
import { writeExport } from "./write-export.ts";
import type { ExportOf } from "./write-export.ts";

export interface SharedExport {
  readonly key: ExportKey;
  readonly entries: number;
  /** Undefined if its manifest is lost. */
  readonly header: ManifestHeader | undefined;
  /** What differs from what was written; undefined if its manifest is lost. */
  readonly changed: readonly TreePath[] | undefined;
}

export interface ExportOptions extends TurnOptions {
  /** Of the containers that are to stand on it: whose ids it has, and whose overlays are mounted with `userxattr`. */
  readonly idMap?: IdMap | null;
}

export interface RepairOptions extends TurnOptions {
  readonly anew?: boolean;
}

/**
 * Trees as real directories, each made once for each id map, and shared by all containers that stand on it: whole ones, and what
 * trees change of others. Named by tree digests, so a container's config can name them before they exist, and none ever changes.
 *
 * They are seen through a read-only mount, and their roots are immutable: a container's tools, `lxc-destroy` above all,
 * do them no harm. docs/design.md, "Exports".
 */
export class SharedExports {
  readonly #paths: StorePaths;
  readonly #trees: TreeStore;
  readonly #content: ContentStore;
  readonly #manifests: ManifestFiles;

  /** Borrows all. */
  constructor(paths: StorePaths, trees: TreeStore, content: ContentStore) {
    this.#paths = paths;
    this.#trees = trees;
    this.#content = content;
    this.#manifests = new ManifestFiles(paths.manifests);
  }

  /** Where an export is, or will be once it is made. */
  path(key: ExportKey): string {
    return `${this.#shown(partsOfKey(key).map)}/${directoryName(partsOfKey(key))}`;
  }

  pathsOf(stack: ExportStack): string[] {
    return stack.map((key) => this.path(key));
  }

  #shown(map: string | undefined): string {
    return map === undefined ? this.#paths.exports : `${this.#paths.mapped}/${map}`;
  }

  /** What `path` is the export of. */
  keyOf(path: string): ExportKey | undefined {
    const { exports, mapped } = this.#paths;
    const isMapped = path.startsWith(`${mapped}/`);
    const [map, name = "", ...others] = isMapped
      ? path.slice(mapped.length + 1).split("/")
      : [undefined, ...(path.startsWith(`${exports}/`) ? path.slice(exports.length + 1).split("/") : [])];
    const parts = others.length > 0 ? undefined : parseKeyParts(name, map);
    return parts && keyOfParts(parts);
  }

  /** The stack that an overlay of these lowers stands on, if all of them are exports and make one. */
  stackOf(lowers: readonly string[]): ExportStack | undefined {
    const keys = lowers.flatMap((lower) => this.keyOf(lower) ?? []);
    return keys.length === lowers.length ? stackOfKeys(keys) : undefined;
  }

  /**
   * Makes those of a stack's exports that are not there. A killed process leaves nothing that looks like one.
   *
   * @returns of what was made, the lowest first
   */
  async ensure(stack: ExportStack, options: ExportOptions = {}): Promise<readonly Written[]> {
    const { idMap = null, ...turns } = options;
    if (!hasMap(stack, idMap)) throw new Error(`${stack[0]} is of another id map`);
    if (idMap !== null) openMappedExports(this.#paths, dirname(this.#home(stack[0])), idMap);
    await protectExports(this.#paths, idMap === null ? "exports" : "mapped");
    const made: Written[] = [];
    for (const [key, over] of lowestFirst(stack)) {
      const written = await this.#ensureOne({ key, over, idMap }, turns);
      if (written !== undefined) made.push(written);
    }
    return made;
  }

  async #ensureOne(of: ExportOf, turns: TurnOptions): Promise<Written | undefined> {
    const home = this.#home(of.key);
    const directory = dirname(home);
    if (existsSync(home)) {
      setImmutable(home, true);
      return undefined;
    }
    const partial = hiddenName();
    const target = `${directory}/${partial}`;
    try {
      using files = this.#filesNear(of);
      // What is shared with others takes no room, and nobody knows how much that will be.
      if (files === undefined) this.#requireRoomFor(of, directory);
      const written = await writeExport(this.#trees, this.#content, of, target, { ...turns, files });
      // In this process, two may have been asked for it at once.
      if (existsSync(home)) return undefined;
      this.#manifests.write(of.key, readExport(target), of);
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

  /** @throws {StoreError} NO_SPACE */
  #requireRoomFor({ key, over }: ExportOf, directory: string): void {
    const trees = this.#trees;
    const tree = trees.tree(partsOfKey(key).tree);
    const changes = (): Iterable<Change> => diffTrees(trees, over === null ? undefined : trees.tree(over), tree);
    requireRoomFor(directory, tree.root.listing, () => neededForDirectory(changes()));
  }

  /** What a new export can share with one of a near tree: all that both have, where the filesystem can. */
  #filesNear({ key, over }: ExportOf): ClonedFiles | undefined {
    if (over !== null || !canClone(dirname(this.#home(key)))) return undefined;
    const near = nearestStack(this.#trees, this.present().stacks(), this.#trees.tree(partsOfKey(key).tree));
    const layers = (near ?? []).flatMap((known) => {
      const found = this.#manifests.find(known);
      return found === undefined ? [] : { directory: this.#home(known), manifest: found.manifest };
    });
    if (near === undefined || layers.length < near.length) return undefined;
    return ClonedFiles.open(this.#trees, this.#trees.tree(treeOfStack(near)), layers);
  }

  /**
   * Makes a changed export as it was, while no mount stands on it: what was not changed goes on as it is. A kill leaves it changed, or
   * whole.
   *
   * @param options.anew nothing of it goes on: its files are not what they were, though nobody changed them
   */
  async repair(of: ExportOf, { anew = false, ...turns }: RepairOptions = {}): Promise<Written> {
    const home = this.#home(of.key);
    const directory = dirname(home);
    const partial = hiddenName();
    try {
      const written = await this.#rewrite(of, `${directory}/${partial}`, { anew, ...turns });
      syncFilesystem(directory);
      setImmutable(home, false);
      using parent = DirectoryHandle.open(directory);
      parent.rename(partial, parent, basename(home), { exchange: true });
      syncPath(directory);
      removeHidden(directory, partial);
      // Only now do files that both had show how they are to stay.
      const scan = readExport(home);
      syncFilesystem(directory);
      this.#manifests.write(of.key, scan, of);
      setImmutable(home, true);
      return written;
    } catch (error) {
      throw asStoreError(error, `repairing ${home}`);
    } finally {
      if (existsSync(`${directory}/${partial}`)) removeHidden(directory, partial);
    }
  }

  async #rewrite(of: ExportOf, target: string, { anew = false, ...turns }: RepairOptions): Promise<Written> {
    const manifest = anew ? undefined : this.#manifests.find(of.key)?.manifest;
    using known = KnownFiles.open(this.#home(of.key), manifest ?? new Map());
    const files = new LinkedFiles(known);
    return await writeExport(this.#trees, this.#content, of, target, { ...turns, files });
  }

  /** Removes what a killed process was making or taking apart. Nothing may be doing that now. */
  sweep(): void {
    for (const directory of this.#directories())
      for (const name of readdirSync(directory)) if (isHidden(name)) removeHidden(directory, name);
  }

  /** Shows exports read-only at their public place, again after each boot. */
  async protect(): Promise<void> {
    await protectExports(this.#paths, "exports");
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

  present(): PresentExports {
    return new PresentExports(this.keys());
  }

  /** Walks an export that is there, and remembers if it was changed. */
  check(key: ExportKey): SharedExport {
    const { manifest } = readExport(this.#home(key));
    const then = this.#manifests.find(key);
    const changed = then && changedPaths(then.manifest, manifest);
    if (changed !== undefined && changed.length > 0) this.#manifests.markChanged(key, changed);
    return { key, entries: manifest.size, header: then?.header, changed };
  }

  /** What is known to have been changed, as an earlier `check` saw it. */
  knownChange(key: ExportKey): KnownChange | undefined {
    return this.#manifests.knownChange(key);
  }

  isThere(key: ExportKey): boolean {
    return existsSync(this.#home(key));
  }

  /** Without a walk. @returns undefined if its manifest is lost */
  headerOf(key: ExportKey): ManifestHeader | undefined {
    return this.#manifests.findHeader(key);
  }

  /** Says that these are in use, or were until now. */
  touch(keys: Iterable<ExportKey>): void {
    for (const key of keys) this.#manifests.touch(key);
  }

  /** When that was last said, or it was made: in ms. Undefined if its manifest is lost. */
  lastUsed(key: ExportKey): number | undefined {
    return this.#manifests.lastUsed(key);
  }

  /** Removes an export that nobody uses any more. Crash-safe: it is out of its place before it is taken apart. */
  remove(key: ExportKey): void {
    const home = this.#home(key);
    setImmutable(home, false);
    const aside = hiddenName();
    const directory = dirname(home);
    renameSync(home, `${directory}/${aside}`);
    // Nothing comes back by a power cut that is taken apart by then, or whose tree is collected.
    syncPath(directory);
    this.#manifests.remove(key);
    removeHidden(directory, aside);
  }

  /** Where an export really is, shown or not. */
  home(key: ExportKey): string {
    return this.#home(key);
  }

  #home(key: ExportKey): string {
    const parts = partsOfKey(key);
    const { privateExports, privateMapped } = this.#paths;
    return `${parts.map === undefined ? privateExports : `${privateMapped}/${parts.map}`}/${directoryName(parts)}`;
  }

  /** Those that hold exports. */
  #directories(): string[] {
    const { privateExports, privateMapped } = this.#paths;
    const maps = existsSync(privateMapped) ? readdirSync(privateMapped).sort() : [];
    return [privateExports, ...maps.map((map) => `${privateMapped}/${map}`)];
  }
}
