import { isEntryPath, joinPath } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import { MAX_PACKAGES } from "./database.ts";
import type { Database, Package } from "./database.ts";
import { linesOf } from "./package-files.ts";
import type { Checksum, PackageFiles } from "./package-files.ts";

/** Where it is, and where apk 3 has it on merged systems. */
const INSTALLED = ["lib/apk/db/installed", "usr/lib/apk/db/installed"] as const;

/** apk's database; undefined if there is none. What is malformed in it is passed over. */
export function readApk(files: PackageFiles): Database | undefined {
  const path = INSTALLED.find((candidate) => files.open(candidate) !== undefined);
  if (path === undefined) return undefined;
  const packages = new Map<string, Package>();
  for (const { name, version, architecture, conffiles } of packagesIn(files, path))
    if (packages.size < MAX_PACKAGES) packages.set(name, { name, version, architecture, installed: true, conffiles });
  return { manager: "apk", packages, owners: (wanted) => owners(files, path, wanted) };
}

interface Entry {
  name: string;
  version: string;
  architecture: string;
  readonly conffiles: Map<TreePath, Checksum>;
  readonly paths: TreePath[];
}

/** A letter and a colon begin each line; packages are apart by empty ones. `F` is a directory, `R` a file in it, `Z` its sum. */
function* packagesIn(files: PackageFiles, path: TreePath): Generator<Entry> {
  let entry: Entry | undefined;
  let directory = "";
  let file = "";
  for (const line of linesOf(files.open(path) ?? [])) {
    if (line === "") {
      if (entry !== undefined && entry.name !== "") yield entry;
      entry = undefined;
      continue;
    }
    if (line[1] !== ":") continue;
    const value = line.slice(2);
    entry ??= { name: "", version: "", architecture: "", conffiles: new Map(), paths: [] };
    switch (line[0]) {
      case "P":
        entry.name = value;
        break;
      case "V":
        entry.version = value;
        break;
      case "A":
        entry.architecture = value;
        break;
      case "F":
        directory = value;
        file = "";
        break;
      case "R":
        file = files.merged(joinPath(directory, value));
        if (isEntryPath(file)) entry.paths.push(file);
        break;
      case "Z": {
        const checksum = checksumOf(value);
        // What apk protects unless it is told otherwise.
        if (checksum !== undefined && file.startsWith("etc/")) entry.conffiles.set(file, checksum);
        break;
      }
      default:
        break;
    }
  }
  if (entry !== undefined && entry.name !== "") yield entry;
}

/** "Q1" and the SHA-1 in base64; apk 3 has "Q2" for SHA-256. */
function checksumOf(value: string): Checksum | undefined {
  const bytes = Buffer.from(value.slice(2), "base64");
  const digest = bytes.toString("hex");
  if (value.startsWith("Q1") && bytes.length === 20) return { algorithm: "sha1", digest };
  return value.startsWith("Q2") && bytes.length === 32 ? { algorithm: "sha256", digest } : undefined;
}

function owners(files: PackageFiles, path: TreePath, wanted: ReadonlySet<TreePath>): Map<TreePath, string> {
  const found = new Map<TreePath, string>();
  for (const { name, paths } of packagesIn(files, path))
    for (const owned of paths) if (wanted.has(owned)) found.set(owned, name);
  return found;
}
