import { constants } from "node:fs";
import type { Xattr } from "../model/node.ts";
import { type Caller, isMember, isOf, type Owned, uidOf, withXattr, xattrOf } from "./credentials.ts";

/**
 * POSIX ACLs as Linux keeps and applies them.
 *
 *   what                                        | here            | kernel, fs/posix_acl.c
 *   an xattr's value                            | decodeAcl       | posix_acl_from_xattr, include/uapi/linux/posix_acl_xattr.h
 *   an ACL that may be set                      | isCompleteAcl   | posix_acl_valid
 *   who may what                                | permissionByAcl | posix_acl_permission, acl_permission_check (namei.c)
 *   mode and ACLs of what is made in a directory| inheritAcl      | posix_acl_create
 *   the ACL after chmod(2)                      | aclAfterChmod   | posix_acl_chmod
 *   the mode after an ACL is set                | withAccessAcl   | posix_acl_update_mode
 *
 * The group bits of a node with an access ACL are the ACL's mask: what its named users, its group and its named groups may
 * have at most. An ACL that says no more than a mode is never kept beside it.
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

/** True for an owner, named users, a group, named groups, a mask (if anything is named), others: in this order. */
export function isCompleteAcl(acl: Acl): boolean {
  if (acl.some(({ permissions }) => permissions > 7)) return false;
  const letters = acl.map(({ tag }) => TAGS.get(tag)).join("");
  return /^ou*gn*mt$/.test(letters) || letters === "ogt";
}

/**
 * What the ACL of a node, which the caller does not own, lets him do.
 *
 * @returns undefined if the mode decides: there is no ACL, or its mask lets nobody do anything. "EIO" for one that is damaged
 */
export function permissionByAcl(caller: Caller, node: Owned, wanted: number): "granted" | "EACCES" | "EIO" | undefined {
  const value = xattrOf(node, ACCESS_ACL);
  // The kernel skips an ACL without group bits, so that a named user then is as all others are.
  if (value === undefined || (node.mode & constants.S_IRWXG) === 0) return undefined;
  const acl = completeAcl(value);
  if (acl === undefined) return "EIO";
  const mask = entryOf(acl, MASK)?.permissions ?? 7;
  const allows = (permissions: number): boolean => (permissions & wanted) === wanted;

  const user = acl.find(({ tag, id }) => tag === USER && id === uidOf(caller));
  if (user) return allows(user.permissions & mask) ? "granted" : "EACCES";
  const groups = acl.filter(({ tag, id }) => {
    if (tag === GROUP_OBJ) return isMember(caller, node.gid);
    return tag === GROUP && isMember(caller, id);
  });
  if (groups.length > 0) return groups.some((group) => allows(group.permissions & mask)) ? "granted" : "EACCES";
  return allows(entryOf(acl, OTHER)?.permissions ?? 0) ? "granted" : "EACCES";
}

/**
 * Mode and ACLs of a new node other than a symlink. The umask counts only where the directory has no default ACL;
 * a damaged one is none.
 *
 * @param mode asked for, type included
 */
export function inheritAcl(directory: Owned, mode: number, umask: number): Pick<Owned, "mode" | "xattrs"> {
  const value = xattrOf(directory, DEFAULT_ACL);
  const inherited = value && completeAcl(value);
  if (!value || !inherited) return { mode: mode & ~(umask & 0o777), xattrs: [] };
  const acl = inherited.map((entry) => {
    const asked = bitsFor(entry, inherited, mode);
    return asked === undefined ? entry : { ...entry, permissions: entry.permissions & asked };
  });
  const access: readonly Xattr[] = isMode(acl) ? [] : [{ name: ACCESS_ACL, value: encodeAcl(acl) }];
  const own = isOf(constants.S_IFDIR, { mode }) ? withXattr(access, DEFAULT_ACL, value) : access;
  return { mode: modeUnder(acl, mode), xattrs: own };
}

/** The xattrs of `node`, whose mode is the new one already. */
export function aclAfterChmod(node: Owned): readonly Xattr[] {
  const value = xattrOf(node, ACCESS_ACL);
  const acl = value && completeAcl(value);
  if (!acl) return node.xattrs;
  const changed = acl.map((entry) => ({ ...entry, permissions: bitsFor(entry, acl, node.mode) ?? entry.permissions }));
  return withXattr(node.xattrs, ACCESS_ACL, isMode(changed) ? undefined : encodeAcl(changed));
}

/** `node` with a complete `acl` set as its access ACL. */
export function withAccessAcl(node: Owned, acl: Acl): Owned {
  const value = isMode(acl) ? undefined : encodeAcl(acl);
  return { ...node, mode: modeUnder(acl, node.mode), xattrs: withXattr(node.xattrs, ACCESS_ACL, value) };
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

function completeAcl(value: Uint8Array): Acl | undefined {
  const acl = decodeAcl(value);
  return typeof acl !== "string" && isCompleteAcl(acl) ? acl : undefined;
}

/** The three bits of `mode` that `entry` stands for; none for a named one, nor for the group's beside a mask. */
function bitsFor({ tag }: AclEntry, acl: Acl, mode: number): number | undefined {
  if (tag === USER_OBJ) return (mode >> 6) & 7;
  if (tag === OTHER) return mode & 7;
  return tag === (entryOf(acl, MASK) ? MASK : GROUP_OBJ) ? (mode >> 3) & 7 : undefined;
}

function modeUnder(acl: Acl, mode: number): number {
  const of = (tag: number): number => entryOf(acl, tag)?.permissions ?? 0;
  const group = entryOf(acl, MASK) ? of(MASK) : of(GROUP_OBJ);
  return (mode & ~0o777) | (of(USER_OBJ) << 6) | (group << 3) | of(OTHER);
}

/** posix_acl_equiv_mode */
function isMode(acl: Acl): boolean {
  return acl.every(({ tag }) => !isNamed(tag) && tag !== MASK);
}

function entryOf(acl: Acl, wanted: number): AclEntry | undefined {
  return acl.find(({ tag }) => tag === wanted);
}

function isNamed(tag: number): boolean {
  return tag === USER || tag === GROUP;
}

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
/** ACL_UNDEFINED_ID */
const NO_ID = 0xffffffff;
const USER_OBJ = 0x01;
const USER = 0x02;
const GROUP_OBJ = 0x04;
const GROUP = 0x08;
const MASK = 0x10;
const OTHER = 0x20;
/** A letter each, for the order that a complete ACL has. */
const TAGS: ReadonlyMap<number, string> = new Map([
  [USER_OBJ, "o"],
  [USER, "u"],
  [GROUP_OBJ, "g"],
  [GROUP, "n"],
  [MASK, "m"],
  [OTHER, "t"],
]);
