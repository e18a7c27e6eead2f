import { closeSync, constants, openSync } from "node:fs";
import { errnoOf, PosixError } from "../errors.ts";
import { displayHostPath, type HostPath, nodePath } from "./host-path.ts";
import { fixedMemory } from "./koffi.ts";
import { lastErrno, libc } from "./libc.ts";

/**
 * Turns the immutable flag of a directory on or off: while on, nobody, root included, adds, renames or removes names
 * in it.
 *
 * @returns false where the filesystem or the privileges for it lack
 */
export function setImmutable(directory: HostPath, on: boolean): boolean {
  const fd = openDirectory(directory);
  if (fd === undefined) return false;
  try {
    const { view, address } = fixedMemory(8); // the kernel moves an int, though the request's number says long
    if (libc().ioctl(fd, FS_IOC_GETFLAGS, address) < 0) return lacking("FS_IOC_GETFLAGS", directory);
    const flags = view.getUint32(0, true);
    const wanted = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    if (wanted === flags) return true;
    view.setUint32(0, wanted, true);
    return libc().ioctl(fd, FS_IOC_SETFLAGS, address) === 0 || lacking("FS_IOC_SETFLAGS", directory);
  } finally {
    closeSync(fd);
  }
}

/** @returns undefined if this user may not even read it */
function openDirectory(directory: HostPath): number | undefined {
  try {
    return openSync(nodePath(directory), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}

// linux/fs.h, as on x86-64, arm64 and riscv64
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IMMUTABLE_FL = 0x10;
const LACKING: ReadonlySet<string> = new Set(["ENOTTY", "ENOTSUP", "EINVAL", "ENOSYS", "EPERM", "EACCES"]);

function lacking(syscall: string, directory: HostPath): false {
  const code = lastErrno();
  if (LACKING.has(code)) return false;
  throw new PosixError(code, syscall, displayHostPath(directory));
}
