import type { NodeType } from "../model/node.ts";
import { PosixError } from "../errors.ts";
import { displayHostPath, type HostPath, hostPathBytes } from "./host-path.ts";
import { type FixedMemory, fixedMemory, type Pointer } from "./koffi.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, lastErrno, libc } from "./libc.ts";

/** What statx(2) says of a node. */
export interface Stat {
  readonly type: NodeType;
  /** Permission bits with set-id and sticky, `[0 … 0o7777]`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly ino: bigint;
  /** The filesystem, as "major:minor". */
  readonly device: string;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
}

/** Follows symlinks. */
export function statPath(path: HostPath): Stat {
  const stat = statAt(AT_FDCWD, hostPathBytes(path), 0);
  if (stat === undefined) throw new PosixError(lastErrno(), "stat", displayHostPath(path));
  return stat;
}

/** Does not follow a symlink in the last place. */
export function lstatPath(path: HostPath): Stat {
  const stat = statAt(AT_FDCWD, hostPathBytes(path), AT_SYMLINK_NOFOLLOW);
  if (stat === undefined) throw new PosixError(lastErrno(), "lstat", displayHostPath(path));
  return stat;
}

export function statFd(fd: number): Stat {
  const stat = statAt(fd, EMPTY_PATH, AT_EMPTY_PATH);
  if (stat === undefined) throw new PosixError(lastErrno(), "fstat");
  return stat;
}

/** statx(2) itself: `path` ends with NUL. @returns undefined if it failed; `lastErrno()` says why */
export function statAt(directory: number, path: Pointer, flags: number): Stat | undefined {
  memory ??= fixedMemory(STATX_BYTES);
  const done = libc().statx(directory, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, memory.address);
  return done < 0 ? undefined : decode(memory.view);
}

const EMPTY_PATH = Buffer.alloc(1);
const AT_NO_AUTOMOUNT = 0x800;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
let memory: FixedMemory | undefined;

// struct statx of linux/stat.h; all hosts that koffi has binaries for and delta0 runs on are little-endian.
function decode(view: DataView): Stat {
  const mode = view.getUint16(28, true);
  return {
    type: nodeType(mode),
    mode: mode & 0o7777,
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    nlink: view.getUint32(16, true),
    size: uint64(view, 40),
    blocks: uint64(view, 48),
    ino: view.getBigUint64(32, true),
    device: deviceName(view.getUint32(136, true), view.getUint32(140, true)),
    rdevMajor: view.getUint32(128, true),
    rdevMinor: view.getUint32(132, true),
    mtimeSec: int64(view, 112),
    mtimeNsec: view.getUint32(120, true),
    ctimeSec: int64(view, 96),
    ctimeNsec: view.getUint32(104, true),
  };
}

function nodeType(mode: number): NodeType {
  const type = TYPES[mode >>> 12];
  if (type === undefined) throw new Error(`no such file type: mode ${mode.toString(8)}`);
  return type;
}

/** By the upper four bits of st_mode. */
const TYPES: readonly (NodeType | undefined)[] = Array.from({ length: 16 }, (_, bits) => {
  const known: Readonly<Record<number, NodeType>> = {
    1: "fifo",
    2: "character",
    4: "directory",
    6: "block",
    8: "file",
    10: "symlink",
    12: "socket",
  };
  return known[bits];
});

function uint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

function int64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

// Nearly all nodes of one walk are on one device: its name is made once.
let lastMajor = -1;
let lastMinor = -1;
let lastName = "";

function deviceName(major: number, minor: number): string {
  if (major !== lastMajor || minor !== lastMinor) {
    lastMajor = major;
    lastMinor = minor;
    lastName = `${major}:${minor}`;
  }
  return lastName;
}
