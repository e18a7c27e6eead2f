import { closeSync, constants, openSync, readFileSync, rmSync, statfsSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { errnoOf } from "../errors.ts";
import { blake3Implementation } from "../format/blake3.ts";
import { subordinateRanges } from "../lxc/id-map-config.ts";
import { defaultLxcPath, lxcVersion } from "../lxc/lxc-programs.ts";
import { cloneFile } from "../sys/file.ts";
import { capabilities } from "../sys/host.ts";
import { isMountPoint } from "../sys/mounts.ts";
import { zstdImplementation } from "../sys/zstd.ts";
import { StorePaths } from "../store-paths.ts";

export interface Check {
  readonly name: string;
  /** `missing`: something will not work, and `detail` says what. */
  readonly result: "ok" | "missing";
  readonly detail: string;
}

/** What this host can do. Opens no store: it works beside a running import, and where the store is damaged. */
export function doctor(directory: string): Check[] {
  const paths = new StorePaths(directory);
  const has = capabilities();
  const lacking = PRIVILEGES.filter((capability) => !has.has(capability));
  const version = lxcVersion();
  const space = spaceOf(paths.directory);
  return [
    check(
      "privileges",
      lacking.length === 0,
      "all",
      `${lacking.join(" ")}: run as root for devices, owners and mounts`,
    ),
    check("overlayfs", hasOverlay(), "known to the kernel", "not known to the kernel: containers cannot start"),
    check(
      "lxc",
      version !== undefined,
      `${version ?? ""} in ${defaultLxcPath() ?? "no path"}`,
      "not installed: apt-get install lxc",
    ),
    idMapCheck(),
    check("blake3", blake3Implementation() === "native", "native", "WebAssembly, eight times slower"),
    check("zstd", zstdImplementation() === "libzstd", "libzstd", "Node's own: no zstd tars. apt-get install libzstd1"),
    space === undefined
      ? { name: "store", result: "missing", detail: `no directory ${paths.directory}: delta0 init makes it` }
      : check("store", space.freeBytes > 2 ** 30, space.text, `${space.text}: too little for a root filesystem`),
    ...(space === undefined ? [] : [reflinkCheck(paths.directory), protectionCheck(paths)]),
  ];
}

function check(name: string, ok: boolean, good: string, bad: string): Check {
  return { name, result: ok ? "ok" : "missing", detail: ok ? good : bad };
}

/** Whether root may start containers with id maps, and with which ids of the host. */
function idMapCheck(): Check {
  const uids = subordinateRanges("/etc/subuid");
  const gids = subordinateRanges("/etc/subgid");
  if (uids === undefined || gids === undefined) return check("id maps", true, "root may map all ids", "");
  const bad =
    "root has no line in /etc/subuid and /etc/subgid, which newuidmap asks for: write root:100000:65536 to both";
  const good = `root may map users ${uids.join(" ")}, groups ${gids.join(" ")}`;
  return check("id maps", uids.length > 0 && gids.length > 0, good, bad);
}

/** For a full copy of a root filesystem, and for what starts containers. */
const PRIVILEGES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETFCAP", "CAP_SYS_ADMIN"];

function hasOverlay(): boolean {
  return /\boverlay$/m.test(readFileSync("/proc/filesystems", "latin1"));
}

function spaceOf(directory: string): { freeBytes: number; text: string } | undefined {
  try {
    const { bavail, bsize, ffree } = statfsSync(directory);
    const freeBytes = bavail * bsize;
    return { freeBytes, text: `${(freeBytes / 2 ** 30).toFixed(1)} GiB and ${ffree} inodes free at ${directory}` };
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

function reflinkCheck(directory: string): Check {
  const bad = "not on this filesystem: each export is a full copy";
  const files = [1, 2].map(() => `${directory}/.doctor-${randomBytes(6).toString("hex")}`);
  try {
    const [from = 0, to = 0] = files.map((file) =>
      openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600),
    );
    writeSync(from, Buffer.alloc(4096, 1));
    const cloned = cloneFile(from, to);
    closeSync(from);
    closeSync(to);
    return check("reflink", cloned, "exports can share blocks", bad);
  } catch (error) {
    if (!["EACCES", "EROFS", "EPERM"].includes(errnoOf(error) ?? "")) throw error;
    return { name: "reflink", result: "missing", detail: "cannot write to the store" };
  } finally {
    for (const file of files) rmSync(file, { force: true });
  }
}

function protectionCheck({ exports }: StorePaths): Check {
  const bad = "exports are not mounted read-only yet: the first command that needs them does it";
  return check("exports", isMountPoint(exports), "mounted read-only", bad);
}
