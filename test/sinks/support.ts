import { createHash } from "node:crypto";
import fc from "fast-check";
import { isStoreError } from "../../src/errors.ts";
import type { Change, ContentReader, RawChange, RawNode } from "../../src/model/change.ts";
import { parentPath, ROOT } from "../../src/model/name.ts";
import type { TreePath } from "../../src/model/name.ts";
import type { Content, Metadata, Node, Xattr } from "../../src/model/node.ts";
import { TreeBuilder } from "../../src/trees/builder.ts";
import { diffTrees } from "../../src/trees/diff.ts";
import type { Tree } from "../../src/trees/tree-store.ts";
import type { ManifestEntry } from "../support/compare.ts";
import type { Engine } from "../support/engine.ts";

/** Bytes, or a hole of that length. */
export type Piece = Uint8Array | string | number;

/** A step of a tree's making: a raw change whose contents are not stored yet. */
export type Step =
  | Exclude<RawChange, { kind: "put" }>
  | { readonly kind: "put"; readonly path: TreePath; readonly node: StepNode }
  | { readonly kind: "file"; readonly path: TreePath; readonly metadata: Metadata; readonly pieces: readonly Piece[] };
type StepNode = Exclude<RawNode, { type: "file" }>;

/** Makes a tree of steps, over `base` or nothing. Steps that cannot be, such as an entry below a file, are left out. */
export function makeTree(engine: Engine, steps: readonly Step[], base?: Tree): Tree {
  const builder = new TreeBuilder(engine.trees, base);
  for (const step of steps) {
    try {
      builder.apply(step.kind === "file" ? fileChange(engine, step) : step);
    } catch (error) {
      if (!isStoreError(error, "SOURCE_INVALID")) throw error;
    }
  }
  return builder.finish();
}

function fileChange(engine: Engine, { path, metadata, pieces }: Step & { kind: "file" }): RawChange {
  return { kind: "put", path, node: { type: "file", ...metadata, content: putContent(engine, ...pieces) } };
}

export function putContent(engine: Engine, ...pieces: readonly Piece[]): Content {
  const writer = engine.content.writer();
  for (const piece of pieces) {
    if (typeof piece === "number") writer.hole(piece);
    else void writer.write(typeof piece === "string" ? Buffer.from(piece) : piece);
  }
  return writer.end();
}

/** A whole tree as the sinks take it. */
export function wholeTree(engine: Engine, tree: Tree): Change[] {
  return [...diffTrees(engine.trees, undefined, tree)];
}

/** The difference of two trees as the delta sink takes it. */
export function delta(engine: Engine, before: Tree, after: Tree): Change[] {
  const changes = [...diffTrees(engine.trees, before, after, { parents: true })];
  return changes.length > 0 ? changes : [{ path: ROOT, before: before.root, after: after.root }];
}

/** What manifest.py shall say of a tree that was written, but for `blocks`. */
export function expectedManifest(
  changes: Iterable<Change>,
  content: ContentReader,
  left: (path: TreePath, node: Node) => boolean = () => true,
): Map<string, ManifestEntry> {
  const entries = new Map<string, ManifestEntry>();
  for (const { path, after: node, link } of changes) {
    if (node === undefined || !left(path, node)) continue;
    const { mode, uid, gid, mtimeSec, mtimeNsec } = node;
    entries.set(path, {
      path: base64(path),
      type: TYPES[node.type],
      mode: node.type === "symlink" ? 0o777 : mode,
      uid,
      gid,
      mtime_ns: `${BigInt(mtimeSec) * 1_000_000_000n + BigInt(mtimeNsec)}`,
      xattrs: Object.fromEntries(node.xattrs.map((x) => [base64(x.name), Buffer.from(x.value).toString("base64")])),
      ...(node.type === "directory" ? {} : { link: base64(link?.[0] ?? path) }),
      ...(node.type === "file" ? { size: node.content.size, sha256: hashPages(node.content, content) } : {}),
      ...(node.type === "symlink" ? { target: base64(node.target) } : {}),
      ...("major" in node ? { rdev: `${node.major}:${node.minor}` } : {}),
    });
  }
  return entries;
}

const TYPES = {
  file: "file",
  directory: "dir",
  symlink: "symlink",
  character: "char",
  block: "block",
  fifo: "fifo",
  socket: "socket",
} as const;

function base64(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("base64");
}

