import type { ChangedBlock, ContentStore } from "../chunks/content-store.ts";
import { StoreError } from "../errors.ts";
import type { RawChange } from "../model/change.ts";
import { joinPath, ROOT, splitPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { BLOCK_BYTES } from "../model/node.ts";
import type { Content } from "../model/node.ts";
import { TreeBuilder } from "../trees/builder.ts";
import type { Tree, TreeStore } from "../trees/tree-store.ts";
import type { LowerEntry } from "./lower-entry.ts";
import { isUpperFile } from "./upper-bytes.ts";
import type { UpperBytes, UpperFile } from "./upper-bytes.ts";
import { DamagedNode, UpperNode } from "./upper-node.ts";
import type { DirectoryBody } from "./upper-node.ts";
import type { Upper } from "./upper.ts";

/** What an upper shows, as a tree; and the contents of the files that it has. */
export interface Frozen {
  readonly tree: Tree;
  readonly contents: ReadonlyMap<UpperFile, Content>;
}

/**
 * Turns what an upper shows into a tree: O(changes). The upper stays as it is, and nothing may change it meanwhile.
 *
 * @throws {StoreError} FORMAT_INVALID for a record that cannot be read; what reading bytes throws
 */
export async function freeze(
  upper: Upper,
  bytes: UpperBytes,
  trees: TreeStore,
  content: ContentStore,
): Promise<Frozen> {
  upper.requireWhole();
  const contents = new Map<UpperFile, Content>();
  for (const node of upper.nodes()) {
    if (node instanceof DamagedNode) throw node.error;
    if (isUpperFile(node) && node.links > 0) contents.set(node, await frozenContent(node, bytes, content));
  }
  const builder = new TreeBuilder(trees, upper.base.tree);
  for (const change of changesOf(upper, contents)) builder.apply(change);
  return { tree: builder.finish(), contents };
}

async function frozenContent(file: UpperFile, bytes: UpperBytes, store: ContentStore): Promise<Content> {
  const { content, dirty, shown, size } = file.body;
  if (dirty.size === 0 && size === content.size && shown === size) return content;
  const segments = [...bytes.dataSegments(file)];
  const hasHole = size > 0 && !(segments.length === 1 && segments[0]?.start === 0 && segments[0].end === size);
  const sparse = hasHole || (content.sparse && shown > 0);
  return await store.splice(content, Math.floor(shown / BLOCK_BYTES), changedBlocks(file, bytes), { size, sparse });
}

/** Those that were written, and the one where what shows of the old content ends. */
function* changedBlocks(file: UpperFile, bytes: UpperBytes): Generator<ChangedBlock> {
  const { dirty, shown, size } = file.body;
  // New memory for each would keep the collector busy.
  const room = new Uint8Array(Math.min(size, BLOCK_BYTES));
  const numbers = new Set(dirty.keys());
  if (shown % BLOCK_BYTES > 0) numbers.add(Math.floor(shown / BLOCK_BYTES));
  for (const block of [...numbers].sort((a, b) => a - b)) {
    if (block * BLOCK_BYTES >= size) return;
    const state = dirty.get(block);
    yield [block, state?.fill === "hole" && state.pieces.length === 0 ? null : bytes.block(file, block, room)];
  }
}

function* changesOf(upper: Upper, contents: ReadonlyMap<UpperFile, Content>): Generator<RawChange> {
  const places = new Places(upper);
  for (const node of upper.nodes()) {
    if (!(node instanceof UpperNode)) continue;
    if (node.body.type === "directory") yield* directoryChanges(node, node.body, places);
    else yield* fileChanges(node, places, isUpperFile(node) ? contents.get(node) : undefined);
  }
}

function* directoryChanges(node: UpperNode, body: DirectoryBody, places: Places): Generator<RawChange> {
  if (body.damage !== undefined) throw body.damage;
  const path = places.ofDirectory(node);
  requireNames(node, path === undefined ? 0 : 1);
  if (path === undefined) return;
  yield { kind: "put", path, node: node.node() };
  if (body.lower === undefined) yield { kind: "opaque", path };
  else if (path !== ROOT) yield { kind: "redirect", path, from: node.origin ?? ROOT };
  for (const [name, entry] of body.entries) {
    if (entry instanceof DamagedNode) throw entry.error;
    if (entry === null) yield { kind: "whiteout", path: joinPath(path, name) };
  }
}

function* fileChanges(node: UpperNode, places: Places, content: Content | undefined): Generator<RawChange> {
  const paths = places.ofFile(node);
  requireNames(node, paths.length);
  const [first, ...others] = paths;
  if (first === undefined) return;
  yield { kind: "put", path: first, node: node.node(content) };
  for (const path of others) yield { kind: "link", path, target: first };
}

function requireNames(node: UpperNode, names: number): void {
  if (node.links === names) return;
  const reason = `has ${names} names, and should have ${node.links}`;
  throw new StoreError("FORMAT_INVALID", { record: `node ${node.ino} of an upper`, reason });
}

/** Where the nodes of an upper show. */
class Places {
  readonly #upper: Upper;
  /** Names that the upper itself gives, by node. */
  readonly #named = new Map<UpperNode, { readonly directory: UpperNode; readonly name: string }[]>();
  readonly #directories = new Map<UpperNode, TreePath | undefined>();

  constructor(upper: Upper) {
    this.#upper = upper;
    for (const directory of upper.nodes()) {
      if (!(directory instanceof UpperNode) || directory.body.type !== "directory") continue;
      for (const [name, node] of directory.body.entries) {
        if (!(node instanceof UpperNode)) continue;
        const names = this.#named.get(node) ?? [];
        names.push({ directory, name });
        this.#named.set(node, names);
      }
    }
  }

  /** Undefined if it is nowhere. */
  ofDirectory(node: UpperNode): TreePath | undefined {
    const below: (readonly [directory: UpperNode, rest: TreePath])[] = [];
    let path: TreePath | undefined;
    for (let at: UpperNode | undefined = node; at !== undefined;) {
      path = this.#directories.get(at);
      if (this.#directories.has(at)) break;
      // What is found to be below itself is nowhere.
      this.#directories.set(at, undefined);
      const place = this.#placeOf(at);
      if (place === undefined) break;
      below.push([at, place.rest]);
      at = place.directory;
      if (at === undefined) path = ROOT;
    }
    for (const [directory, rest] of below.reverse()) {
      path = path === undefined ? undefined : joined(path, rest);
      this.#directories.set(directory, path);
    }
    return path;
  }

  #placeOf(directory: UpperNode): Place | undefined {
    const [named] = this.#named.get(directory) ?? [];
    if (named !== undefined) return { directory: named.directory, rest: named.name };
    return directory.origin === undefined ? undefined : this.#inBase(directory.origin);
  }

  ofFile(node: UpperNode): TreePath[] {
    const paths: TreePath[] = [];
    for (const { directory, name } of this.#named.get(node) ?? []) {
      const above = this.ofDirectory(directory);
      if (above !== undefined) paths.push(joinPath(above, name));
    }
    const entry = node.origin === undefined ? undefined : this.#upper.base.entryAt(node.origin);
    for (const path of entry === undefined ? [] : this.#upper.base.names(entry)) {
      const shown = this.#ofBase(path);
      if (shown !== undefined) paths.push(shown);
    }
    return paths;
  }

  /** Where a path of the base shows under the name that it has there; undefined if that is covered. */
  #ofBase(path: TreePath): TreePath | undefined {
    const place = this.#inBase(path);
    const above = place?.directory === undefined ? ROOT : this.ofDirectory(place.directory);
    return place === undefined || above === undefined ? undefined : joined(above, place.rest);
  }

  #inBase(path: TreePath): Place | undefined {
    const { base } = this.#upper;
    const names = splitPath(path);
    let place: Place | undefined = { directory: undefined, rest: path };
    let entry: LowerEntry | undefined = base.root;
    for (const [i, name] of names.entries()) {
      if (entry === undefined) return undefined;
      const node = this.#upper.changed(entry.ordinal);
      if (node instanceof UpperNode && node.body.type === "directory") {
        const isCovered = node.body.entries.has(name);
        place = isCovered ? undefined : { directory: node, rest: names.slice(i).join("/") };
      }
      entry = base.find(entry, name);
    }
    return place;
  }
}

/** A path below a directory of the upper, or below the root if there is none. */
interface Place {
  readonly directory: UpperNode | undefined;
  readonly rest: TreePath;
}

function joined(above: TreePath, rest: TreePath): TreePath {
  if (above === ROOT || rest === ROOT) return above === ROOT ? rest : above;
  return `${above}/${rest}`;
}
