import type { TreePath } from "../model/name.ts";
import { ROOT } from "../model/name.ts";
import type { Node } from "../model/node.ts";
import { readApk } from "../packages/apk.ts";
import { comparePackages } from "../packages/compare-packages.ts";
import type { PackageChange } from "../packages/compare-packages.ts";
import { isDatabaseFile } from "../packages/database.ts";
import type { Database, Manager } from "../packages/database.ts";
import { readDpkg } from "../packages/dpkg.ts";
import { hashesTo } from "../packages/package-files.ts";
import type { Checksum } from "../packages/package-files.ts";
import { readRpm } from "../packages/rpm.ts";
import type { Difference } from "../trees/renames.ts";
import { walkBelow } from "../trees/walk.ts";
import { aspectsOf } from "./aspects.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";
import type { Compared } from "./diff.ts";
import { differencesOf } from "./differences.ts";
import type { DiffOptions } from "./differences.ts";
import { TreeFiles } from "./tree-files.ts";
import { openSides } from "./sides.ts";
import type { SideDescription, Sides } from "./sides.ts";

export interface PackageDiff {
  readonly a: SideDescription;
  readonly b: SideDescription;
  /** Whose databases were found. */
  readonly managers: readonly Manager[];
  readonly packages: readonly PackageChange[];
  /** Configuration files that changed, and are or were not as their packages brought them. */
  readonly conffiles: readonly ConffileChange[];
  /** Other files of packages that are of the same version on both sides. */
  readonly modified: readonly OwnedPath[];
  /** Files that changed, and are no package's. */
  readonly unowned: readonly FilePath[];
  /** Whether anything differs at all. */
  readonly differs: boolean;
}

export interface FilePath {
  readonly path: string;
  readonly pathBase64?: string;
}

export interface OwnedPath extends FilePath {
  readonly package: string;
  readonly kind: "changed" | "removed" | "added";
}

export interface ConffileChange extends FilePath {
  readonly package: string;
  /** `restored`: it is again as its package brought it. */
  readonly kind: "modified" | "removed" | "restored";
}

/**
 * What a difference means in packages of dpkg, apk and rpm, read from the trees themselves. Of files those count whose type or data
 * differ, directories and metadata aside.
 *
 * Costs reading the databases, and the lists of files once on either side.
 *
 * @throws {StoreError} as `diff`; UNSUPPORTED and FORMAT_INVALID where a database of rpm's cannot be read
 */
export async function diffPackages(context: Context, params: DiffOptions & Compared): Promise<PackageDiff> {
  const sides = await openSides(context, params.a, params.b);
  const { before, after, trees } = sides;
  if (after.tree === undefined) throw new Error("nothing is compared with something, never the other way");
  const differences = differencesOf(trees, before.tree, after.tree, params, "none");
  const [was, is] = [packageSide(sides, "before"), packageSide(sides, "after")];
  const packages = comparePackages(was.databases, is.databases);
  const files = changedFiles(sides, differences).filter((path) => !isDatabaseFile(path));
  return {
    a: before.description,
    b: after.description,
    managers: [...new Set([...was.databases, ...is.databases].map(({ manager }) => manager))],
    packages,
    ...attribute(files, was, is, new Set(packages.map(({ name }) => name))),
    differs: differences.length > 0,
  };
}

interface PackageSide {
  readonly files: TreeFiles;
  readonly databases: readonly Database[];
}

function packageSide({ trees, ...sides }: Sides, which: "before" | "after"): PackageSide {
  const files = new TreeFiles(trees, sides[which]);
  const databases = [readDpkg(files), readApk(files), readRpm(files)].filter((database) => database !== undefined);
  return { files, databases };
}

/** Of all but directories, those that came, went, or have other data. */
function changedFiles({ trees, before: side }: Sides, differences: readonly Difference[]): TreePath[] {
  const paths: TreePath[] = [];
  for (const difference of differences) {
    const { path, before, after } = difference;
    if (isFile(before) || isFile(after)) {
      const aspects = aspectsOf(difference, () => side.tree && trees.linkMap(side.tree).get(path));
      if (before === undefined || after === undefined || aspects.some((aspect) => DATA.has(aspect))) paths.push(path);
    }
    if (before?.type === "directory" && after?.type !== "directory")
      for (const [below, node] of walkBelow(trees, path, before)) if (isFile(node)) paths.push(below);
  }
  return paths.filter((path) => path !== ROOT);
}

const DATA: ReadonlySet<string> = new Set(["type", "content", "target", "device"]);

function isFile(node: Node | undefined): boolean {
  return node !== undefined && node.type !== "directory";
}

function attribute(
  paths: readonly TreePath[],
  was: PackageSide,
  is: PackageSide,
  changedPackages: ReadonlySet<string>,
): Pick<PackageDiff, "conffiles" | "modified" | "unowned"> {
  const wanted = new Set(paths);
  const [ownersBefore, ownersAfter] = [ownersOf(was, wanted), ownersOf(is, wanted)];
  const [sumsBefore, sumsAfter] = [conffilesOf(was, wanted), conffilesOf(is, wanted)];
  const conffiles: ConffileChange[] = [];
  const modified: OwnedPath[] = [];
  const unowned: FilePath[] = [];
  for (const path of paths) {
    const [old, now] = [sumsBefore.get(path), sumsAfter.get(path)];
    const conffile = now ?? old;
    const owner = ownersAfter.get(path) ?? ownersBefore.get(path) ?? conffile?.name;
    const described = describePath("path", path);
    if (owner === undefined) unowned.push(described);
    else if (conffile !== undefined) {
      const kind = conffileKind(path, was, is, old?.checksum, now?.checksum);
      if (kind !== undefined) conffiles.push({ ...described, package: conffile.name, kind });
    } else if (!changedPackages.has(owner)) {
      const kind = !is.files.has(path) ? "removed" : was.files.has(path) ? "changed" : "added";
      modified.push({ ...described, package: owner, kind });
    }
  }
  return { conffiles, modified, unowned };
}

/** @returns undefined if it is as it came, or went with its package */
function conffileKind(
  path: TreePath,
  was: PackageSide,
  is: PackageSide,
  old: Checksum | undefined,
  now: Checksum | undefined,
): ConffileChange["kind"] | undefined {
  if (now === undefined) return undefined;
  const bytes = is.files.open(path);
  if (bytes === undefined) return "removed";
  if (!hashesTo(bytes, now)) return "modified";
  const before = was.files.open(path);
  return old === undefined || (before !== undefined && hashesTo(before, old)) ? undefined : "restored";
}

function ownersOf({ databases }: PackageSide, wanted: ReadonlySet<TreePath>): ReadonlyMap<TreePath, string> {
  return new Map(databases.flatMap((database) => [...database.owners(wanted)]));
}

function conffilesOf(
  { databases }: PackageSide,
  wanted: ReadonlySet<TreePath>,
): ReadonlyMap<TreePath, { readonly name: string; readonly checksum: Checksum }> {
  const found = new Map<TreePath, { name: string; checksum: Checksum }>();
  for (const { packages } of databases)
    for (const { name, conffiles } of packages.values())
      for (const [path, checksum] of conffiles) if (wanted.has(path)) found.set(path, { name, checksum });
  return found;
}
