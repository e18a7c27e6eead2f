import { StoreError } from "../errors.ts";

/** What `lxc.rootfs.path` says. */
export type RootfsPath = OverlayRootfs | DirectoryRootfs | OtherRootfs;

export interface OverlayRootfs {
  readonly type: "overlay";
  /** At least one; the first is the topmost. */
  readonly lowers: readonly string[];
  readonly upper: string;
}
export interface DirectoryRootfs {
  readonly type: "directory";
  readonly path: string;
}
/** A storage that is none of ours: zfs, lvm, loop … */
export interface OtherRootfs {
  readonly type: "other";
}

/** LXC's own reading of it: the upper begins at the last ":/"; "overlayfs:" is an alias. */
export function parseRootfsPath(value: string): RootfsPath {
  const overlay = /^overlay(?:fs)?:(.*)$/s.exec(value)?.[1];
  if (overlay === undefined) {
    const path = value.startsWith("dir:") ? value.slice("dir:".length) : value;
    return path.startsWith("/") ? { type: "directory", path } : { type: "other" };
  }
  const split = overlay.lastIndexOf(":/");
  if (split <= 0) return { type: "other" };
  const lowers = overlay.slice(0, split).split(UNESCAPED_COLON);
  // "::" sets off lowers for data alone, which have no names of their own.
  if (lowers.includes("")) return { type: "other" };
  return {
    type: "overlay",
    lowers: lowers.map((lower) => lower.replace(/\\(.)/gs, "$1")),
    upper: overlay.slice(split + 1),
  };
}

/**
 * The value that makes LXC mount `lowers` and `upper`, all absolute.
 *
 * @param mountOptions what `lxc.rootfs.options` adds
 * @throws {StoreError} REFUSED if there is none, since LXC hands the upper's path to mount(2) as it is and the kernel
 *   takes one page of options; the hint says what to change
 */
export function formatRootfsPath({ lowers, upper }: Omit<OverlayRootfs, "type">, mountOptions?: string): string {
  for (const path of [...lowers, upper])
    if (/[\n\0]|[ \t\r]$/.test(path)) refuse(path, "ends with a blank or has a newline in it");
  if (/[,\\]|:\//.test(upper)) refuse(upper, `has ",", "\\" or ":/" in it`);
  const lower = lowers.map((path) => path.replace(/[\\:,]/g, "\\$&")).join(":");
  const options = [
    `upperdir=${upper}`,
    `lowerdir=${lower}`,
    `workdir=${workDirectoryOf(upper)}`,
    mountOptions ?? [],
  ].flat();
  const length = Buffer.byteLength(options.join(","));
  if (length > MOUNT_OPTIONS_MAX_BYTES) {
    throw new StoreError("REFUSED", {
      reason: `the mount options would be ${length} bytes, and the kernel takes ${MOUNT_OPTIONS_MAX_BYTES}: ${lowers.length} lowers over ${upper}`,
      hint: "use fewer lowers, or shorter paths of store and LXC path",
    });
  }
  return `overlay:${lower}:${upper}`;
}

const UNESCAPED_COLON = /(?<!(?<!\\)(?:\\\\)*\\):/;

/** Where LXC has overlayfs keep its work directory, beside the upper. It is made when the container is first mounted. */
export function workDirectoryOf(upper: string): string {
  return `${upper.slice(0, upper.lastIndexOf("/"))}/work`;
}

const MOUNT_OPTIONS_MAX_BYTES = 4095;

function refuse(path: string, what: string): never {
  throw new StoreError("REFUSED", {
    reason: `LXC cannot mount an overlay with ${JSON.stringify(path)}: the path ${what}`,
    hint: "choose another store directory or LXC path",
  });
}
