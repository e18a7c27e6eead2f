import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { errnoOf, PosixError } from "../errors.ts";
import { displayHostPath, type HostPath, hostPathBytes, nodePath } from "./host-path.ts";
import { lastErrno, libc } from "./libc.ts";
import { statPath } from "./stat.ts";

/** One line of proc_pid_mountinfo(5), escapes decoded. Options stand as "name" or "name=value". */
export interface Mount {
  readonly mountPoint: string;
  /** The filesystem's type, such as "ext4". */
  readonly type: string;
  /** The directory of the filesystem that shows at `mountPoint`. */
  readonly root: string;
  readonly source: string;
  /** Of this mount. */
  readonly options: readonly string[];
  /** Of the filesystem. */
  readonly superOptions: readonly string[];
}

/** The mounts that the reader of `file` sees, a later one over an earlier one. */
export function readMounts(file = "/proc/self/mountinfo"): Mount[] {
  const lines = readFileSync(file, "latin1").split("\n");
  return lines.filter((line) => line !== "").map(parseMount);
}

/**
 * The directories that overlays stand on, mounted at this moment in any mount namespace that a process of this host
 * is in.
 *
 * Sees the namespaces of those processes that this one may look at: all of them as root, else its own user's.
 */
export interface MountedOverlays {
  /** `path` is absolute. Of what was removed since, the path as it was mounted is known still. */
  hasUpper(path: string): boolean;
  hasLower(path: string): boolean;
}

/** Reads the mounts of each namespace once, for questions about many directories. */
export function mountedOverlays(): MountedOverlays {
  const uppers = new NamedDirectories();
  const lowers = new NamedDirectories();
  for (const { pid, mounts } of mountNamespaces()) {
    for (const { type, superOptions } of mounts) {
      if (type !== "overlay") continue;
      const upper = optionValue(superOptions, "upperdir");
      // As it was passed to mount(2), so perhaps with overlayfs's own escaping of "," ":" and "\\".
      if (upper !== undefined) for (const path of [upper, withoutEscapes(upper)]) uppers.add(path, pid);
      for (const path of lowerDirectories(superOptions)) lowers.add(path, pid);
    }
  }
  return { hasUpper: (path) => uppers.has(path), hasLower: (path) => lowers.has(path) };
}

/** True if an overlay with this upperdir is mounted. For many, or lowers too: `mountedOverlays`. */
export function upperIsMounted(upper: string): boolean {
  return mountedOverlays().hasUpper(upper);
}

/** Shows the directory or file `from` at `to` also. */
export function bindMount(from: HostPath, to: HostPath): void {
  mount(from, to, MS_BIND);
}

/** As `bindMount`, but there nothing can be changed. */
export function bindReadOnly(from: HostPath, to: HostPath): void {
  mount(from, to, MS_BIND);
  try {
    // A remount sets all flags anew; those that a user namespace has locked must be repeated, or it fails.
    mount(from, to, MS_BIND | MS_REMOUNT | MS_RDONLY | flagsOf(to));
  } catch (error) {
    unmount(to);
    throw error;
  }
}

/** @throws {PosixError} EBUSY while in use, EINVAL if nothing is mounted there */
export function unmount(path: HostPath): void {
  if (libc().umount2(hostPathBytes(path), UMOUNT_NOFOLLOW) < 0) {
    throw new PosixError(lastErrno(), "umount2", displayHostPath(path));
  }
}

/** False if there is nothing at `path`. */
export function isMountPoint(path: HostPath): boolean {
  try {
    const real = realpathSync(nodePath(path), "utf8");
    return readMounts().some((mount) => mount.mountPoint === real);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** An option's value; undefined if it is not set or has none. */
export function optionValue(options: readonly string[], name: string): string | undefined {
  const prefix = `${name}=`;
  return options.find((option) => option.startsWith(prefix))?.slice(prefix.length);
}

/** The mounts of each mount namespace, and one of the processes that are in it. */
function* mountNamespaces(): Generator<{ pid: string; mounts: Mount[] }> {
  const seen = new Set<string>();
  for (const pid of ["self", ...readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))]) {
    const namespace = unlessGone(() => readlinkSync(`/proc/${pid}/ns/mnt`));
    if (namespace === undefined || seen.has(namespace)) continue;
    const mounts = unlessGone(() => readMounts(`/proc/${pid}/mountinfo`));
    // If this process is gone by now, the next one in the same namespace is asked.
    if (mounts === undefined) continue;
    seen.add(namespace);
    yield { pid, mounts };
  }
}

