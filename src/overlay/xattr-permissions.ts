import { constants } from "node:fs";
import { ACCESS_ACL, type Acl, decodeAcl, DEFAULT_ACL, encodeAcl, isCompleteAcl } from "../format/acl.ts";
import type { Xattr } from "../model/node.ts";
import { withAccessAcl } from "./acl.ts";
import {
  type Caller,
  isOf,
  isRoot,
  mayHaveSetgid,
  type Owned,
  ownsOrIsRoot,
  withXattr,
  xattrOf,
} from "./credentials.ts";
import { mayAccess, type Refusal } from "./permissions.ts";

/**
 * Who may read and change which xattr, and what that does to the mode, as permissions.ts says it. By the name's prefix:
 *
 *   user.       files and directories alone, by the permission to read or write; of a sticky directory its owner changes them
 *   trusted.    root's; others do not even see them
 *   security.   read by all, changed by root; security.capability is well-formed
 *   system.     posix_acl_access and posix_acl_default: read by all, changed by the owner
 *   all others  ENOTSUP
 *
 * An empty security.capability is refused, which Linux lets anybody set. One of revision 3 stays as it is; Linux reads it as one
 * of revision 2 where its root user is 0.
 *
 * Source: Linux 6.18, fs/xattr.c, xattr_permission, do_set_acl and setxattr_copy; fs/posix_acl.c, set_posix_acl;
 * security/commoncap.c, cap_convert_nscap and cap_inode_setxattr.
 */
export type XattrRefusal = Refusal | "ENODATA" | "EEXIST" | "EINVAL";

/** What a call says of a name, and of a value to set, before it looks at the path. The other functions here do not look again. */
export function flawOfXattr(name: string, value?: Uint8Array): "ERANGE" | "E2BIG" | undefined {
  if (name.length === 0 || name.length > MAX_NAME_BYTES) return "ERANGE";
  return value && value.length > MAX_VALUE_BYTES ? "E2BIG" : undefined;
}

/** The whole answer of getxattr(2) but its value: ENODATA if there is none. */
export function mayGetxattr(caller: Caller, node: Owned, name: string): XattrRefusal | undefined {
  const found = xattrOf(node, name) !== undefined;
  if (isAclName(name) && isOf(constants.S_IFLNK, node)) return "ENOTSUP";
  const refusal = mayReach(caller, node, name, constants.R_OK);
  if (refusal) return refusal;
  // What a tree has from another system can be read.
  return found ? undefined : (flawOfName(name) ?? "ENODATA");
}

/** Those of `node` that listxattr(2) names. */
export function visibleXattrs(caller: Caller, { xattrs }: Pick<Owned, "xattrs">): readonly Xattr[] {
  return isRoot(caller) ? xattrs : xattrs.filter(({ name }) => !name.startsWith("trusted."));
}

/** @param flag for an ACL it has no meaning */
export function maySetxattr(
  caller: Caller,
  node: Owned,
  name: string,
  value: Uint8Array,
  flag?: "create" | "replace",
): XattrRefusal | undefined {
  if (isAclName(name)) {
    const acl = decodeAcl(value);
    return typeof acl === "string" ? acl : maySetAcl(caller, node, name, acl);
  }
  if (name === CAPABILITY && !isCapability(value)) return "EINVAL";
  const refusal = mayReach(caller, node, name, constants.W_OK) ?? flawOfName(name);
  if (refusal) return refusal;
  const found = xattrOf(node, name) !== undefined;
  if (flag === "create" && found) return "EEXIST";
  return flag === "replace" && !found ? "ENODATA" : undefined;
}

/** An access ACL also sets the mode, and is not kept beside a mode that says the same. */
export function afterSetxattr(caller: Caller, node: Owned, name: string, value: Uint8Array): Owned {
  if (!isAclName(name)) return { ...node, xattrs: withXattr(node.xattrs, name, value) };
  const acl = decodeAcl(value);
  if (typeof acl === "string" || acl.length === 0) return afterRemovexattr(node, name);
  if (name === DEFAULT_ACL) return { ...node, xattrs: withXattr(node.xattrs, name, encodeAcl(acl)) };
  const changed = withAccessAcl(node, acl);
  return mayHaveSetgid(caller, node.gid) ? changed : { ...changed, mode: changed.mode & ~S_ISGID };
}

/** ENODATA if there is none; an ACL that is not there can be removed. */
export function mayRemovexattr(caller: Caller, node: Owned, name: string): XattrRefusal | undefined {
  if (isAclName(name)) return maySetAcl(caller, node, name, []);
  const refusal = mayReach(caller, node, name, constants.W_OK) ?? flawOfName(name);
  return refusal ?? (xattrOf(node, name) === undefined ? "ENODATA" : undefined);
}

/** Without its access ACL a node keeps its mode, whose group bits were the mask. */
export function afterRemovexattr(node: Owned, name: string): Owned {
  return { ...node, xattrs: withXattr(node.xattrs, name, undefined) };
}

function maySetAcl(caller: Caller, node: Owned, name: string, acl: Acl): XattrRefusal | undefined {
  if (isOf(constants.S_IFLNK, node)) return "ENOTSUP";
  if (name === DEFAULT_ACL && !isOf(constants.S_IFDIR, node)) return acl.length > 0 ? "EACCES" : undefined;
  if (!ownsOrIsRoot(caller, node)) return "EPERM";
  return acl.length === 0 || isCompleteAcl(acl) ? undefined : "EINVAL";
}

/** @param wanted R_OK or W_OK */
function mayReach(caller: Caller, node: Owned, name: string, wanted: number): XattrRefusal | undefined {
  const changes = wanted === constants.W_OK;
  if (name.startsWith("system.")) return undefined;
  if (name.startsWith("security.")) return changes && !isRoot(caller) ? "EPERM" : undefined;
  if (name.startsWith("trusted.")) return isRoot(caller) ? undefined : changes ? "EPERM" : "ENODATA";
  if (name.startsWith("user.")) {
    const isDirectory = isOf(constants.S_IFDIR, node);
    if (!isDirectory && !isOf(constants.S_IFREG, node)) return changes ? "EPERM" : "ENODATA";
    const sticky = isDirectory && (node.mode & S_ISVTX) !== 0;
    if (sticky && changes && !ownsOrIsRoot(caller, node)) return "EPERM";
  }
  return mayAccess(caller, node, wanted);
}

/** EINVAL for a prefix alone, ENOTSUP for one that Linux does not have. */
function flawOfName(name: string): "EINVAL" | "ENOTSUP" | undefined {
  if (isAclName(name)) return undefined;
  const prefix = /^(?:user|trusted|security)\./.exec(name)?.[0];
  if (prefix === undefined) return "ENOTSUP";
  return name === prefix ? "EINVAL" : undefined;
}

/** validheader of commoncap.c: struct vfs_cap_data of revision 2, vfs_ns_cap_data of revision 3, with or without "effective". */
function isCapability(value: Uint8Array): boolean {
  const magic = value.length < 4 ? 0 : new DataView(value.buffer, value.byteOffset).getUint32(0, true) & ~1;
  return (value.length === 20 && magic === 0x2000000) || (value.length === 24 && magic === 0x3000000);
}

function isAclName(name: string): boolean {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

/** XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h. */
const MAX_NAME_BYTES = 255;
const MAX_VALUE_BYTES = 65536;
const CAPABILITY = "security.capability";
const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;
