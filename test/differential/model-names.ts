import { inheritAcl } from "./acl.ts";
import { child, PathWalk, type Place, Refusal } from "./model-path.ts";
import { enter, type Inode, type InodeType, makeInode } from "./model-tree.ts";
import type { OpNamed } from "./operations.ts";

/** Who makes new files. */
export interface Maker {
  readonly uid: number;
  readonly gid: number;
}

/** Makes what is not there. */
export function createNode(
  maker: Maker,
  place: Place,
  type: InodeType,
  mode: number,
  rest: Partial<Inode> = {},
): Inode {
  const { parent, name } = place;
  const inode = makeInode(type, mode, { ...maker, ...rest });
  if ((parent.mode & 0o2000) !== 0) {
    inode.gid = parent.gid;
    if (type === "directory") inode.mode |= 0o2000;
  }
  inheritAcl(parent, inode);
  enter(parent, name, inode);
  parent.mtime = "clock";
  return inode;
}

/** mkdir, mknod, symlink and link: whatever makes a name. */
export function makeName(root: Inode, maker: Maker, op: OpNamed<"mkdir" | "mknod" | "symlink" | "link">): undefined {
  const existing = op.op === "link" ? new PathWalk(root).lookup(op.path, false) : undefined;
  if (op.op === "symlink" && op.target === "") throw new Refusal("ENOENT");
  const place = new PathWalk(root).place(op.op === "link" ? op.to : op.path);
  if (place.kind !== "name" || child(place) !== undefined) throw new Refusal("EEXIST");
  if (place.slash && op.op !== "mkdir") throw new Refusal("ENOENT");
  if (op.op === "mkdir") createNode(maker, place, "directory", op.mode & 0o1777);
  else if (op.op === "symlink") createNode(maker, place, "symlink", 0o777, { target: op.target });
  else if (op.op === "mknod") {
    const isDevice = op.type === "character" || op.type === "block";
    createNode(maker, place, op.type, op.mode, isDevice ? { rdev: `${op.major}:${op.minor}` } : {});
  } else if (existing !== undefined) {
    if (existing.type === "directory") throw new Refusal("EPERM");
    enter(place.parent, place.name, existing);
    place.parent.mtime = "clock";
  }
}

export function unlink(root: Inode, path: string): undefined {
  const place = new PathWalk(root).place(path);
  if (place.kind !== "name") throw new Refusal("EISDIR");
  const inode = child(place);
  if (inode === undefined) throw new Refusal("ENOENT");
  if (inode.type === "directory") throw new Refusal("EISDIR");
  if (place.slash) throw new Refusal("ENOTDIR");
  leave(place);
}

export function rmdir(root: Inode, path: string): undefined {
  const place = new PathWalk(root).place(path);
  if (place.kind !== "name") throw new Refusal({ ".": "EINVAL", "..": "ENOTEMPTY", "/": "EBUSY" }[place.kind]);
  const inode = child(place);
  if (inode === undefined) throw new Refusal("ENOENT");
  if (inode.type !== "directory") throw new Refusal("ENOTDIR");
  if (inode.entries.size > 0) throw new Refusal("ENOTEMPTY");
  leave(place);
}

/** The order of checks is that of do_renameat2 and vfs_rename, linux/fs/namei.c. */
export function rename(root: Inode, { path, to, flag }: OpNamed<"rename">): undefined {
  const from = new PathWalk(root).place(path);
  const into = new PathWalk(root).place(to);
  if (from.kind !== "name") throw new Refusal("EBUSY");
  if (into.kind !== "name") throw new Refusal(flag === "noreplace" ? "EEXIST" : "EBUSY");
  const moved = child(from);
  if (moved === undefined) throw new Refusal("ENOENT");
  const target = child(into);
  if (target !== undefined && flag === "noreplace") throw new Refusal("EEXIST");
  if (flag === "exchange") {
    if (target === undefined) throw new Refusal("ENOENT");
    if (target.type !== "directory" && into.slash) throw new Refusal("ENOTDIR");
  }
  const isDirectory = moved.type === "directory";
  if (!isDirectory && (from.slash || (flag !== "exchange" && into.slash))) throw new Refusal("ENOTDIR");
  if (isAncestor(moved, into.parent)) throw new Refusal("EINVAL");
  if (target !== undefined && isAncestor(target, from.parent))
    throw new Refusal(flag === "exchange" ? "EINVAL" : "ENOTEMPTY");
  if (moved === target) return;
  if (flag === "exchange" && target !== undefined) {
    enter(into.parent, into.name, moved);
    enter(from.parent, from.name, target);
    moved.nlink--;
    target.nlink--;
  } else {
    if (target !== undefined) {
      if (isDirectory && target.type !== "directory") throw new Refusal("ENOTDIR");
      if (!isDirectory && target.type === "directory") throw new Refusal("EISDIR");
      if (target.entries.size > 0) throw new Refusal("ENOTEMPTY");
      leave(into);
    }
    enter(into.parent, into.name, moved);
    leave(from);
  }
  from.parent.mtime = into.parent.mtime = "clock";
}

function leave({ parent, name }: Place): void {
  const inode = parent.entries.get(name);
  parent.entries.delete(name);
  parent.mtime = "clock";
  if (inode !== undefined) inode.nlink--;
}

/** True if `directory` is `inode` or lies below it. */
function isAncestor(inode: Inode, directory: Inode | undefined): boolean {
  for (let at = directory; at !== undefined; at = at.parent) if (at === inode) return true;
  return false;
}
