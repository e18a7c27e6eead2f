import type { PathLike } from "node:fs";
import { posix } from "node:path";
import { pathBytes } from "./arguments.ts";
import type { Entry } from "./entry.ts";
import { fileError, systemError, typeError } from "./file-error.ts";
import { Pending } from "./pending.ts";
import { makeDirectories } from "./tree-calls.ts";
import type { ViewCore } from "./view-core.ts";
import { checkBoolean, checkObject, isExclusive } from "./write-arguments.ts";
import type { Writes } from "./writes.ts";

/** Those of `fs.cp`. */
export interface CopyOptions {
  readonly recursive?: boolean | undefined;
  readonly force?: boolean | undefined;
  readonly errorOnExist?: boolean | undefined;
  readonly dereference?: boolean | undefined;
  /** Of files, exactly. */
  readonly preserveTimestamps?: boolean | undefined;
  /** Targets of symlinks as they are; else relative ones are made absolute. */
  readonly verbatimSymlinks?: boolean | undefined;
  readonly mode?: number | undefined;
  readonly filter?: ((from: string, to: string) => boolean | Promise<boolean>) | undefined;
}

interface Task {
  readonly core: ViewCore;
  readonly writes: Writes;
  readonly options: CopyOptions;
  readonly pending: Pending;
}

/** What is at both ends, where it is to be copied. */
interface Ends {
  readonly source: Entry;
  readonly target: Entry | undefined;
}

/**
 * As `fs.cp`, within one view: the bytes of files are not copied, but referred to once more. After an error some hundred
 * entries more may be there than node:fs would have made.
 *
 * Source: Node 20, lib/internal/fs/cp/cp.js.
 *
 * @throws {TypeError} at once, for options that are none
 */
export function copyTree(
  core: ViewCore,
  writes: Writes,
  from: PathLike,
  to: PathLike,
  options: CopyOptions,
): Promise<void> {
  checkOptions(options);
  return copyAll({ core, writes, options, pending: new Pending() }, pathBytes(from, "src"), pathBytes(to, "dest"));
}

function checkOptions(options: CopyOptions): void {
  checkObject("options", options);
  for (const name of BOOLEANS) checkBoolean(`options.${name}`, options[name]);
  isExclusive(options.mode);
  if (options.filter !== undefined && typeof options.filter !== "function")
    throw typeError("options.filter", "of type function", options.filter);
  if (options.dereference === true && options.verbatimSymlinks === true)
    throw Object.assign(
      new TypeError('Option "dereference" cannot be used in combination with option "verbatimSymlinks"'),
      {
        code: "ERR_INCOMPATIBLE_OPTION_PAIR",
      },
    );
}

const BOOLEANS = [
  "dereference",
  "errorOnExist",
  "force",
  "preserveTimestamps",
  "recursive",
  "verbatimSymlinks",
] as const;

/** Paths are byte strings from here on. */
async function copyAll(task: Task, from: string, to: string): Promise<void> {
  const ends = await endsOf(task, from, to);
  if (ends === undefined) return;
  refuseAbove(task, ends.source, from, to);
  const parent = posix.dirname(to);
  if (find(task, parent, true, "stat") === undefined)
    await makeDirectories(task.core, task.writes, bytes(parent), 0o777);
  await copyEntry(task, ends, from, to);
  await task.pending.settle();
}

/** @returns undefined for what the filter leaves out */
async function endsOf(task: Task, from: string, to: string): Promise<Ends | undefined> {
  const { filter, dereference = false } = task.options;
  if (filter !== undefined && !(await filter(shown(from), shown(to)))) return undefined;
  const syscall = dereference ? "stat" : "lstat";
  const source = task.core.get(bytes(from), dereference, syscall);
  const target = find(task, to, dereference, syscall);
  if (target !== undefined) {
    if (isSame(task, source, target)) throw invalid("src and dest cannot be the same", to);
    if (source.isDirectory && !target.isDirectory)
      throw copyError(
        "DIR_TO_NON_DIR",
        "EISDIR",
        `cannot overwrite non-directory ${shown(to)} with directory ${shown(from)}`,
        to,
      );
    if (!source.isDirectory && target.isDirectory)
      throw copyError(
        "NON_DIR_TO_DIR",
        "ENOTDIR",
        `cannot overwrite directory ${shown(to)} with non-directory ${shown(from)}`,
        to,
      );
  }
  if (source.isDirectory && isBelow(from, to)) throw intoItself(from, to);
  return { source, target };
}

/** Looks for the source above the target: other names may lead there than those of the paths. */
function refuseAbove(task: Task, source: Entry, from: string, to: string): void {
  const start = absolute(posix.dirname(from));
  let below = to;
  for (let at = absolute(posix.dirname(to)); at !== start && at !== "/"; at = posix.dirname(at)) {
    const above = find(task, at, true, "stat");
    if (above === undefined) return;
    if (isSame(task, source, above)) throw intoItself(from, below);
    below = at;
  }
}

