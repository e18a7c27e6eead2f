/**
 * POSIX ACLs as Linux keeps them in xattrs. Source: include/uapi/linux/posix_acl_xattr.h; fs/posix_acl.c,
 * posix_acl_from_xattr and posix_acl_valid.
 */
export const ACCESS_ACL = "system.posix_acl_access";
/** Of directories alone: what is made in them begins with it. */
export const DEFAULT_ACL = "system.posix_acl_default";

export interface AclEntry {
  readonly tag: number;
  /** 4 read, 2 write, 1 execute. */
  readonly permissions: number;
  /** Of a named user or group; of all others `NO_ID`. */
  readonly id: number;
}

/** In the order in which they were set; it is kept, and decides nothing. */
export type Acl = readonly AclEntry[];

/** @returns no entries for what removes an ACL when it is set; else what setxattr(2) says of a value that is none */
export function decodeAcl(value: Uint8Array): Acl | "EINVAL" | "ENOTSUP" {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length === 0) return [];
  if (value.length < HEADER_BYTES) return "EINVAL";
  if (view.getUint32(0, true) !== VERSION) return "ENOTSUP";
  if ((value.length - HEADER_BYTES) % ENTRY_BYTES !== 0) return "EINVAL";
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < value.length; at += ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    if (!TAGS.has(tag)) return "EINVAL";
    const id = isNamed(tag) ? view.getUint32(at + 4, true) : NO_ID;
    if (isNamed(tag) && id === NO_ID) return "EINVAL";
    acl.push({ tag, permissions: view.getUint16(at + 2, true), id });
  }
  return acl;
}

export function encodeAcl(acl: Acl): Uint8Array {
  const value = new Uint8Array(HEADER_BYTES + ENTRY_BYTES * acl.length);
  const view = new DataView(value.buffer);
  view.setUint32(0, VERSION, true);
  for (const [i, { tag, permissions, id }] of acl.entries()) {
    const at = HEADER_BYTES + ENTRY_BYTES * i;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, permissions, true);
    view.setUint32(at + 4, id, true);
  }
  return value;
}

/** True for an owner, named users, a group, named groups, a mask (if anything is named), others: in this order. */
export function isCompleteAcl(acl: Acl): boolean {
  if (acl.some(({ permissions }) => permissions > 7)) return false;
  const letters = acl.map(({ tag }) => TAGS.get(tag)).join("");
  return /^ou*gn*mt$/.test(letters) || letters === "ogt";
}

/** @returns undefined for a value that the kernel would not keep */
export function completeAcl(value: Uint8Array): Acl | undefined {
  const acl = decodeAcl(value);
  return typeof acl !== "string" && isCompleteAcl(acl) ? acl : undefined;
}

/** The order in which libacl hands entries to the kernel: by kind, then by id. */
export function sortedAcl(acl: Acl): Acl {
  return acl.toSorted((a, b) => a.tag - b.tag || a.id - b.id);
}

/** True for one that says no more than a mode: posix_acl_equiv_mode. The kernel keeps no access ACL for it. */
export function isModeAcl(acl: Acl): boolean {
  return acl.every(({ tag }) => !isNamed(tag) && tag !== MASK);
}

/** The mode of what was `mode` and has this complete ACL: its group bits are the mask. */
export function modeUnderAcl(acl: Acl, mode: number): number {
  const of = (tag: number): number => entryOf(acl, tag)?.permissions ?? 0;
  const group = entryOf(acl, MASK) ? of(MASK) : of(GROUP_OBJ);
  return (mode & ~0o777) | (of(USER_OBJ) << 6) | (group << 3) | of(OTHER);
}

export function entryOf(acl: Acl, wanted: number): AclEntry | undefined {
  return acl.find(({ tag }) => tag === wanted);
}

/** True for an entry of a named user or group. */
export function isNamed(tag: number): boolean {
  return tag === USER || tag === GROUP;
}

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;

/** ACL_UNDEFINED_ID */
export const NO_ID: number = 0xffffffff;
export const USER_OBJ = 0x01;
export const USER = 0x02;
export const GROUP_OBJ = 0x04;
export const GROUP = 0x08;
export const MASK = 0x10;
export const OTHER = 0x20;
/** A letter each, for the order that a complete ACL has. */
const TAGS: ReadonlyMap<number, string> = new Map([
  [USER_OBJ, "o"],
  [USER, "u"],
  [GROUP_OBJ, "g"],
  [GROUP, "n"],
  [MASK, "m"],
  [OTHER, "t"],
]);