/** Directories under the names that other processes gave them. */
class NamedDirectories {
  readonly #paths = new Set<string>();
  readonly #identities = new Set<string>();
  readonly #relative: string[] = [];

  /** `path` as the process `pid` sees it. */
  add(path: string, pid: string): void {
    this.#paths.add(path);
    // Relative to what was the current directory of whoever mounted it.
    if (!path.startsWith("/")) this.#relative.push(`/${path.replace(/^(?:\.\.?\/)+/, "")}`);
    const identity = identityOf(`/proc/${pid}/root${path}`);
    if (identity !== undefined) this.#identities.add(identity);
  }

  has(path: string): boolean {
    // Where nothing runs, a listing of thousands of containers need not resolve their paths.
    if (this.#paths.size === 0) return false;
    const real = unlessGone(() => realpathSync(path)) ?? path;
    if (this.#paths.has(path) || this.#paths.has(real)) return true;
    // Rather one too many than one too few.
    if (this.#relative.some((end) => real.endsWith(end))) return true;
    // By way of a symlink, or of another mount of the same filesystem.
    const identity = identityOf(real);
    return identity !== undefined && this.#identities.has(identity);
  }
}

/** Of options as "lowerdir=A:B", and as "lowerdir+=A" and "datadir+=B" where they were given one by one. */
function lowerDirectories(superOptions: readonly string[]): string[] {
  return superOptions.flatMap((option) => {
    const [, adds, value] = /^(?:lowerdir|datadir)(\+?)=(.*)$/s.exec(option) ?? [];
    if (value === undefined) return [];
    return adds === "+" ? [value] : splitLowers(value);
  });
}

function splitLowers(value: string): string[] {
  return (value.match(/(?:\\.|[^:\\])+/gs) ?? []).map(withoutEscapes);
}

function withoutEscapes(path: string): string {
  return path.replace(/\\(.)/gs, "$1");
}

function identityOf(path: string): string | undefined {
  const stat = unlessGone(() => statPath(path));
  return stat && `${stat.device} ${stat.ino}`;
}

/** @returns undefined if the process or path is gone, or is none of this user's business */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (GONE.has(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM", "ENOTDIR", "EINVAL", "ELOOP"]);
const MS_RDONLY = 1;
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const UMOUNT_NOFOLLOW = 8;
const FLAGS: Readonly<Record<string, number>> = {
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  noatime: 1024,
  nodiratime: 2048,
  relatime: 1 << 21,
};

function mount(from: HostPath, to: HostPath, flags: number): void {
  const done = libc().mount(hostPathBytes(from), hostPathBytes(to), NONE, flags, NONE);
  if (done < 0) throw new PosixError(lastErrno(), "mount", displayHostPath(to));
}

const NONE = Buffer.alloc(1);

function flagsOf(mountPoint: HostPath): number {
  const real = realpathSync(nodePath(mountPoint), "utf8");
  const options = readMounts().findLast((mount) => mount.mountPoint === real)?.options ?? [];
  return options.reduce((flags, option) => flags | (FLAGS[option] ?? 0), 0);
}

function parseMount(line: string): Mount {
  const fields = line.split(" ");
  // From field 6 on there are any number of optional fields, ended by "-".
  const [root = "", mountPoint = "", options = ""] = fields.slice(3, 6);
  const [type = "", source = "", superOptions = ""] = fields.slice(fields.indexOf("-", 6) + 1);
  return {
    mountPoint: unescaped(mountPoint),
    type: unescaped(type),
    root: unescaped(root),
    source: unescaped(source),
    options: options.split(",").map(unescaped),
    superOptions: superOptions.split(",").map(unescaped),
  };
}

/** The kernel's octal escapes, of space, tab, newline, "\", and in options of "," too. */
function unescaped(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