/** As manifest.py: over the size, and each page that is not all zero with its index. */
function hashPages(content: Content, reader: ContentReader): string {
  const bytes = Buffer.alloc(content.size);
  let at = 0;
  for (const piece of reader.pieces(content)) {
    if (typeof piece !== "number") bytes.set(piece, at);
    at += typeof piece === "number" ? piece : piece.length;
  }
  const hash = createHash("sha256").update(uint64(content.size));
  for (let start = 0; start < bytes.length; start += 4096) {
    const page = bytes.subarray(start, start + 4096);
    if (page.some((byte) => byte !== 0)) hash.update(uint64(start / 4096)).update(page);
  }
  return hash.digest("hex");
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** What a plain user can make, or what takes root. */
interface TreeOptions {
  readonly privileged: boolean;
}

const USER = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

export function metadata(options: TreeOptions, type: Node["type"] = "fifo"): fc.Arbitrary<Metadata> {
  const id = fc.oneof(fc.constantFrom(0, 1000, 4_000_000_000), fc.nat(2 ** 22));
  const user = type === "file" || type === "directory" ? ["user.a", "user.empty", "user.\xff="] : [];
  const names = [...user, ...(options.privileged ? ["trusted.b", "trusted.overlay.opaque", "trusted.overlay.z"] : [])];
  return fc.record({
    mode: type === "symlink" ? fc.constant(0o777) : fc.oneof(fc.constantFrom(0, 0o644, 0o755, 0o7777), fc.nat(0o7777)),
    uid: options.privileged ? id : fc.constant(USER.uid),
    gid: options.privileged ? id : fc.constant(USER.gid),
    // Within 1901 to 2446, as far as ext4 goes; the first and the last second it keeps without ns.
    mtimeSec: fc.oneof(fc.integer({ min: 1 - 2 ** 31, max: 2 ** 34 - 2 ** 31 - 2 }), fc.constantFrom(-1, 0)),
    mtimeNsec: fc.oneof(fc.constantFrom(0, 1, 500_000_000, 999_999_999), fc.nat(999_999_999)),
    xattrs: fc.subarray(names).chain((chosen) => xattrs(chosen)),
  });
}

function xattrs(names: readonly string[]): fc.Arbitrary<readonly Xattr[]> {
  const values = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: names.length, maxLength: names.length });
  return values.map((found) => [...names].sort().map((name, i) => ({ name, value: found[i] ?? new Uint8Array() })));
}

/** Whole pages of zeros as holes, zeros that are none, and bytes. */
const pieces: fc.Arbitrary<Piece[]> = fc.oneof(
  fc.uint8Array({ maxLength: 10 }).map((bytes) => [bytes]),
  fc.array(
    fc.oneof(
      fc.nat(60).map((pages) => pages * 4096),
      fc.nat(3).map((pages) => new Uint8Array(pages * 4096)),
      fc.nat(255).map((byte) => new Uint8Array(4096).fill(byte)),
    ),
    { maxLength: 5 },
  ),
  fc
    .tuple(fc.nat(9000), fc.uint8Array({ minLength: 1, maxLength: 5 }))
    .map(([zeros, end]) => [new Uint8Array(zeros), end]),
);

const name = fc.constantFrom("a", "b", "a.b", "-", "\xff\xfe", "\n", ".wh.a", "n".repeat(255));
const path: fc.Arbitrary<TreePath> = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));

function node(options: TreeOptions): fc.Arbitrary<StepNode> {
  const device = fc.record({ major: fc.nat(4095), minor: fc.nat(1048575) });
  const of = <T extends Node["type"]>(type: T) => metadata(options, type).map((found) => ({ type, ...found }));
  const types = [
    of("directory"),
    fc.tuple(of("symlink"), fc.constantFrom("a", "../x", "\xe9", "t".repeat(4095))).map(([symlink, target]) => ({
      ...symlink,
      target,
    })),
    of("fifo"),
    of("socket"),
    ...(options.privileged
      ? [fc.tuple(fc.oneof(of("character"), of("block")), device).map(([found, rdev]) => ({ ...found, ...rdev }))]
      : []),
  ] as fc.Arbitrary<StepNode>[];
  return fc.oneof(...types);
}

/** Steps that make a tree of every type of node, with hard links. */
export function steps(options: TreeOptions): fc.Arbitrary<Step[]> {
  const put = fc.record({ kind: fc.constant("put" as const), path, node: node(options) });
  const file = fc.record({ kind: fc.constant("file" as const), path, metadata: metadata(options, "file"), pieces });
  const link = fc.record({ kind: fc.constant("link" as const), path, target: path });
  const root = fc.record({
    kind: fc.constant("put" as const),
    path: fc.constant(ROOT),
    node: metadata(options, "directory").map((found) => ({ type: "directory" as const, ...found })),
  });
  const any = fc.oneof({ weight: 4, arbitrary: put }, { weight: 4, arbitrary: file }, { weight: 3, arbitrary: link });
  return fc.tuple(root, fc.array(any, { maxLength: 25 })).map(([first, rest]) => [first, ...rest]);
}

/** Steps over a tree that has names of the same kind: also removals, of entries and of all that is in a directory. */
export function changeSteps(options: TreeOptions): fc.Arbitrary<Step[]> {
  const whiteout = fc.record({ kind: fc.constant("whiteout" as const), path });
  const opaque = fc.record({ kind: fc.constant("opaque" as const), path });
  return fc
    .tuple(steps(options), fc.array(fc.oneof(whiteout, opaque), { maxLength: 6 }))
    .chain(([puts, removals]) => fc.shuffledSubarray([...puts, ...removals]));
}

/** Nodes that hide what is below them where a directory is a layer of an overlay mount. */
export function isWhiteout(found: Node): boolean {
  return found.type === "character" && found.major === 0 && found.minor === 0;
}

export const plain: Metadata = {
  mode: 0o755,
  ...USER,
  mtimeSec: 1_700_000_000,
  mtimeNsec: 123_456_789,
  xattrs: [],
};

/** `steps` with the directories above each, and above the targets of links, all plain. */
export function withParents(found: readonly Step[]): Step[] {
  const directories = new Set<TreePath>([ROOT]);
  for (const step of found) {
    for (const path of step.kind === "link" ? [step.path, step.target] : [step.path]) {
      for (let up = path; up !== ROOT;) directories.add((up = parentPath(up)));
    }
  }
  const made = [...directories].map((at): Step => ({ kind: "put", path: at, node: { type: "directory", ...plain } }));
  return [...made, ...found];
}
