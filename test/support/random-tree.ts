import fc from "fast-check";
import { digestOf } from "../../src/format/blake3.ts";
import type { RawChange, RawNode } from "../../src/model/change.ts";
import { baseName, comparePaths, joinPath, parentPath, ROOT } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import { BLOCK_BYTES, IMPLIED_DIRECTORY } from "../../src/model/node.ts";
import type { Content, Metadata, Node } from "../../src/model/node.ts";
import type { Tree, TreeStore } from "../../src/trees/tree-store.ts";

/** A file system as a table. Paths whose entries have one `inode` are hard links of one file. */
export type Model = Map<TreePath, ModelEntry>;
export interface ModelEntry {
  readonly inode: object;
  readonly node: RawNode;
}

export interface RandomTreeOptions {
  /** What files hold. Default: contents that are in no store. */
  readonly contents?: readonly Content[];
  /** Also whiteouts, opaque marks, redirects and contents of the base. Default: false. */
  readonly overBase?: boolean;
}

/**
 * Streams of raw changes, on few names so that they meet: puts of all node types, extreme metadata, xattrs, names that are no
 * UTF-8, hard links across directories, one thing over the other. Some changes cannot be, such as a link to nothing.
 */
export function rawChanges(options: RandomTreeOptions = {}): fc.Arbitrary<RawChange[]> {
  const { contents = MADE_UP_CONTENTS, overBase = false } = options;
  const changes: fc.WeightedArbitrary<RawChange>[] = [
    {
      weight: 10,
      arbitrary: fc.record({ kind: fc.constant("put"), path: anyPath, node: rawNode(contents, overBase) }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("link"), path: anyPath, target: anyPath }) },
  ];
  if (overBase) {
    for (const kind of ["whiteout", "opaque"] as const)
      changes.push({ weight: 2, arbitrary: fc.record({ kind: fc.constant(kind), path: anyPath }) });
    changes.push({ weight: 2, arbitrary: fc.record({ kind: fc.constant("redirect"), path: anyPath, from: anyPath }) });
  }
  return fc.array(fc.oneof(...changes), { maxLength: 24 });
}

const anyName = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("a", "b", "c") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("a.b", "\xff\xfe", "-\n", ".wh.a", "n".repeat(255), "long enough to be a slice"),
  },
);
const anyPath: fc.Arbitrary<TreePath> = fc.oneof(
  { weight: 20, arbitrary: fc.array(anyName, { minLength: 1, maxLength: 3 }).map((names) => names.join("/")) },
  { weight: 1, arbitrary: fc.constant(ROOT) },
);

const MADE_UP_CONTENTS: readonly Content[] = [
  { size: 0, sparse: false, root: null },
  { size: 5 * 2 ** 30, sparse: true, root: null },
  { size: 3, sparse: false, root: digestOf(Buffer.from("abc")) },
  { size: 3, sparse: true, root: digestOf(Buffer.from("abc")) },
  { size: BLOCK_BYTES + 1, sparse: false, root: digestOf(Buffer.from("page")) },
];

const xattrs = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom("security.capability", "trusted.overlay.opaque", "user.\xe4", "user.empty"),
      value: fc.constantFrom(new Uint8Array(), Uint8Array.of(0, 255, 1), new Uint8Array(300)),
    }),
    { selector: ({ name }) => name, maxLength: 2 },
  )
  .map((list) => list.sort((a, b) => (a.name < b.name ? -1 : 1)));

/** Few values each, or two nodes would never be equal. */
const metadata: fc.Arbitrary<Metadata> = fc.record({
  mode: fc.constantFrom(0, 0o755, 0o7777),
  uid: fc.constantFrom(0, 4_000_000_000),
  gid: fc.constantFrom(0, 2 ** 32 - 1),
  mtimeSec: fc.constantFrom(0, -(2 ** 40), 2 ** 33),
  mtimeNsec: fc.constantFrom(0, 999_999_999),
  xattrs: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: xattrs }),
});

