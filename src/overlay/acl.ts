import { constants } from "node:fs";
import {
  ACCESS_ACL,
  type Acl,
  type AclEntry,
  completeAcl,
  DEFAULT_ACL,
  encodeAcl,
  entryOf,
  GROUP,
  GROUP_OBJ,
  isModeAcl,
  MASK,
  modeUnderAcl,
  OTHER,
  USER,
  USER_OBJ,
} from "../format/acl.ts";
import type { Xattr } from "../model/node.ts";
import { type Caller, isMember, isOf, type Owned, uidOf, withXattr, xattrOf } from "./credentials.ts";

/**
 * POSIX ACLs as Linux applies them.
 *
 *   what                                        | here            | kernel, fs/posix_acl.c
 *   who may what                                | permissionByAcl | posix_acl_permission, acl_permission_check (namei.c)
 *   mode and ACLs of what is made in a directory| inheritAcl      | posix_acl_create
 *   the ACL after chmod(2)                      | aclAfterChmod   | posix_acl_chmod
 *   the mode after an ACL is set                | withAccessAcl   | posix_acl_update_mode
 *
 * The group bits of a node with an access ACL are the ACL's mask: what its named users, its group and its named groups may
 * have at most. An ACL that says no more than a mode is never kept beside it.
 */

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
  const access: readonly Xattr[] = isModeAcl(acl) ? [] : [{ name: ACCESS_ACL, value: encodeAcl(acl) }];
  const own = isOf(constants.S_IFDIR, { mode }) ? withXattr(access, DEFAULT_ACL, value) : access;
  return { mode: modeUnderAcl(acl, mode), xattrs: own };
}

/** The xattrs of `node`, whose mode is the new one already. */
export function aclAfterChmod(node: Owned): readonly Xattr[] {
  const value = xattrOf(node, ACCESS_ACL);
  const acl = value && completeAcl(value);
  if (!acl) return node.xattrs;
  const changed = acl.map((entry) => ({ ...entry, permissions: bitsFor(entry, acl, node.mode) ?? entry.permissions }));
  return withXattr(node.xattrs, ACCESS_ACL, isModeAcl(changed) ? undefined : encodeAcl(changed));
}

/** `node` with a complete `acl` set as its access ACL. */
export function withAccessAcl(node: Owned, acl: Acl): Owned {
  const value = isModeAcl(acl) ? undefined : encodeAcl(acl);
  return { ...node, mode: modeUnderAcl(acl, node.mode), xattrs: withXattr(node.xattrs, ACCESS_ACL, value) };
}

/** The three bits of `mode` that `entry` stands for; none for a named one, nor for the group's beside a mask. */
function bitsFor({ tag }: AclEntry, acl: Acl, mode: number): number | undefined {
  if (tag === USER_OBJ) return (mode >> 6) & 7;
  if (tag === OTHER) return mode & 7;
  return tag === (entryOf(acl, MASK) ? MASK : GROUP_OBJ) ? (mode >> 3) & 7 : undefined;
}
