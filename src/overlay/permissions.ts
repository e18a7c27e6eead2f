import { constants } from "node:fs";
import { aclAfterChmod, inheritAcl, permissionByAcl } from "./acl.ts";
import {
  type Caller,
  gidOf,
  isMember,
  isOf,
  isRoot,
  mayHaveSetgid,
  type Owned,
  ownsOrIsRoot,
  uidOf,
  withXattr,
} from "./credentials.ts";

/**
 * Who may do what, and what that does to owner, mode and xattrs, as Linux 6.18 judges without a security module. `may…` gives
 * the errno of a refusal, `after…` and `newNode` what there is then; neither looks at what the other one knows.
 *
 *   call                         | may it        | then        | kernel
 *   each directory of a path     | mayAccess X   |             | may_lookup
 *   access, truncate (W),        | mayAccess     |             | generic_permission, acl_permission_check
 *   opendir (R)                  |               |             |
 *   open of what is there        | mayOpen       |             | may_open
 *   open O_CREAT, mkdir, mknod,  | mayCreate     | newNode     | may_create, vfs_mknod; vfs_prepare_mode,
 *   symlink, link (no newNode)   |               |             | mode_strip_sgid, inode_init_owner, posix_acl_create
 *   unlink, rmdir                | mayRemove     |             | may_delete, __check_sticky
 *   rename                       | mayRename     |             | vfs_rename
 *   chmod                        | mayChmod      | afterChmod  | setattr_prepare, setattr_copy, posix_acl_chmod
 *   chown                        | mayChown      | afterChown  | chown_common, chown_ok, chgrp_ok
 *   utimes                       | mayUtimes     |             | vfs_utimes, notify_change
 *   write of ≥ 1 byte, truncate, |               | afterChange | file_remove_privs, do_truncate,
 *   O_TRUNC, punchHole           |               |             | setattr_should_drop_suidgid
 *   xattrs: xattr-permissions.ts
 *
 * What is to be looked at before, as Linux does: ENOENT and EEXIST, and whether both names of a rename are one node's, which
 * then succeeds. To be looked at after: EPERM for the link of a directory, ENOTEMPTY. An open file needs no permission again.
 * Not modelled: the sysctls fs.protected_*, which are all 0 here; immutable and append-only files; O_NOATIME.
 */
export type Refusal = "EACCES" | "EPERM" | "EIO" | "EISDIR" | "ENOTDIR" | "ENOTSUP";

/** @param wanted a sum of R_OK, W_OK and X_OK; X_OK of a directory is search. @returns EIO if a damaged ACL were to decide */
export function mayAccess(caller: Caller, node: Owned, wanted: number): Refusal | undefined {
  if (!isRoot(caller)) return mayByMode(caller, node, wanted);
  const executes = (wanted & constants.X_OK) !== 0 && !isOf(constants.S_IFDIR, node);
  return executes && (node.mode & 0o111) === 0 ? "EACCES" : undefined;
}

/** @param flags of open(2); what this very call creates needs no permission */
export function mayOpen(caller: Caller, node: Owned, flags: number): Refusal | undefined {
  const truncates = (flags & constants.O_TRUNC) !== 0;
  const access = flags & (constants.O_WRONLY | constants.O_RDWR);
  const reads = access !== constants.O_WRONLY;
  const writes = access !== constants.O_RDONLY || truncates;
  if (writes && isOf(constants.S_IFDIR, node)) return "EISDIR";
  return mayAccess(caller, node, (reads ? constants.R_OK : 0) | (writes ? constants.W_OK : 0));
}

/** @param format one of `S_IFMT`: what is to be there, or get another name there */
export function mayCreate(caller: Caller, directory: Owned, format: number): Refusal | undefined {
  const refusal = mayAccess(caller, directory, constants.W_OK | constants.X_OK);
  if (refusal) return refusal;
  const isDevice = format === constants.S_IFCHR || format === constants.S_IFBLK;
  return isDevice && !isRoot(caller) ? "EPERM" : undefined;
}

/** What is in `directory`, a directory or not, and who removes it: rmdir(2) or unlink(2). */
export function mayRemove(caller: Caller, directory: Owned, node: Owned, by: "rmdir" | "unlink"): Refusal | undefined {
  const refusal = mayAccess(caller, directory, constants.W_OK | constants.X_OK);
  if (refusal) return refusal;
  const sticky = (directory.mode & S_ISVTX) !== 0;
  if (sticky && !ownsOrIsRoot(caller, node) && !ownsOrIsRoot(caller, directory)) return "EPERM";
  const isDirectory = isOf(constants.S_IFDIR, node);
  if (isDirectory === (by === "rmdir")) return undefined;
  return isDirectory ? "EISDIR" : "ENOTDIR";
}

export interface Rename {
  readonly node: Owned;
  /** The directory that it leaves. */
  readonly from: Owned;
  readonly to: Owned;
  /** `from` and `to` are one. */
  readonly stays: boolean;
  /** What has the name already. */
  readonly replaced: Owned | undefined;
  /** RENAME_EXCHANGE: `replaced` goes the other way. */
  readonly exchange: boolean;
}

