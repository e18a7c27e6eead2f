import { StoreError } from "../errors.ts";
import type { TreePath } from "../model/name.ts";
import { bdbHashEntries } from "./bdb-hash.ts";
import { CheckedBytes } from "./checked-bytes.ts";
import { compareVersions } from "./compare-versions.ts";
import { MAX_PACKAGES } from "./database.ts";
import type { Database, Package } from "./database.ts";
import type { Checksum, PackageFiles } from "./package-files.ts";
import { RpmHeader } from "./rpm-header.ts";
import { ndbBlobs } from "./rpm-ndb.ts";
import { tableBlobs } from "./sqlite-table.ts";

/** Where it is, and where it was until it moved to what is the same on all machines. */
const DIRECTORIES = ["usr/lib/sysimage/rpm", "var/lib/rpm"] as const;

/** What rpm kept its packages in over time, the latest first. */
const FORMATS: readonly { readonly file: string; readonly blobs: (files: PackageFiles, path: TreePath) => Blobs }[] = [
  {
    file: "rpmdb.sqlite",
    blobs: (files, path) => tableBlobs(wholeFile(files, path), wholeFile(files, `${path}-wal`), "Packages"),
  },
  { file: "Packages.db", blobs: (files, path) => ndbBlobs(wholeFile(files, path, { littleEndian: true })) },
  { file: "Packages", blobs: (files, path) => bdbBlobs(wholeFile(files, path)) },
];
type Blobs = Iterable<CheckedBytes>;

/**
 * rpm's database; undefined if there is none. A name with several architectures is one for each, "glibc.i686"; of several versions
 * side by side the version is all of them, "5.1-1, 5.2-1".
 *
 * @throws {StoreError} FORMAT_INVALID, UNSUPPORTED
 */
export function readRpm(files: PackageFiles): Database | undefined {
  const found = DIRECTORIES.flatMap((directory) => FORMATS.map((format) => ({ ...format, directory }))).find(
    ({ directory, file }) => files.open(`${directory}/${file}`) !== undefined,
  );
  if (found === undefined) return undefined;
  const headers = (): Iterable<RpmHeader> => headersOf(found.blobs(files, `${found.directory}/${found.file}`));
  const installed = Array.from(headers(), (header) => installedOf(files, header));
  const nameOf = naming(installed);
  const packages = new Map<string, Package>();
  for (const { version, conffiles, ...rest } of installed) {
    const name = nameOf(rest);
    const other = packages.get(name);
    packages.set(name, {
      name,
      architecture: rest.architecture,
      installed: true,
      version: other === undefined ? version : joinedVersions(other.version, version),
      conffiles: other === undefined ? conffiles : new Map([...other.conffiles, ...conffiles]),
    });
  }
  return { manager: "rpm", packages, owners: (wanted) => owners(files, headers(), nameOf, wanted) };
}

function* headersOf(blobs: Blobs): Generator<RpmHeader> {
  let count = 0;
  for (const blob of blobs) {
    if (count++ >= MAX_PACKAGES) return;
    yield new RpmHeader(blob.like(blob.bytes, false));
  }
}

/** Key 0 counts the packages. */
function* bdbBlobs(file: CheckedBytes): Generator<CheckedBytes> {
  for (const { key, value } of bdbHashEntries(file)) if (key.length !== 4 || key.uint32(0) !== 0) yield value;
}

interface Identity {
  readonly name: string;
  readonly architecture: string;
}

interface Installed extends Identity {
  readonly version: string;
  readonly conffiles: ReadonlyMap<TreePath, Checksum>;
}

function installedOf(files: PackageFiles, header: RpmHeader): Installed {
  const [epoch = 0] = header.numbers("epoch");
  const version = `${header.text("version") ?? ""}-${header.text("release") ?? ""}`;
  const identity = identityOf(header);
  const conffiles = header.numbers("fileFlags").some(isConfiguration) ? conffilesOf(files, header) : [];
  return { ...identity, version: epoch === 0 ? version : `${epoch}:${version}`, conffiles: new Map(conffiles) };
}

