import { ACCESS, DEFAULT, setAcl } from "./acl.ts";
import { hashOf, type Inode } from "./model-tree.ts";
import { Refusal } from "./model-path.ts";
import type { OpenFlag, OpNamed, Outcome } from "./operations.ts";

/** What is open. */
export interface Handle {
  readonly inode: Inode;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly append: boolean;
  position: number;
}

export function makeHandle(inode: Inode, flags: readonly OpenFlag[]): Handle {
  const has = (flag: OpenFlag): boolean => flags.includes(flag);
  return {
    inode,
    readable: !has("O_WRONLY"),
    writable: has("O_WRONLY") || has("O_RDWR"),
    append: has("O_APPEND"),
    position: 0,
  };
}

/** What drops a file's capabilities also stamps its mtime. */
export function contentChanged(inode: Inode): void {
  inode.mtime = "clock";
  inode.xattrs.delete("security.capability");
}

export function truncated(inode: Inode, size: number): void {
  const data = Buffer.alloc(size);
  inode.data.copy(data);
  inode.data = data;
}

export function readOutcome(bytes: Uint8Array): Outcome {
  return `ok ${bytes.length} ${hashOf(bytes)}`;
}

export function read(handle: Handle, at: number | null, length: number): Outcome {
  if (!handle.readable) throw new Refusal("EBADF");
  if (handle.inode.type === "directory") throw new Refusal("EISDIR");
  const start = at ?? handle.position;
  const bytes = handle.inode.data.subarray(start, start + length);
  if (at === null) handle.position += bytes.length;
  return readOutcome(bytes);
}

export function write(handle: Handle, at: number | null, bytes: Uint8Array): Outcome {
  const { inode } = handle;
  if (!handle.writable) throw new Refusal("EBADF");
  // pwrite(2), BUGS: with O_APPEND the offset counts for nothing.
  const start = handle.append ? inode.data.length : (at ?? handle.position);
  if (bytes.length > 0) {
    truncated(inode, Math.max(inode.data.length, start + bytes.length));
    inode.data.set(bytes, start);
    contentChanged(inode);
    if (at === null) handle.position = start + bytes.length;
  }
  return `ok ${bytes.length}`;
}

export function punch(handle: Handle, start: number, length: number): undefined {
  const { inode } = handle;
  if (length <= 0) throw new Refusal("EINVAL");
  if (!handle.writable) throw new Refusal("EBADF");
  inode.data = Buffer.from(inode.data);
  inode.data.subarray(start, start + length).fill(0);
  contentChanged(inode);
}

export function ftruncate(handle: Handle, size: number): undefined {
  if (!handle.writable) throw new Refusal("EINVAL");
  truncated(handle.inode, size);
  contentChanged(handle.inode);
}

/** chown(2) of root: it takes set-id bits and capabilities away, even if it changes nobody. */
export function chown(inode: Inode, uid: number, gid: number): undefined {
  if (uid >= 0) inode.uid = uid;
  if (gid >= 0) inode.gid = gid;
  if (inode.type === "directory") return undefined;
  inode.mode &= ~0o4000;
  if ((inode.mode & 0o10) !== 0) inode.mode &= ~0o2000;
  inode.xattrs.delete("security.capability");
}

export function setxattr(inode: Inode, { name, value, flag }: OpNamed<"setxattr">): undefined {
  assertHolds(inode, name, "EPERM");
  if (name === DEFAULT && inode.type !== "directory") throw new Refusal("EACCES");
  if (name === ACCESS || name === DEFAULT) {
    setAcl(inode, name, value);
    return;
  }
  if (flag === "create" && inode.xattrs.has(name)) throw new Refusal("EEXIST");
  if (flag === "replace" && !inode.xattrs.has(name)) throw new Refusal("ENODATA");
  inode.xattrs.set(name, value);
}

export function removexattr(inode: Inode, name: string): undefined {
  assertHolds(inode, name, "EPERM");
  if (!inode.xattrs.delete(name)) throw new Refusal("ENODATA");
}

export function getxattr(inode: Inode, name: string): Outcome {
  assertHolds(inode, name, "ENODATA");
  const value = inode.xattrs.get(name);
  if (value === undefined) throw new Refusal("ENODATA");
  return `ok ${value}`;
}

function assertHolds(inode: Inode, name: string, refusal: string): void {
  if (name.startsWith("user.") && inode.type !== "file" && inode.type !== "directory") throw new Refusal(refusal);
  if ((name === ACCESS || name === DEFAULT) && inode.type === "symlink") throw new Refusal("ENOTSUP");
}
