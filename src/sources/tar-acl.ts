import { readFileSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { MalformedTar } from "./tar-malformed.ts";

/**
 * The xattr value (`system.posix_acl_access` or `_default`) of an ACL as text, as star, GNU tar and bsdtar write it:
 * entries `tag:qualifier:permissions[:id]` parted by commas or newlines. A named entry's id is its fourth field, else
 * its qualifier if that is a number, else what this host's account of that name has, as when GNU tar unpacks.
 *
 * Source: linux/posix_acl_xattr.h, star(5) of schilytools.
 *
 * @throws {MalformedTar} if it is none, or names an account that this host does not have
 */
export function aclValue(text: string): Uint8Array {
  const entries = text.split(/[,\n]/).flatMap((line) => {
    const entry = line.replace(/#.*/, "").replace(/\s+/g, "");
    return entry === "" ? [] : [parseEntry(entry)];
  });
  const tags = new Set(entries.map((entry) => entry.tag));
  const named = tags.has(USER) || tags.has(GROUP);
  if (![USER_OBJ, GROUP_OBJ, OTHER].every((tag) => tags.has(tag)) || (named && !tags.has(MASK)))
    throw new MalformedTar("has an incomplete ACL");
  // The order in which libacl hands it to the kernel.
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(VERSION, 0);
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * i);
    value.writeUInt16LE(permissions, 6 + 8 * i);
    value.writeUInt32LE(id, 8 + 8 * i);
  }
  return value;
}

/** True for one that says no more than a mode: the kernel keeps no xattr for it. */
export function isMinimalAcl(value: Uint8Array): boolean {
  return value.length === 4 + 8 * 3;
}

/** The mode of a file that has this access ACL, as the kernel keeps the two in step; `mode` if the value is none. */
export function modeUnderAcl(mode: number, value: Uint8Array): number {
  const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const permissions = new Map<number, number>();
  for (let at = 4; at + 8 <= view.length; at += 8)
    permissions.set(view.readUInt16LE(at), view.readUInt16LE(at + 2) & 7);
  const [user, other] = [permissions.get(USER_OBJ), permissions.get(OTHER)];
  const group = permissions.get(MASK) ?? permissions.get(GROUP_OBJ);
  if (user === undefined || group === undefined || other === undefined) return mode;
  return (mode & ~0o777) | (user << 6) | (group << 3) | other;
}

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

function parseEntry(entry: string): AclEntry {
  const [kindName = "", ...rest] = entry.split(":");
  const kind = KINDS.get(kindName);
  // Solaris writes "mask:rwx".
  const [qualifier = "", permissions = "", id = ""] = rest.length === 1 ? ["", ...rest] : rest;
  if (kind === undefined || !/^[rwx-]+$/.test(permissions)) throw malformed(entry);
  const bits =
    (permissions.includes("r") ? 4 : 0) + (permissions.includes("w") ? 2 : 0) + (permissions.includes("x") ? 1 : 0);
  if (qualifier === "" && id === "") return { tag: kind.tag, permissions: bits, id: NO_ID };
  if (kind.named === undefined) throw malformed(entry);
  const accountsFile = kind.named === USER ? "/etc/passwd" : "/etc/group";
  const named = parseId(id) ?? parseId(qualifier) ?? accounts(accountsFile).get(qualifier);
  if (named === undefined)
    throw new MalformedTar(`has an ACL for ${JSON.stringify(qualifier)}, whom this host does not know`);
  return { tag: kind.named, permissions: bits, id: named };
}

function parseId(field: string): number | undefined {
  return /^[0-9]{1,10}$/.test(field) && Number(field) < NO_ID ? Number(field) : undefined;
}

function malformed(entry: string): MalformedTar {
  return new MalformedTar(`has an ACL with the entry ${JSON.stringify(entry)}`);
}

const known = new Map<string, ReadonlyMap<string, number>>();

/** Ids by name, from passwd(5) or group(5). */
function accounts(file: string): ReadonlyMap<string, number> {
  let ids = known.get(file);
  if (ids === undefined) {
    const lines = readIfThere(file).split("\n");
    ids = new Map(lines.map((line) => line.split(":")).map(([name, , id]) => [name ?? "", Number(id)]));
    known.set(file, ids);
  }
  return ids;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

const VERSION = 2;
const USER_OBJ = 0x01;
const USER = 0x02;
const GROUP_OBJ = 0x04;
const GROUP = 0x08;
const MASK = 0x10;
const OTHER = 0x20;
const NO_ID = 0xffffffff;

const KINDS: ReadonlyMap<string, { readonly tag: number; readonly named?: number }> = new Map([
  ["user", { tag: USER_OBJ, named: USER }],
  ["u", { tag: USER_OBJ, named: USER }],
  ["group", { tag: GROUP_OBJ, named: GROUP }],
  ["g", { tag: GROUP_OBJ, named: GROUP }],
  ["mask", { tag: MASK }],
  ["m", { tag: MASK }],
  ["other", { tag: OTHER }],
  ["o", { tag: OTHER }],
]);
