import type { ChangedBlock, ContentStore } from "../chunks/content-store.ts";
import type { RawChange } from "../model/change.ts";
import { baseName, joinPath, parentPath, ROOT } from "../model/name.ts";
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
  const numbers = new Set(dirty.keys());
  if (shown % BLOCK_BYTES > 0) numbers.add(Math.floor(shown / BLOCK_BYTES));
  for (const block of [...numbers].sort((a, b) => a - b)) {
    if (block * BLOCK_BYTES >= size) return;
    yield [block, dirty.get(block)?.fill === "hole" && dirty.get(block)?.units === 0 ? null : bytes.block(file, block)];
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
  const path = places.ofDirectory(node);
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
  const [first, ...others] = places.ofFile(node);
  if (first === undefined) return;
  yield { kind: "put", path: first, node: node.node(content) };
  for (const path of others) yield { kind: "link", path, target: first };
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

  ofDirectory(node: UpperNode): TreePath | undefined {
    if (this.#directories.has(node)) return this.#directories.get(node);
    const [named] = this.#named.get(node) ?? [];
    const above = named && this.ofDirectory(named.directory);
    let path: TreePath | undefined;
    if (named !== undefined) path = above === undefined ? undefined : joinPath(above, named.name);
    else if (node.origin !== undefined) path = this.#ofBase(node.origin);
    this.#directories.set(node, path);
    return path;
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
    if (path === ROOT) return ROOT;
    const name = baseName(path);
    const directory = this.#upper.base.entryAt(parentPath(path));
    const above = directory && this.#directoryOf(directory, parentPath(path), name);
    return above === undefined ? undefined : joinPath(above, name);
  }

  /** Where a directory of the base shows, if its entry `name` shows there, too. */
  #directoryOf(directory: LowerEntry, path: TreePath, name: string): TreePath | undefined {
    const node = this.#upper.changed(directory.ordinal);
    if (!(node instanceof UpperNode) || node.body.type !== "directory") return this.#ofBase(path);
    return node.body.entries.has(name as never) ? undefined : this.ofDirectory(node);
  }
}