/** A public key is a package, too, but for no architecture. */
function identityOf(header: RpmHeader): Identity {
  return { name: header.text("name") ?? "", architecture: header.text("architecture") ?? "" };
}

function naming(installed: readonly Identity[]): (identity: Identity) => string {
  const architectures = new Map<string, string>();
  const several = new Set<string>();
  for (const { name, architecture } of installed) {
    if ((architectures.get(name) ?? architecture) !== architecture) several.add(name);
    architectures.set(name, architecture);
  }
  return ({ name, architecture }) => (several.has(name) ? `${name}.${architecture}` : name);
}

function joinedVersions(some: string, one: string): string {
  return [...some.split(", "), one].sort((a, b) => compareVersions("rpm", a, b)).join(", ");
}

const IS_CONFIGURATION = 1;

function isConfiguration(flags: number): boolean {
  return (flags & IS_CONFIGURATION) !== 0;
}

/** What has no checksum, as symlinks and what is made later, is left out. */
function conffilesOf(files: PackageFiles, header: RpmHeader): [TreePath, Checksum][] {
  const [flags, digests] = [header.numbers("fileFlags"), header.texts("fileDigests")];
  const [number = MD5] = header.numbers("fileDigestAlgorithm");
  const algorithm = ALGORITHMS.get(number);
  if (algorithm === undefined) return [];
  const hasChecksum = (i: number): boolean => isConfiguration(flags[i] ?? 0) && Boolean(digests[i]);
  return Array.from(pathsOf(files, header, hasChecksum), ([i, path]) => [
    path,
    { algorithm, digest: digests[i] ?? "" },
  ]);
}

/** As OpenPGP counts them. */
const MD5 = 1;
const ALGORITHMS: ReadonlyMap<number, Checksum["algorithm"]> = new Map([
  [MD5, "md5"],
  [2, "sha1"],
  [8, "sha256"],
  [9, "sha384"],
  [10, "sha512"],
  [11, "sha224"],
]);

/** By number: of its files, each with the path that it has in the tree; of those alone that `isWanted`. */
function* pathsOf(
  files: PackageFiles,
  header: RpmHeader,
  isWanted: (number: number) => boolean,
): Generator<[number: number, path: TreePath]> {
  const [names, indexes] = [header.texts("baseNames"), header.numbers("directoryIndexes")];
  const directories = header.texts("directoryNames");
  for (const [i, name] of names.entries()) {
    const directory = directories[indexes[i] ?? -1] ?? "";
    if (isWanted(i) && directory.length + name.length < MAX_PATH_BYTES)
      yield [i, files.merged(`${directory}${name}`.replace(/^\/+/, ""))];
  }
}

/** Of Linux. */
const MAX_PATH_BYTES = 4096;

/** Of a file that several packages have one is the owner: in the others it is marked as replaced, or as not installed. */
function owners(
  files: PackageFiles,
  headers: Iterable<RpmHeader>,
  nameOf: (identity: Identity) => string,
  wanted: ReadonlySet<TreePath>,
): Map<TreePath, string> {
  const found = new Map<TreePath, string>();
  for (const header of headers) {
    const states = header.numbers("fileStates");
    for (const [, path] of pathsOf(files, header, (i) => (states[i] ?? 0) === 0))
      if (wanted.has(path)) found.set(path, nameOf(identityOf(header)));
  }
  return found;
}

/** Above all that is known; it is in memory as a whole. */
const MAX_FILE_BYTES = 1024 ** 3;

function wholeFile(files: PackageFiles, path: TreePath, options?: { readonly littleEndian: boolean }): CheckedBytes {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const piece of files.open(path) ?? []) {
    length += typeof piece === "number" ? piece : piece.length;
    if (length > MAX_FILE_BYTES)
      throw new StoreError("UNSUPPORTED", { what: `an rpm database above 1 GiB is not read (${path})` });
    parts.push(typeof piece === "number" ? new Uint8Array(piece) : piece.slice());
  }
  return new CheckedBytes(Buffer.concat(parts), `rpm's database ${path}`, options);
}
