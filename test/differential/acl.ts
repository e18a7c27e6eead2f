import type { Inode } from "./model-tree.ts";

/**
 * POSIX ACLs as far as changing a file touches them: a model's own reading of linux/fs/posix_acl.c.
 *
 * The attribute is a u32 version 2, then entries of u16 tag, u16 permissions, u32 id; here as hex.
 */
export const ACCESS = "system.posix_acl_access";
export const DEFAULT = "system.posix_acl_default";

const USER_OBJ = 1;
const USER = 2;
const GROUP_OBJ = 4;
const GROUP = 8;
const MASK = 0x10;
const OTHER = 0x20;

interface AclEntry {
  readonly tag: number;
  perm: number;
  readonly id: number;
}

function decode(hex: string): AclEntry[] {
  const bytes = Buffer.from(hex, "hex");
  const entries: AclEntry[] = [];
  for (let at = 4; at < bytes.length; at += 8) {
    entries.push({ tag: bytes.readUInt16LE(at), perm: bytes.readUInt16LE(at + 2), id: bytes.readUInt32LE(at + 4) });
  }
  return entries;
}

function encode(entries: readonly AclEntry[]): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2);
  entries.forEach(({ tag, perm, id }, i) => {
    bytes.writeUInt16LE(tag, 4 + 8 * i);
    bytes.writeUInt16LE(perm, 6 + 8 * i);
    bytes.writeUInt32LE(id, 8 + 8 * i);
  });
  return bytes.toString("hex");
}

const shift: Readonly<Record<number, number>> = { [USER_OBJ]: 6, [GROUP_OBJ]: 3, [MASK]: 3, [OTHER]: 0 };

/** The entry that holds each class's bits of the mode: the mask, if there is one, has the group's. */
function classes(entries: readonly AclEntry[]): AclEntry[] {
  const hasMask = entries.some(({ tag }) => tag === MASK);
  return entries.filter(({ tag }) => tag in shift && (tag !== GROUP_OBJ || !hasMask));
}

function isMinimal(entries: readonly AclEntry[]): boolean {
  return entries.every(({ tag }) => tag !== USER && tag !== GROUP && tag !== MASK);
}

/** A new ACL, as setxattr(2) sets it: that of access says the mode, and is not kept if the mode says it all. */
export function setAcl(inode: Inode, name: string, hex: string): void {
  if (name === DEFAULT) {
    inode.xattrs.set(DEFAULT, hex);
    return;
  }
  const entries = decode(hex);
  for (const { tag, perm } of classes(entries)) {
    const at = shift[tag]!;
    inode.mode = (inode.mode & ~(7 << at)) | (perm << at);
  }
  if (isMinimal(entries)) inode.xattrs.delete(ACCESS);
  else inode.xattrs.set(ACCESS, hex);
}

/** After a change of its mode. */
export function aclFollowsMode(inode: Inode): void {
  const hex = inode.xattrs.get(ACCESS);
  if (hex === undefined) return;
  const entries = decode(hex);
  for (const entry of classes(entries)) entry.perm = (inode.mode >> shift[entry.tag]!) & 7;
  inode.xattrs.set(ACCESS, encode(entries));
}

/** What a new file takes from its directory's default ACL, which takes the umask's place. */
export function inheritAcl(directory: Inode, inode: Inode): void {
  const hex = directory.xattrs.get(DEFAULT);
  if (hex === undefined || inode.type === "symlink") return;
  const entries = decode(hex);
  for (const entry of classes(entries)) {
    const at = shift[entry.tag]!;
    entry.perm &= inode.mode >> at;
    inode.mode &= ~(7 << at) | (entry.perm << at);
  }
  if (!isMinimal(entries)) inode.xattrs.set(ACCESS, encode(entries));
  if (inode.type === "directory") inode.xattrs.set(DEFAULT, hex);
}

/** ACLs as hex, of a named user with read and write, say. */
export function aclHex(user: number, group: number, mask: number | undefined, other: number, named?: number): string {
  const none = 0xffffffff;
  return encode([
    { tag: USER_OBJ, perm: user, id: none },
    ...(named === undefined ? [] : [{ tag: USER, perm: named, id: 1234 }]),
    { tag: GROUP_OBJ, perm: group, id: none },
    ...(mask === undefined ? [] : [{ tag: MASK, perm: mask, id: none }]),
    { tag: OTHER, perm: other, id: none },
  ]);
}
