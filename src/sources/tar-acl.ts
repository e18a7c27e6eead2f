import { readFileSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import {
  type AclEntry,
  encodeAcl,
  GROUP,
  GROUP_OBJ,
  isNamed,
  MASK,
  NO_ID,
  OTHER,
  sortedAcl,
  USER,
  USER_OBJ,
} from "../format/acl.ts";
import { MalformedTar } from "./tar-malformed.ts";

/**
 * The xattr value (`system.posix_acl_access` or `_default`) of an ACL as text, as star, GNU tar and bsdtar write it:
 * entries `tag:qualifier:permissions[:id]` parted by commas or newlines. A named entry's id is its fourth field, else
 * its qualifier if that is a number, else what this host's account of that name has, as when GNU tar unpacks.
 *
 * Source: star(5) of schilytools.
 *
 * @throws {MalformedTar} if it is none, or names an account that this host does not have
 */
export function aclValue(text: string): Uint8Array {
  const entries = text.split(/[,\n]/).flatMap((line) => {
    const entry = line.replace(/#.*/, "").replace(/\s+/g, "");
    return entry === "" ? [] : [parseEntry(entry)];
  });
  const tags = new Set(entries.map((entry) => entry.tag));
  if (![USER_OBJ, GROUP_OBJ, OTHER].every((tag) => tags.has(tag)) || ([...tags].some(isNamed) && !tags.has(MASK)))
    throw new MalformedTar("has an incomplete ACL");
  return encodeAcl(sortedAcl(entries));
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
