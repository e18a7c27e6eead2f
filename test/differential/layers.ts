import { setAcl } from "./acl.ts";
import { enter, type Inode, type InodeType, makeInode } from "./model-tree.ts";
import { pattern, type Time } from "./operations.ts";

/** A node of a lower layer, as plain data. */
export interface NodeSpec {
  readonly type: InodeType;
  readonly mode: number;
  readonly owner: readonly [uid: number, gid: number];
  readonly mtime: Time;
  readonly xattrs: readonly (readonly [name: string, hex: string])[];
  /** Of a file: `pattern(seed, size)`, with a hole in it if `sparse`. */
  readonly size: number;
  readonly seed: number;
  readonly sparse: boolean;
  readonly target: string;
  readonly rdev: string;
}

/** What one layer holds, told in any order: what cannot be, as an entry below a file, is left out. */
export type LayerStep =
  | { readonly put: string; readonly node: NodeSpec }
  | { readonly link: string; readonly to: string }
  | { readonly whiteout: string }
  | { readonly opaque: string };

/** One layer in overlayfs's terms. */
export interface Layer {
  readonly root: Inode;
  readonly opaque: ReadonlySet<Inode>;
  /** By the directory that they are in. */
  readonly whiteouts: ReadonlyMap<Inode, ReadonlySet<string>>;
}

/** Stacks layers, the lowest first. @returns each of them, and what an overlay of them all shows */
export function stackLayers(specs: readonly (readonly LayerStep[])[]): { layers: Layer[]; merged: Inode } {
  const layers: Layer[] = [];
  let below = impliedDirectory();
  for (const steps of specs) {
    const layer = makeLayer(steps, below);
    layers.push(layer);
    below = mergeDirectory(below, layer.root, layer);
  }
  return { layers, merged: finished(below) };
}

/** @param below what the layers under it show: only there do whiteouts and opaque marks have a meaning */
function makeLayer(steps: readonly LayerStep[], below: Inode): Layer {
  const { mode, uid, gid, mtime } = below;
  const root = makeInode("directory", mode, { uid, gid, mtime });
  for (const step of steps) {
    if ("put" in step) put(root, step.put, () => makeNode(step.node));
    if ("link" in step) {
      const target = find(root, step.to);
      if (target !== undefined && target.type !== "directory") put(root, step.link, () => target);
    }
  }
  const opaque = new Set<Inode>();
  for (const step of steps) {
    if (!("opaque" in step)) continue;
    const directory = find(root, step.opaque);
    if (directory?.type === "directory" && directory !== root) opaque.add(directory);
  }
  const whiteouts = new Map<Inode, Set<string>>();
  for (const step of steps) {
    if (!("whiteout" in step)) continue;
    const [name, parent] = [baseOf(step.whiteout), parentOf(step.whiteout)];
    if (find(below, parent)?.type !== "directory") continue;
    const directory = makeParents(root, parent);
    // In a directory that merges with nothing, the kernel would show a whiteout as what it is.
    if (directory === undefined || directory.entries.has(name) || !merges(root, parent, below, opaque)) continue;
    whiteouts.set(directory, (whiteouts.get(directory) ?? new Set()).add(name));
  }
  // A later one may have made directories in its place.
  for (const [directory, names] of whiteouts) for (const name of directory.entries.keys()) names.delete(name);
  return { root, opaque, whiteouts };
}

function merges(root: Inode, path: string, below: Inode, opaque: ReadonlySet<Inode>): boolean {
  const parts = path === "" ? [] : path.split("/");
  return parts.every((_, i) => {
    const prefix = parts.slice(0, i + 1).join("/");
    const upper = find(root, prefix);
    return upper !== undefined && !opaque.has(upper) && find(below, prefix)?.type === "directory";
  });
}

function mergeDirectory(below: Inode | undefined, upper: Inode, layer: Layer): Inode {
  const merged: Inode = { ...upper, entries: new Map() };
  const hidden = layer.whiteouts.get(upper);
  for (const [name, inode] of below?.entries ?? []) if (!hidden?.has(name)) merged.entries.set(name, inode);
  for (const [name, inode] of upper.entries) {
    const lower = merged.entries.get(name);
    const covered = lower?.type === "directory" && !layer.opaque.has(inode) ? lower : undefined;
    merged.entries.set(name, inode.type === "directory" ? mergeDirectory(covered, inode, layer) : inode);
  }
  return merged;
}

/** A copy of its own, with numbers of links, parents, and what is known of the lower. */
function finished(root: Inode): Inode {
  const shown = new Map<Inode, number>();
  const count = (inode: Inode): void => {
    shown.set(inode, (shown.get(inode) ?? 0) + 1);
    for (const entry of inode.entries.values()) count(entry);
  };
  count(root);
  const copies = new Map<Inode, Inode>();
  const copy = (inode: Inode): Inode => {
    const known = copies.get(inode);
    if (known !== undefined) return known;
    const hiddenNames = inode.type === "directory" ? 0 : inode.nlink - (shown.get(inode) ?? 0);
    const made = makeInode(inode.type, inode.mode, {
      ...inode,
      xattrs: new Map(inode.xattrs),
      entries: new Map(),
      parent: undefined,
      nlink: 0,
      lower: { exists: true, hiddenNames },
    });
    copies.set(inode, made);
    for (const [name, entry] of inode.entries) enter(made, name, copy(entry));
    return made;
  };
  return copy(root);
}

function makeNode(spec: NodeSpec): Inode {
  const [uid, gid] = spec.owner;
  const data = spec.type === "file" ? pattern(spec.seed, spec.size) : Buffer.alloc(0);
  if (spec.sparse) data.subarray(4096, Math.max(4096, data.length - 4096)).fill(0);
  const inode = makeInode(spec.type, spec.type === "symlink" ? 0o777 : spec.mode, {
    uid,
    gid,
    mtime: BigInt(spec.mtime),
    data,
    target: spec.type === "symlink" ? spec.target : "",
    rdev: spec.type === "character" || spec.type === "block" ? spec.rdev : "",
  });
  for (const [name, value] of spec.xattrs) {
    if (!holdsXattr(spec.type, name)) continue;
    if (name.startsWith("system.")) setAcl(inode, name, value);
    else inode.xattrs.set(name, value);
  }
  return inode;
}

function holdsXattr(type: InodeType, name: string): boolean {
  if (name === "security.capability") return type === "file";
  if (name === "system.posix_acl_default") return type === "directory";
  if (name.startsWith("system.")) return type !== "symlink";
  return name.startsWith("user.") ? type === "file" || type === "directory" : true;
}

function put(root: Inode, path: string, make: () => Inode): void {
  const parent = makeParents(root, parentOf(path));
  if (parent !== undefined && !parent.entries.has(baseOf(path))) enter(parent, baseOf(path), make());
}

/** @returns undefined if one of them is no directory */
function makeParents(root: Inode, path: string): Inode | undefined {
  let directory = root;
  for (const name of path === "" ? [] : path.split("/")) {
    if (!directory.entries.has(name)) enter(directory, name, impliedDirectory());
    directory = directory.entries.get(name)!;
    if (directory.type !== "directory") return undefined;
  }
  return directory;
}

function impliedDirectory(): Inode {
  const [uid, gid] = [process.geteuid!(), process.getegid!()];
  return makeInode("directory", 0o755, { uid, gid, mtime: 1_234_567_890_123_456_789n });
}

function find(root: Inode, path: string): Inode | undefined {
  let inode: Inode | undefined = root;
  for (const name of path === "" ? [] : path.split("/")) inode = inode?.entries.get(name);
  return inode;
}

function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
