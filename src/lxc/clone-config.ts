import { byteStringOf } from "../model/name.ts";
import { randomBytes } from "../sys/random.ts";
import { type ConfigFile, getValue, removeSettings, replaceInValues, settingsOf, setValue } from "./config-file.ts";
import type { Identity } from "./identity.ts";
import { formatRootfsPath, parseRootfsPath } from "./rootfs-path.ts";

export interface CloneConfigOptions {
  readonly originalName: string;
  /** The container's own: LXCPATH/NAME. */
  readonly originalDirectory: string;
  readonly name: string;
  readonly directory: string;
  /** The clone's `lxc.rootfs.path`. */
  readonly rootfs: string;
  /** Whether it has its own host name and MAC addresses. Default: new. */
  readonly identity?: Identity;
}

export interface ClonedConfig {
  readonly config: ConfigFile;
  /** What the two will get in each other's way with, for people. */
  readonly warnings: readonly string[];
  /** Paths in the original's directory that its config names, other than rootfs and logs; the clone's names the same in its own. */
  readonly ownFiles: readonly string[];
}

/**
 * The config of a clone: the original's, with another rootfs, its own directory, host name and MAC addresses, no autostart and no
 * log files in common.
 *
 * @throws {StoreError} USAGE if no config can hold the new paths
 */
export function cloneConfig(original: ConfigFile, options: CloneConfigOptions): ClonedConfig {
  const { originalName, originalDirectory, name, directory, rootfs, identity = "new" } = options;
  let config = removeSettings(original, ({ key }) => DROPPED.has(key));
  config = setValue(config, "lxc.rootfs.path", rootfs);
  const pathPattern = withinPattern(originalDirectory);
  const ownFiles = settingsOf(config)
    .filter(({ key }) => key !== "lxc.rootfs.path")
    .flatMap(({ value }) => byteStringOf(value).match(withinPattern(originalDirectory, "(?:/[^\\s:,'\"]*)?")) ?? [])
    .map((path) => Buffer.from(path, "latin1").toString("utf8"));
  config = replaceInValues(config, pathPattern, byteStringOf(directory));
  // Had the paths before been the clone's own already, or had they the original's in them, this sets it right.
  config = setValue(config, "lxc.rootfs.path", rootfs);
  config =
    identity === "new"
      ? withOwnIdentity(config, name)
      : setValue(config, "lxc.uts.name", getValue(config, "lxc.uts.name") ?? originalName);
  return { config, warnings: warningsFor(config, directory, identity), ownFiles: [...new Set(ownFiles)] };
}

/** The config with this host name, and with new MAC addresses where it has any. */
export function withOwnIdentity(config: ConfigFile, host: string): ConfigFile {
  return withOwnAddresses(setValue(config, "lxc.uts.name", host));
}

/**
 * The config of a renamed container: paths in its directory, and its host name where that was its name, are the new
 * ones; all else stays.
 *
 * @throws {StoreError} USAGE, REFUSED if no config can hold the new paths, or LXC could not mount them
 */
export function renamedConfig(config: ConfigFile, names: Omit<CloneConfigOptions, "rootfs">): ConfigFile {
  const { originalName, originalDirectory, name, directory } = names;
  const moved = replaceInValues(config, withinPattern(originalDirectory), byteStringOf(directory));
  const value = getValue(moved, "lxc.rootfs.path");
  const rootfs = value === undefined ? undefined : parseRootfsPath(value);
  if (rootfs?.type === "overlay") formatRootfsPath(rootfs, getValue(moved, "lxc.rootfs.options"));
  return getValue(moved, "lxc.uts.name") === originalName ? setValue(moved, "lxc.uts.name", name) : moved;
}

/** The clone must neither come up nor go away by itself, nor write into the original's logs. */
const DROPPED: ReadonlySet<string> = new Set([
  "lxc.start.auto",
  "lxc.ephemeral",
  "lxc.log.file",
  "lxc.console.logfile",
]);

const HARDWARE_ADDRESS = /^lxc\.net(?:work)?\.(?:[0-9]+\.)?hwaddr$/;
/** A device of the host, which two containers cannot both have. */
const HOST_DEVICE = /^lxc\.net\.[0-9]+\.veth\.pair$/;
const STATIC_ADDRESS = /^lxc\.net(?:work)?\.(?:[0-9]+\.)?ipv[46](?:\.address)?$/;

/** Each that is set becomes a random one of the range that Xen and LXC use. */
function withOwnAddresses(config: ConfigFile): ConfigFile {
  const keys = new Set(settingsOf(config).map(({ key }) => key));
  return [...keys]
    .filter((key) => HARDWARE_ADDRESS.test(key))
    .reduce((changed, key) => setValue(changed, key, randomAddress()), config);
}

function randomAddress(): string {
  return `00:16:3e:${[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

function warningsFor(config: ConfigFile, directory: string, identity: Identity): string[] {
  const isShared = (key: string): boolean =>
    STATIC_ADDRESS.test(key) || (identity === "keep" && HARDWARE_ADDRESS.test(key));
  return settingsOf(config).flatMap(({ key, value }) => {
    if (isShared(key) && value !== "") return `has the original's address: ${key} = ${value}`;
    if (HOST_DEVICE.test(key) && value !== "") return `cannot run beside the original: ${key} = ${value}`;
    const source = key === "lxc.mount.entry" ? writableSource(value) : undefined;
    if (source === undefined || withinPattern(directory).test(byteStringOf(source))) return [];
    return `writes to the same directory of the host as the original: ${source}`;
  });
}

/** @returns what an fstab line lets the container write to on the host */
function writableSource(entry: string): string | undefined {
  const [source = "", , , options = ""] = entry.split(/[ \t]+/);
  const flags = options.split(",");
  const binds = flags.includes("bind") || flags.includes("rbind");
  return binds && !flags.includes("ro") && source.startsWith("/") ? source : undefined;
}

/** Finds `directory` as a whole path or the beginning of one, in byte strings and text alike. */
function withinPattern(directory: string, rest = ""): RegExp {
  const escaped = byteStringOf(directory).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`(?<![^\\s:,='"])${escaped}(?=[/\\s:,'"]|$)${rest}`, "g");
}