async function copyEntry(task: Task, ends: Ends, from: string, to: string): Promise<void> {
  const { source } = ends;
  if (source.isDirectory) return copyDirectory(task, ends, from, to);
  if (source.isFile || source.isDevice) return copyFile(task, ends, from, to);
  if (source.isSymlink) return copySymlink(task, ends, from, to);
  if ((source.mode & S_IFMT) === S_IFSOCK)
    throw copyError("SOCKET", "EINVAL", `cannot copy a socket file: ${shown(to)}`, to);
  throw copyError("FIFO_PIPE", "EINVAL", `cannot copy a FIFO pipe: ${shown(to)}`, to);
}

async function copyDirectory(task: Task, { source, target }: Ends, from: string, to: string): Promise<void> {
  const { core, writes, options, pending } = task;
  if (options.recursive !== true) {
    const details = { code: "EISDIR", message: `${shown(from)} is a directory (not copied)`, path: shown(from) };
    throw systemError("ERR_FS_EISDIR", "Path is a directory", { ...details, syscall: "cp" });
  }
  // Waited for: what is below would fail for this one's reason.
  if (target === undefined) await writes.mkdir(bytes(to), 0o777);
  const directory = core.directory(bytes(from), "opendir");
  for (const [name] of core.entries(directory, "scandir", bytes(from))) {
    const [fromBelow, toBelow] = [posix.join(from, name), posix.join(to, name)];
    const ends = await endsOf(task, fromBelow, toBelow);
    if (ends !== undefined) await copyEntry(task, ends, fromBelow, toBelow);
  }
  if (target === undefined) await pending.add(writes.chmod(at(to), source.mode & MODE_BITS));
}

async function copyFile(task: Task, { source, target }: Ends, from: string, to: string): Promise<void> {
  const { writes, options, pending } = task;
  if (target !== undefined) {
    if (options.force === false) {
      if (options.errorOnExist !== true) return;
      throw copyError("EEXIST", "EEXIST", `${shown(to)} already exists`, to);
    }
    await pending.add(writes.unlink(bytes(to)));
  }
  const { mtimeSec: sec, mtimeNsec: nsec } = source.attributes;
  await pending.add(writes.copyFile(bytes(from), bytes(to), isExclusive(options.mode)));
  if (options.preserveTimestamps === true) await pending.add(writes.utimes(at(to), { sec, nsec }));
}

async function copySymlink(task: Task, { source, target }: Ends, from: string, to: string): Promise<void> {
  const { core, writes, options, pending } = task;
  const leadsTo =
    options.verbatimSymlinks === true || source.target.startsWith("/")
      ? source.target
      : absolute(posix.dirname(from), source.target);
  if (target?.isSymlink === true) {
    const before = absolute(posix.dirname(to), target.target);
    if (isBelow(leadsTo, before)) throw intoItself(leadsTo, before, to);
    // What it leads to is in what the other leads to: without that one this one may lead nowhere.
    if (core.get(bytes(from), true, "stat").isDirectory && isBelow(before, leadsTo)) {
      const message = `cannot overwrite ${shown(before)} with ${shown(leadsTo)}`;
      throw copyError("SYMLINK_TO_SUBDIRECTORY", "EINVAL", message, to);
    }
    await pending.add(writes.unlink(bytes(to)));
  }
  await pending.add(writes.symlink(bytes(leadsTo), bytes(to)));
}

function find({ core }: Task, path: string, follow: boolean, syscall: string): Entry | undefined {
  const found = core.find(bytes(path), follow, syscall);
  if (typeof found !== "string") return found;
  if (found === "ENOENT") return undefined;
  throw fileError(found, syscall, shown(path));
}

function isSame({ core }: Task, a: Entry, b: Entry): boolean {
  return core.names.inode(a) === core.names.inode(b);
}

/** Whether `path` is `directory` or in it, as far as their names say. */
function isBelow(directory: string, path: string): boolean {
  return `${absolute(path)}/`.startsWith(`${absolute(directory)}/`.replace(/^\/\/$/, "/"));
}

function absolute(...parts: readonly string[]): string {
  return posix.resolve("/", ...parts);
}

function bytes(path: string): Buffer {
  return Buffer.from(path, "latin1");
}

function at(path: string): { readonly path: Buffer; readonly follow: true } {
  return { path: bytes(path), follow: true };
}

function shown(path: string): string {
  return bytes(path).toString();
}

const S_IFMT = 0o170_000;
const S_IFSOCK = 0o140_000;
const MODE_BITS = 0o7777;

const REASONS = {
  DIR_TO_NON_DIR: "Cannot overwrite non-directory with directory",
  EEXIST: "Target already exists",
  EINVAL: "Invalid src or dest",
  FIFO_PIPE: "Cannot copy a FIFO pipe",
  NON_DIR_TO_DIR: "Cannot overwrite directory with non-directory",
  SOCKET: "Cannot copy a socket file",
  SYMLINK_TO_SUBDIRECTORY: "Cannot overwrite symlink in subdirectory of self",
};

function copyError(kind: keyof typeof REASONS, code: string, message: string, path: string): Error {
  return systemError(`ERR_FS_CP_${kind}`, REASONS[kind], { code, message, path: shown(path), syscall: "cp" });
}

function invalid(message: string, path: string): Error {
  return copyError("EINVAL", "EINVAL", message, path);
}

function intoItself(from: string, to: string, path = to): Error {
  return invalid(`cannot copy ${shown(from)} to a subdirectory of self ${shown(to)}`, path);
}
