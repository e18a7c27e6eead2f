import { createHash } from "node:crypto";
import { type Snapshot, statFields } from "./operations.ts";

export type InodeType = "file" | "directory" | "symlink" | "fifo" | "socket" | "character" | "block";

/** A file of the model, of any type. What does not belong to its type is empty. */
export interface Inode {
  readonly type: InodeType;
  mode: number;
  uid: number;
  gid: number;
  /** In ns where somebody set it; "clock" where a change did. */
  mtime: bigint | "clock";
  /** Values as hex. */
  readonly xattrs: Map<string, string>;
  /** How many names it has; of a directory 1 until it is removed. */
  nlink: number;
  data: Buffer;
  readonly target: string;
  readonly rdev: string;
  readonly entries: Map<string, Inode>;
  /** Of a directory: what ".." is. */
  parent: Inode | undefined;
  /** What of it stands in lower layers. */
  readonly lower: LowerPart;
}

export interface LowerPart {
  /** It is, or merges with, a node of a lower layer. */
  readonly exists: boolean;
  /** Of a file: how many of its names layers above its own hide. */
  readonly hiddenNames: number;
}

export const NO_LOWER: LowerPart = { exists: false, hiddenNames: 0 };

export function makeInode(type: InodeType, mode: number, rest: Partial<Inode> = {}): Inode {
  return {
    type,
    mode,
    uid: 0,
    gid: 0,
    mtime: "clock",
    xattrs: new Map(),
    nlink: 0,
    data: Buffer.alloc(0),
    target: "",
    rdev: "",
    entries: new Map(),
    parent: undefined,
    lower: NO_LOWER,
    ...rest,
  };
}

/** Gives `inode` a name. */
export function enter(directory: Inode, name: string, inode: Inode): void {
  directory.entries.set(name, inode);
  inode.nlink++;
  if (inode.type === "directory") inode.parent = directory;
}

/** Each path of the tree, a directory before what is in it, in byte order. */
export function* walk(root: Inode, path = ""): Generator<[path: string, inode: Inode]> {
  yield [path, root];
  for (const name of [...root.entries.keys()].sort()) {
    const inode = root.entries.get(name)!;
    yield* walk(inode, path === "" ? name : `${path}/${name}`);
  }
}

export function sizeOf(inode: Inode): number {
  return inode.type === "symlink" ? inode.target.length : inode.data.length;
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex").slice(0, 12);
}

export function snapshotOf(root: Inode): Snapshot {
  const first = new Map<Inode, string>();
  const snapshot = new Map<string, Record<string, string>>();
  for (const [path, inode] of walk(root)) {
    if (!first.has(inode)) first.set(inode, path);
    snapshot.set(path, {
      ...statFields({ ...inode, size: sizeOf(inode) }),
      ...nodeFields({
        hash: inode.type === "file" ? hashOf(inode.data) : undefined,
        target: inode.type === "symlink" ? inode.target : undefined,
        xattrs: [...inode.xattrs],
        firstPath: first.get(inode) ?? path,
        path,
      }),
    });
  }
  return snapshot;
}

/** The fields of a snapshot that stat does not tell. */
export function nodeFields(node: {
  readonly hash: string | undefined;
  readonly target: string | undefined;
  readonly xattrs: readonly (readonly [name: string, hex: string])[];
  readonly firstPath: string;
  readonly path: string;
}): Record<string, string> {
  const { hash, target, xattrs, firstPath, path } = node;
  const words = xattrs.map(([name, value]) => `${name}=${value}`).sort();
  return {
    ...(hash === undefined ? {} : { hash }),
    ...(target === undefined ? {} : { target }),
    ...(words.length === 0 ? {} : { xattrs: words.join(" ") }),
    ...(firstPath === path ? {} : { linkOf: firstPath }),
  };
}
