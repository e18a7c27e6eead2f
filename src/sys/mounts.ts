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
 * True if an overlay with this upperdir is mounted in any mount namespace that a process of this host is in.
 *
 * Sees the namespaces of those processes that this one may look at: all of them as root, else its own user's.
 */
export function upperIsMounted(upper: string): boolean {
  const real = realpathSync(upper);
  const same = identityOf(real);
  for (const { pid, mounts } of mountNamespaces()) {
    for (const { type, superOptions } of mounts) {
      const found = type === "overlay" ? optionValue(superOptions, "upperdir") : undefined;
      if (found === undefined) continue;
      // As it was passed to mount(2), so perhaps with overlayfs's own escaping of "," ":" and "\\".
      for (const path of new Set([found, found.replace(/\\(.)/g, "$1")])) {
        if (path === upper || path === real) return true;
        // Relative to what was the current directory of whoever mounted it: rather one too many than one too few.
        if (!path.startsWith("/") && real.endsWith(`/${path.replace(/^(?:\.\.?\/)+/, "")}`)) return true;
        // By way of a symlink, or of another mount of the same filesystem.
        if (same !== undefined && identityOf(`/proc/${pid}/root${path}`) === same) return true;
      }
    }
  }
  return false;
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