export function mayRename(caller: Caller, rename: Rename): Refusal | undefined {
  const { node, from, to, stays, replaced, exchange } = rename;
  const refusal =
    mayRemove(caller, from, node, remover(node)) ??
    (replaced
      ? mayRemove(caller, to, replaced, remover(exchange ? replaced : node))
      : mayCreate(caller, to, constants.S_IFREG));
  if (refusal || stays) return refusal;
  return mayGetParent(caller, node) ?? (exchange && replaced ? mayGetParent(caller, replaced) : undefined);
}

export function mayChmod(caller: Caller, node: Owned): Refusal | undefined {
  if (isOf(constants.S_IFLNK, node)) return "ENOTSUP";
  return ownsOrIsRoot(caller, node) ? undefined : "EPERM";
}

/** @param mode its type is ignored */
export function afterChmod(caller: Caller, node: Owned, mode: number): Owned {
  const allowed = mayHaveSetgid(caller, node.gid) ? 0o7777 : 0o7777 & ~S_ISGID;
  const changed = { ...node, mode: (node.mode & constants.S_IFMT) | (mode & allowed) };
  return { ...changed, xattrs: aclAfterChmod(changed) };
}

/** @param uid -1, as `gid`: as it is; that too may be refused, since it clears bits */
export function mayChown(caller: Caller, node: Owned, uid: number, gid: number): Refusal | undefined {
  if (isRoot(caller)) return undefined;
  const owns = ownsOrIsRoot(caller, node);
  if (uid !== -1 && !(owns && uid === node.uid)) return "EPERM";
  if (gid !== -1 && !(owns && (gid === node.gid || isMember(caller, gid)))) return "EPERM";
  const keepsBits = afterChown(caller, node, -1, -1).mode === node.mode;
  return owns || keepsBits ? undefined : "EPERM";
}

/** Of all but directories it clears S_ISUID, file capabilities, and S_ISGID as a write does; also for root. */
export function afterChown(caller: Caller, node: Owned, uid: number, gid: number): Owned {
  const kept = isOf(constants.S_IFDIR, node)
    ? node
    : { ...node, mode: node.mode & ~cleared(caller, node), xattrs: withXattr(node.xattrs, CAPABILITY, undefined) };
  return { ...kept, uid: uid === -1 ? node.uid : uid, gid: gid === -1 ? node.gid : gid };
}

/** @param now both times to now, for which permission to write is enough */
export function mayUtimes(caller: Caller, node: Owned, now: boolean): Refusal | undefined {
  if (ownsOrIsRoot(caller, node)) return undefined;
  return now ? mayAccess(caller, node, constants.W_OK) : "EPERM";
}

/** What a change of a file's bytes or size leaves: root alone keeps set-id bits, and nobody file capabilities. */
export function afterChange(caller: Caller, node: Owned): Owned {
  const xattrs = withXattr(node.xattrs, CAPABILITY, undefined);
  const mode = isRoot(caller) ? node.mode : node.mode & ~cleared(caller, node);
  return mode === node.mode && xattrs === node.xattrs ? node : { ...node, mode, xattrs };
}

/**
 * A node made in `directory`.
 *
 * @param mode asked for, type included; set-id bits are not for directories, a symlink's is always 0777
 */
export function newNode(caller: Caller, directory: Owned, mode: number, umask: number): Owned {
  const format = mode & constants.S_IFMT;
  const setgid = (directory.mode & S_ISGID) !== 0;
  const owner = { uid: uidOf(caller), gid: setgid ? directory.gid : gidOf(caller) };
  if (format === constants.S_IFLNK) return { ...owner, mode: format | 0o777, xattrs: [] };
  if (format === constants.S_IFDIR) {
    const bits = (mode & 0o1777) | (setgid ? S_ISGID : 0);
    return { ...owner, ...inheritAcl(directory, format | bits, umask) };
  }
  const stripped = setgid && (mode & constants.S_IXGRP) !== 0 && !mayHaveSetgid(caller, directory.gid);
  return { ...owner, ...inheritAcl(directory, stripped ? mode & ~S_ISGID : mode, umask) };
}

/** acl_permission_check: what all but root may. */
function mayByMode(caller: Caller, node: Owned, wanted: number): Refusal | undefined {
  const allows = (permissions: number): Refusal | undefined =>
    (permissions & wanted) === wanted ? undefined : "EACCES";
  if (node.uid === uidOf(caller)) return allows(node.mode >> 6);
  const verdict = permissionByAcl(caller, node, wanted);
  if (verdict !== undefined) return verdict === "granted" ? undefined : verdict;
  return allows(isMember(caller, node.gid) ? node.mode >> 3 : node.mode);
}

/** A directory's ".." changes with its parent. */
function mayGetParent(caller: Caller, node: Owned): Refusal | undefined {
  return isOf(constants.S_IFDIR, node) ? mayAccess(caller, node, constants.W_OK) : undefined;
}

function remover(node: Owned): "rmdir" | "unlink" {
  return isOf(constants.S_IFDIR, node) ? "rmdir" : "unlink";
}

/** setattr_should_drop_sgid, and S_ISUID: S_ISGID without S_IXGRP once stood for mandatory locks. */
function cleared(caller: Caller, { mode, gid }: Owned): number {
  const setgid = (mode & constants.S_IXGRP) !== 0 || !mayHaveSetgid(caller, gid);
  return S_ISUID | (setgid ? S_ISGID : 0);
}

/** node:fs leaves these out. */
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;
const CAPABILITY = "security.capability";
