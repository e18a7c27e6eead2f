import { accessSync, constants, readFileSync } from "node:fs";
import { errnoOf, isStoreError } from "../errors.ts";
import { formatIdMap, parseIdMap } from "../model/id-map.ts";
import type { IdMap, IdRange } from "../model/id-map.ts";
import { appendValue, getValue, getValues, removeSettings, setValue } from "./config-file.ts";
import type { ConfigFile } from "./config-file.ts";

/** What a config itself says, without what it includes. @throws {StoreError} USAGE for what is no id map */
export function idMapOf(config: ConfigFile): IdMap | null {
  const ranges = getValues(config, "lxc.idmap");
  return ranges.length === 0 ? null : parseIdMap(ranges);
}

/** True if LXC would give a container with this config that id map. */
export function hasIdMap(config: ConfigFile, map: IdMap | null): boolean {
  try {
    return textOf(idMapOf(config)) === textOf(map);
  } catch (error) {
    if (isStoreError(error, "USAGE")) return false;
    throw error;
  }
}

/**
 * The config of a container with that id map, or of one with none. With one, only `userxattr` lets overlayfs keep its marks. And
 * systemd would fail to mount debugfs: as in LXC's common.conf the host's is there, which the container's root cannot read.
 */
export function withIdMap(config: ConfigFile, map: IdMap | null): ConfigFile {
  if (hasIdMap(config, null) && map === null) return config;
  const options = (getValue(config, ROOTFS_OPTIONS) ?? "").split(",").filter((o) => o !== "" && o !== "userxattr");
  if (map !== null) options.push("userxattr");
  let changed = removeSettings(config, ({ key, value }) => key === "lxc.idmap" || value === DEBUGFS);
  changed =
    options.length > 0
      ? setValue(changed, ROOTFS_OPTIONS, options.join(","))
      : removeSettings(changed, ({ key }) => key === ROOTFS_OPTIONS);
  if (map === null) return changed;
  for (const range of formatIdMap(map)) changed = appendValue(changed, "lxc.idmap", range.replaceAll(":", " "));
  const hasDebugfs = getValues(changed, "lxc.mount.entry").some((entry) => entry.includes(" sys/kernel/debug "));
  return hasDebugfs ? changed : appendValue(changed, "lxc.mount.entry", DEBUGFS);
}

/** The ranges of host ids that root has in a file as subuid(5), `FIRST:COUNT` each; undefined where newuidmap is not installed: then all. */
export function subordinateRanges(file: "/etc/subuid" | "/etc/subgid"): readonly string[] | undefined {
  if (!HELPERS.some(isExecutable)) return undefined;
  return readIfThere(file)
    .split("\n")
    .flatMap((line) => /^(?:root|0):([0-9]+:[0-9]+)$/.exec(line.trim())?.[1] ?? []);
}

/** Lines that /etc/subuid and /etc/subgid lack, for LXC to start a container with that map as root. */
export function lackingRanges(map: IdMap): string[] {
  const lacking = (file: "/etc/subuid" | "/etc/subgid", ranges: readonly IdRange[]): string[] => {
    const allowed = subordinateRanges(file)?.map((range) => range.split(":").map(Number));
    if (allowed === undefined) return [];
    return ranges.flatMap(({ host, count }) =>
      allowed.some(([first = 0, length = 0]) => host >= first && host + count <= first + length)
        ? []
        : `${file}: root:${host}:${count}`,
    );
  };
  return [...lacking("/etc/subuid", map.uids), ...lacking("/etc/subgid", map.gids)];
}

const DEBUGFS = "/sys/kernel/debug sys/kernel/debug none bind,optional 0 0";
const ROOTFS_OPTIONS = "lxc.rootfs.options";
/** LXC uses them where they are, even as root. */
const HELPERS = ["/usr/bin/newuidmap", "/bin/newuidmap", "/usr/local/bin/newuidmap"];

function textOf(map: IdMap | null): string {
  return map === null ? "" : formatIdMap(map).join(" ");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
