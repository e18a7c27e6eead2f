import { constants } from "node:fs";
import type { Xattr } from "../model/node.ts";
import type { Entry } from "./entry.ts";

/** Whom a view takes its caller for: the ids that Linux calls fsuid and fsgid, and the supplementary groups. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
}

/**
 * Who makes a call. uid 0 has all capabilities, whatever its groups; so has, as 0:0, the store's owner, who is `undefined`.
 * He too gets what root gets: no execution of what nobody may execute, no file capabilities kept over a write.
 */
export type Caller = Credentials | undefined;

/** What permissions hang on. */
export interface Owned {
  /** As stat(2) has it, type included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: readonly Xattr[];
}

export function ownedOf(entry: Entry): Owned {
  const { uid, gid, xattrs } = entry.attributes;
  return { mode: entry.mode, uid, gid, xattrs };
}

export function uidOf(caller: Caller): number {
  return caller?.uid ?? 0;
}

export function gidOf(caller: Caller): number {
  return caller?.gid ?? 0;
}

export function isRoot(caller: Caller): boolean {
  return uidOf(caller) === 0;
}

/** in_group_p of the kernel. */
export function isMember(caller: Caller, gid: number): boolean {
  return gid === gidOf(caller) || (caller?.groups?.includes(gid) ?? false);
}

/** in_group_or_capable: who may keep, and set, S_ISGID on what has this group. */
export function mayHaveSetgid(caller: Caller, gid: number): boolean {
  return isRoot(caller) || isMember(caller, gid);
}

/** inode_owner_or_capable */
export function ownsOrIsRoot(caller: Caller, { uid }: Owned): boolean {
  return isRoot(caller) || uid === uidOf(caller);
}

/** @param format one of `S_IFMT` */
export function isOf(format: number, { mode }: Pick<Owned, "mode">): boolean {
  return (mode & constants.S_IFMT) === format;
}

export function xattrOf({ xattrs }: Pick<Owned, "xattrs">, name: string): Uint8Array | undefined {
  return xattrs.find((xattr) => xattr.name === name)?.value;
}

/** @param value undefined: without that xattr. @returns in byte order of the names, as always */
export function withXattr(xattrs: readonly Xattr[], name: string, value: Uint8Array | undefined): readonly Xattr[] {
  const others = xattrs.filter((xattr) => xattr.name !== name);
  if (value === undefined) return others.length === xattrs.length ? xattrs : others;
  const at = others.findIndex((xattr) => xattr.name > name);
  return others.toSpliced(at < 0 ? others.length : at, 0, { name, value });
}
