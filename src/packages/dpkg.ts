import type { TreePath } from "../model/name.ts";
import { MAX_PACKAGES } from "./database.ts";
import type { Database, Package } from "./database.ts";
import { linesOf } from "./package-files.ts";
import type { Checksum, PackageFiles } from "./package-files.ts";

const STATUS = "var/lib/dpkg/status";
/** Of images that have no dpkg: a file for each package. */
const STATUS_DIRECTORY = "var/lib/dpkg/status.d";
const LISTS = "var/lib/dpkg/info";
const DIVERSIONS = "var/lib/dpkg/diversions";

/** dpkg's database; undefined if there is none. What is malformed in it is passed over. */
export function readDpkg(files: PackageFiles): Database | undefined {
  const parts = files.list(STATUS_DIRECTORY);
  const single = [...parts].filter((name) => !name.endsWith(".md5sums")).map((name) => `${STATUS_DIRECTORY}/${name}`);
  const statuses = [STATUS, ...single].flatMap((path) => {
    const pieces = files.open(path);
    return pieces === undefined ? [] : [{ pieces, installed: path !== STATUS }];
  });
  if (statuses.length === 0) return undefined;
  const packages = new Map<string, Package>();
  for (const { pieces, installed } of statuses)
    for (const stanza of stanzasOf(linesOf(pieces))) {
      const parsed = packageOf(files, stanza, installed);
      if (parsed !== undefined && packages.size < MAX_PACKAGES) packages.set(parsed.name, parsed);
    }
  return { manager: "dpkg", packages, owners: (wanted) => owners(files, wanted) };
}

interface Stanza {
  readonly fields: ReadonlyMap<string, string>;
  readonly conffiles: readonly string[];
}

/** Of the fields the first line, but for Conffiles, whose lines are all in the following ones. */
function* stanzasOf(lines: Iterable<string>): Generator<Stanza> {
  let fields = new Map<string, string>();
  let conffiles: string[] = [];
  let field = "";
  for (const line of lines) {
    if (line.trim() === "") {
      if (fields.size > 0) yield { fields, conffiles };
      fields = new Map();
      conffiles = [];
    } else if (/^[ \t]/.test(line)) {
      if (field === "conffiles") conffiles.push(line.trim());
    } else {
      const colon = line.indexOf(":");
      field = line.slice(0, Math.max(colon, 0)).toLowerCase();
      if (KEPT.has(field)) fields.set(field, line.slice(colon + 1).trim());
    }
  }
  if (fields.size > 0) yield { fields, conffiles };
}

const KEPT: ReadonlySet<string> = new Set(["package", "status", "version", "architecture", "multi-arch"]);

/** @param installed where the stanza does not say it */
function packageOf(files: PackageFiles, { fields, conffiles }: Stanza, installed: boolean): Package | undefined {
  const name = fields.get("package");
  const version = fields.get("version");
  if (name === undefined || name === "" || version === undefined || version === "") return undefined;
  const state = fields.get("status")?.split(/\s+/)[2] ?? (installed ? "installed" : "not-installed");
  if (state === "not-installed") return undefined;
  const architecture = fields.get("architecture") ?? "";
  return {
    name: fields.get("multi-arch") === "same" ? `${name}:${architecture}` : name,
    version,
    architecture,
    installed: state !== "config-files",
    conffiles: new Map(conffiles.flatMap((line) => conffileOf(files, line))),
  };
}

/** "/etc/foo.conf 0123…cdef", and perhaps "obsolete", which are no more the package's. */
function conffileOf(files: PackageFiles, line: string): [TreePath, Checksum][] {
  const [, path, digest] = /^\/(.+) ([0-9a-f]{32})$/.exec(line) ?? [];
  return path === undefined || digest === undefined ? [] : [[files.merged(path), { algorithm: "md5", digest }]];
}

function owners(files: PackageFiles, wanted: ReadonlySet<TreePath>): Map<TreePath, string> {
  const found = new Map<TreePath, string>();
  const note = (path: TreePath, name: string): void => {
    const at = files.merged(path);
    if (wanted.has(at)) found.set(at, name);
  };
  for (const name of files.list(LISTS)) {
    if (!name.endsWith(".list")) continue;
    const owner = name.slice(0, -".list".length);
    for (const line of linesOf(files.open(`${LISTS}/${name}`) ?? []))
      if (line.startsWith("/")) note(line.slice(1), owner);
  }
  for (const name of files.list(STATUS_DIRECTORY)) {
    if (!name.endsWith(".md5sums")) continue;
    const owner = name.slice(0, -".md5sums".length);
    for (const line of linesOf(files.open(`${STATUS_DIRECTORY}/${name}`) ?? [])) {
      const path = /^[0-9a-f]{32} {2}(.+)$/.exec(line)?.[1];
      if (path !== undefined) note(path, owner);
    }
  }
  for (const [from, to, by] of triplesOf(linesOf(files.open(DIVERSIONS) ?? []))) {
    const original = found.get(files.merged(from)) ?? by;
    note(to, original);
    if (by !== LOCAL) note(from, by);
  }
  return found;
}

/** The owner of diversions that an administrator made. */
const LOCAL = ":";

function* triplesOf(lines: Iterable<string>): Generator<readonly [from: TreePath, to: TreePath, by: string]> {
  let held: string[] = [];
  for (const line of lines) {
    held.push(line);
    const [from = "", to = "", by] = held;
    if (by === undefined) continue;
    if (from.startsWith("/") && to.startsWith("/")) yield [from.slice(1), to.slice(1), by];
    held = [];
  }
}
