import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** One entry of a tree as manifest.py describes it. Byte strings are base64; `mtime_ns` is a decimal string. */
export interface ManifestEntry {
  readonly path: string;
  readonly type: "file" | "dir" | "symlink" | "char" | "block" | "fifo" | "socket";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime_ns: string;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly link?: string;
  readonly size?: number;
  readonly blocks?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly rdev?: string;
}

type Field = Exclude<keyof ManifestEntry, "path">;

interface Difference {
  /** One char per byte. "" is the directory itself. */
  readonly path: string;
  /** "missing": only `a` has it. "extra": only `b` has it. */
  readonly what: Field | "missing" | "extra";
  readonly a?: unknown;
  readonly b?: unknown;
}

export interface CompareOptions {
  /** Fields that may differ. */
  readonly ignore?: readonly Field[];
  /** xattrs that may differ, by name. */
  readonly ignoreXattr?: (name: string) => boolean;
  /** Entries left out on both sides, by path (one char per byte). What lies below stays, unless it is left out too. */
  readonly ignorePath?: (path: string) => boolean;
  /** false: contents are not read, only their sizes compared. */
  readonly hash?: boolean;
}

/**
 * What differs between two directory trees, in tree order; `[]` if `b` is as `a`.
 *
 * Everything that manifest.py lists must be equal, but for `blocks`: of each file `b` may take up to
 * 1.1 times what `a` takes, and 16 blocks more, since two filesystems never allocate alike.
 */
export async function compareManifests(a: string, b: string, options: CompareOptions = {}): Promise<Difference[]> {
  const [before, after] = await Promise.all([readManifest(a, options), readManifest(b, options)]);
  return compareEntries(before, after, options);
}

/** The entries of the tree at `directory` by path (one char per byte), in tree order. */
export async function readManifest(
  directory: string,
  options: Pick<CompareOptions, "hash"> = {},
): Promise<Map<string, ManifestEntry>> {
  const args = [MANIFEST, directory, ...(options.hash === false ? ["--no-hash"] : [])];
  const reader = spawn("python3", args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(reader, "close");
  // Without python3 it rejects before it is awaited below.
  closed.catch(() => undefined);
  const entries = new Map<string, ManifestEntry>();
  for await (const line of createInterface(reader.stdout)) {
    const entry = JSON.parse(line) as ManifestEntry;
    entries.set(decoded(entry.path), entry);
  }
  const [code] = (await closed) as [number | null];
  if (code !== 0) throw new Error(`manifest.py ${directory}: ended with ${String(code)}`);
  return entries;
}

/** As `compareManifests`, of manifests read before: for a tree that has changed since. */
export function compareEntries(
  before: ReadonlyMap<string, ManifestEntry>,
  after: ReadonlyMap<string, ManifestEntry>,
  options: CompareOptions = {},
): Difference[] {
  const differences: Difference[] = [];
  for (const [path, a] of before) {
    if (options.ignorePath?.(path)) continue;
    const b = after.get(path);
    if (b === undefined) differences.push({ path, what: "missing", a: a.type });
    else differences.push(...compareEntry(path, a, b, options));
  }
  for (const [path, b] of after) {
    if (!before.has(path) && !options.ignorePath?.(path)) differences.push({ path, what: "extra", b: b.type });
  }
  return differences;
}

const MANIFEST = fileURLToPath(new URL("manifest.py", import.meta.url));

const FIELDS = [
  "type",
  "mode",
  "uid",
  "gid",
  "mtime_ns",
  "xattrs",
  "link",
  "size",
  "sha256",
  "blocks",
  "target",
  "rdev",
] as const satisfies readonly Field[];

function* compareEntry(
  path: string,
  a: ManifestEntry,
  b: ManifestEntry,
  { ignore = [], ignoreXattr }: CompareOptions,
): Generator<Difference> {
  for (const what of FIELDS) {
    if (ignore.includes(what)) continue;
    // A directory against a file differs in every field: its type says it all.
    if (what !== "type" && a.type !== b.type && !ignore.includes("type")) return;
    const [x, y] = what === "xattrs" ? [xattrs(a, ignoreXattr), xattrs(b, ignoreXattr)] : [a[what], b[what]];
    if (what === "blocks" && fewEnough(a.blocks, b.blocks)) continue;
    if (JSON.stringify(x) === JSON.stringify(y)) continue;
    yield what === "link" ? { path, what, a: decoded(a.link), b: decoded(b.link) } : { path, what, a: x, b: y };
  }
}

/** By readable name, so that a report can be read; values stay base64. */
function xattrs(entry: ManifestEntry, ignored: (name: string) => boolean = () => false): Record<string, string> {
  const named = Object.entries(entry.xattrs).map(([name, value]) => [decoded(name), value] as const);
  return Object.fromEntries(named.filter(([name]) => !ignored(name)).sort(([x], [y]) => (x < y ? -1 : 1)));
}

function fewEnough(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && b <= 1.1 * a + 16;
}

function decoded(base64: string | undefined): string {
  return Buffer.from(base64 ?? "", "base64").toString("latin1");
}
