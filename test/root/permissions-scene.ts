import assert from "node:assert/strict";
import { chmodSync, constants, lchownSync, lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { encodeAcl, type Acl } from "../../src/format/acl.ts";
import type { Caller, Owned } from "../../src/overlay/credentials.ts";
import { AT_FDCWD, libc } from "../../src/sys/libc.ts";
import { readXattrs } from "../../src/sys/xattrs.ts";
import { completeAcls, gids, modes, uids } from "../overlay/permissions-support.ts";
import { c, done, setxattr } from "./act-as.ts";

/** What there is before a call. */
export interface Scene {
  readonly caller: Caller;
  readonly umask: number;
  readonly from: Owned;
  /** In `from`. */
  readonly node: Owned;
  readonly to: Owned;
  /** In `to`. */
  readonly other: Owned;
}

/** Their paths. */
export interface Places {
  /** The directory of all of them, which lets everybody in. */
  readonly all: string;
  readonly from: string;
  readonly node: string;
  readonly to: string;
  readonly other: string;
  /** In `to`; nothing is there. */
  readonly free: string;
}

export function placesIn(directory: string): Places {
  const all = join(directory, "scene");
  const [from, to] = [join(all, "from"), join(all, "to")];
  return { all, from, node: join(from, "node"), to, other: join(to, "other"), free: join(to, "free") };
}

interface Wanted {
  readonly format: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly access: Acl | undefined;
  readonly inherited: Acl | undefined;
  readonly xattrs: readonly (readonly [string, Buffer])[];
}

const FORMATS = [constants.S_IFREG, constants.S_IFDIR, constants.S_IFLNK, constants.S_IFIFO];
const CAPABILITY = Buffer.from("0100000200000000000000000000000000000000", "hex");

/** @param acls of how many, in percent, have each of the ACLs */
function wantedOf(format: fc.Arbitrary<number>, mode: fc.Arbitrary<number>, acls: number): fc.Arbitrary<Wanted> {
  const acl = fc.oneof(
    { weight: 100 - acls, arbitrary: fc.constant(undefined) },
    { weight: acls, arbitrary: completeAcls },
  );
  const xattrs = fc.subarray([
    ["user.a", Buffer.from("1")],
    ["trusted.a", Buffer.from("2")],
    ["security.a", Buffer.from("3")],
    ["security.capability", CAPABILITY],
  ] as const);
  return fc.record({ format, mode, uid: uids, gid: gids, access: acl, inherited: acl, xattrs });
}

const nodes = wantedOf(fc.constantFrom(constants.S_IFREG, ...FORMATS), modes, 50);
// Most let everybody in, or little but refusals to search would be compared.
const directories = wantedOf(
  fc.constant(constants.S_IFDIR),
  fc.oneof(
    { weight: 1, arbitrary: modes },
    { weight: 4, arbitrary: fc.constantFrom(0o777, 0o1777, 0o2777, 0o3777, 0o2775, 0o755) },
  ),
  25,
);

export type WantedScene = Readonly<Record<"from" | "node" | "to" | "other", Wanted>>;
export const scenes: fc.Arbitrary<WantedScene> = fc.record({
  from: directories,
  node: nodes,
  to: directories,
  other: nodes,
});

/** Makes it in place of the one before. @returns what is there then */
export function setUp(places: Places, wanted: WantedScene): Omit<Scene, "caller" | "umask"> {
  rmSync(places.all, { recursive: true, force: true });
  mkdirSync(places.all);
  chmodSync(places.all, 0o755);
  for (const place of ["from", "node", "to", "other"] as const) make(places[place], wanted[place]);
  for (const place of ["node", "other", "from", "to"] as const) dress(places[place], wanted[place]);
  const { from, node, to, other } = places;
  return { from: ownedAt(from), node: ownedAt(node), to: ownedAt(to), other: ownedAt(other) };
}

function make(path: string, { format }: Wanted): void {
  if (format === constants.S_IFDIR) mkdirSync(path);
  else if (format === constants.S_IFLNK) symlinkSync("target", path);
  else assert.equal(done(libc().mknodat(AT_FDCWD, c(path), format | 0o600, 0)), undefined);
}

function dress(path: string, { format, mode, uid, gid, access, inherited, xattrs }: Wanted): void {
  lchownSync(path, uid, gid);
  if (format !== constants.S_IFLNK) {
    chmodSync(path, mode);
    if (access) assert.equal(setxattr(path, "system.posix_acl_access", encodeAcl(access)), undefined);
  }
  if (inherited && format === constants.S_IFDIR)
    assert.equal(setxattr(path, "system.posix_acl_default", encodeAcl(inherited)), undefined);
  for (const [name, value] of xattrs) {
    const possible = !name.startsWith("user.") || format === constants.S_IFREG || format === constants.S_IFDIR;
    if (possible) assert.equal(setxattr(path, name, value), undefined);
  }
}

export function ownedAt(path: string): Owned {
  const { mode, uid, gid } = lstatSync(path);
  return { mode, uid, gid, xattrs: readXattrs(c(path), () => path) };
}