function rawNode(contents: readonly Content[], overBase: boolean): fc.Arbitrary<RawNode> {
  const content = fc.constantFrom(...contents);
  const typed: fc.WeightedArbitrary<(m: Metadata) => RawNode>[] = [
    { weight: 4, arbitrary: content.map((c) => (m) => ({ ...m, type: "file", content: c })) },
    { weight: 6, arbitrary: fc.constant((m) => ({ ...m, type: "directory" })) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom("a", "../\xff", "t".repeat(4095))
        .map((target) => (m) => ({ ...m, type: "symlink", target })),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom("character" as const, "block" as const)
        .map((type) => (m) => ({ ...m, type, major: 0, minor: 0xfffff })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("fifo" as const, "socket" as const).map((type) => (m) => ({ ...m, type })),
    },
  ];
  if (overBase)
    typed.push({ weight: 2, arbitrary: anyPath.map((base) => (m) => ({ ...m, type: "file", content: { base } })) });
  return fc.tuple(metadata, fc.oneof(...typed)).map(([m, make]) => make(m));
}

/** A change that cannot be. */
export class Refused extends Error {}

/**
 * What a file system would show after `changes` over `base`: slow and plain, for comparison with the builder.
 *
 * @returns the result, and which changes were refused; these changed nothing
 */
export function applyNaively(
  changes: readonly RawChange[],
  base: Model = emptyModel(),
): { model: Model; refused: RawChange[] } {
  const upper = new NaiveUpper(base);
  const refused = changes.filter((change) => {
    try {
      upper.apply(change);
      return false;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return true;
    }
  });
  return { model: upper.shown(), refused };
}

export function emptyModel(): Model {
  return new Map([[ROOT, { inode: {}, node: { type: "directory", ...IMPLIED_DIRECTORY } }]]);
}

/** What the stream said, by path. What of the base shows is worked out anew each time somebody asks. */
class NaiveUpper {
  readonly #base: Model;
  readonly #entries = new Map<TreePath, ModelEntry | "implied directory">();
  readonly #hidden = new Set<TreePath>();
  readonly #opaque = new Set<TreePath>();
  readonly #redirects = new Map<TreePath, TreePath>();
  /** Files of the base that are one, wherever they show: groups, and those that the stream linked to. */
  readonly #identified: Set<object>;

  constructor(base: Model) {
    this.#base = base;
    const inodes = Array.from(base.values(), ({ inode }) => inode);
    this.#identified = new Set(inodes.filter((inode, i) => inodes.indexOf(inode) !== i));
  }

  apply(change: RawChange): void {
    const { path } = change;
    switch (change.kind) {
      case "put":
        if (change.node.type === "directory") this.#putDirectory(path, change.node);
        else this.#putFile(path, { inode: {}, node: this.#withContent(change.node) });
        return;
      case "link": {
        const target = this.shown().get(change.target);
        if (!isFile(target)) throw new Refused();
        const inBase = [...this.#base.values()].find(
          ({ inode }) => inode === target.inode || baseOf.get(target.inode) === inode,
        );
        if (inBase) this.#identified.add(inBase.inode);
        if (path !== change.target) this.#putFile(path, inBase ?? target);
        return;
      }
      case "whiteout":
        if (path === ROOT) throw new Refused();
        if (!this.#isBlocked(path)) this.#hidden.add(path);
        return;
      case "opaque":
        if (!this.#isBlocked(path)) this.#opaque.add(path);
        return;
      case "redirect":
        if (this.#base.get(change.from)?.node.type !== "directory") throw new Refused();
        this.#makeDirectory(path);
        this.#redirects.set(path, change.from);
        return;
    }
  }

  #withContent(node: RawNode): RawNode {
    if (node.type !== "file" || !("base" in node.content)) return node;
    const source = this.#base.get(node.content.base)?.node;
    if (source?.type !== "file") throw new Refused();
    return { ...node, content: source.content };
  }

  #putDirectory(path: TreePath, node: RawNode): void {
    this.#makeDirectory(parentOrRoot(path));
    const before = this.#entries.get(path);
    if (isFile(before)) this.#hidden.add(path);
    this.#entries.set(path, { inode: {}, node });
  }

  #putFile(path: TreePath, entry: ModelEntry): void {
    if (path === ROOT) throw new Refused();
    this.#makeDirectory(parentPath(path));
    for (const map of [this.#entries, this.#hidden, this.#opaque, this.#redirects])
      for (const other of map.keys()) if (other === path || other.startsWith(`${path}/`)) map.delete(other);
    this.#entries.set(path, entry);
  }

  #makeDirectory(path: TreePath): void {
    if (this.#isBlocked(path)) throw new Refused();
    for (let at = path; at !== ROOT; at = parentPath(at))
      if (!this.#entries.has(at)) this.#entries.set(at, "implied directory");
  }

  /** True if the stream has a file at `path` or above. */
  #isBlocked(path: TreePath): boolean {
    for (let at = path; at !== ROOT; at = parentPath(at)) {
      if (isFile(this.#entries.get(at))) return true;
    }
    return false;
  }

  shown(): Model {
    const model: Model = new Map();
    const show = (path: TreePath, lower: TreePath | undefined): void => {
      const own = this.#entries.get(path);
      const hidden = this.#hidden.has(path);
      const below = hidden || lower === undefined ? undefined : this.#base.get(lower);
      if (isFile(own)) {
        model.set(path, own);
        return;
      }
      const merged = this.#redirects.get(path) ?? (below?.node.type === "directory" ? lower : undefined);
      if (own === undefined && merged === undefined) {
        if (below) model.set(path, this.#identified.has(below.inode) ? below : copyOf(below));
        return;
      }
      const implied = (merged === undefined ? undefined : this.#base.get(merged)?.node) ?? {
        type: "directory",
        ...IMPLIED_DIRECTORY,
      };
      model.set(path, { inode: {}, node: own === undefined || own === "implied directory" ? implied : own.node });
      const shining = this.#opaque.has(path) ? undefined : merged;
      const names = new Set([
        ...childrenOf(this.#entries, path),
        ...(shining === undefined ? [] : childrenOf(this.#base, shining)),
      ]);
      for (const name of names) show(joinPath(path, name), shining === undefined ? undefined : joinPath(shining, name));
    };
    if (!this.#entries.has(ROOT)) this.#entries.set(ROOT, "implied directory");
    show(ROOT, ROOT);
    return model;
  }
}

/** A file of the base with one name is another file at each place where a redirect shows it. */
function copyOf({ inode, node }: ModelEntry): ModelEntry {
  const copy = { inode: {}, node };
  baseOf.set(copy.inode, inode);
  return copy;
}
const baseOf = new WeakMap<object, object>();

type FileEntry = ModelEntry & { readonly node: Exclude<RawNode, { type: "directory" }> };

function isFile(entry: ModelEntry | "implied directory" | undefined): entry is FileEntry {
  return entry !== undefined && entry !== "implied directory" && entry.node.type !== "directory";
}

function parentOrRoot(path: TreePath): TreePath {
  return path === ROOT ? ROOT : parentPath(path);
}

function childrenOf(table: ReadonlyMap<TreePath, unknown>, directory: TreePath): string[] {
  return [...table.keys()].filter((path) => path !== ROOT && parentPath(path) === directory).map(baseName);
}

/** The model of a tree, read entry by entry. */
export function flatten(trees: TreeStore, tree: Tree): Model {
  const model: Model = new Map();
  const inodes = new Map<TreePath, object>();
  for (const group of trees.linkGroups(tree.links)) {
    const inode = {};
    for (const path of group) inodes.set(path, inode);
  }
  const visit = (path: TreePath, node: Node): void => {
    if (node.linked !== inodes.has(path)) throw new Error(`${path} is linked: ${node.linked}, but the table differs`);
    model.set(path, { inode: inodes.get(path) ?? {}, node: rawOf(node) });
    if (node.type === "directory")
      for (const [name, entry] of trees.entries(node.listing)) visit(joinPath(path, name), entry);
  };
  visit(ROOT, tree.root);
  return model;
}

/** What a source would say of a node. */
export function rawOf(node: Node): RawNode {
  const { linked: _linked, ...raw } = node;
  if (raw.type !== "directory") return raw;
  const { listing: _listing, ...directory } = raw;
  return directory;
}

/** The names of the file at `path`, in canonical order. */
export function namesOf(model: Model, path: TreePath): TreePath[] {
  const inode = model.get(path)?.inode;
  return [...model]
    .filter(([, entry]) => entry.inode === inode)
    .map(([name]) => name)
    .sort(comparePaths);
}

/** A model for `assert.deepEqual`: all there is to see, in canonical order. */
export function visible(model: Model): { path: TreePath; names: TreePath[]; node: unknown }[] {
  return [...model.keys()]
    .sort(comparePaths)
    .map((path) => ({ path, names: namesOf(model, path), node: visibleNode(model.get(path)!.node) }));
}

export function visibleNode(node: RawNode): unknown {
  return { ...node, xattrs: node.xattrs.map(({ name, value }) => [name, Buffer.from(value).toString("hex")]) };
}

/** A stream over nothing that makes `model`, in the order of `paths` as far as links allow. */
export function changesOf(model: Model, paths: readonly TreePath[] = [...model.keys()]): RawChange[] {
  const first = new Map<object, TreePath>();
  return paths.map((path) => {
    const { inode, node } = model.get(path)!;
    const target = first.get(inode);
    if (target !== undefined) return { kind: "link", path, target };
    first.set(inode, path);
    return { kind: "put", path, node };
  });
}
