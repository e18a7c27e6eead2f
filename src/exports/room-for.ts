import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../errors.ts";
import type { Change } from "../model/change.ts";
import type { Totals } from "../model/node.ts";

/** What a stream of changes takes where it is written, at the least. */
export interface Needed {
  readonly bytes: number;
  /** 0 where all becomes one file. */
  readonly inodes: number;
}

/**
 * At the least, since what is refused by it must not be what would have fit: files' bytes without the rest of their last block, of
 * sparse files nothing, and neither directories nor xattrs.
 */
export function neededForDirectory(changes: Iterable<Change>): Needed {
  let bytes = 0;
  let inodes = 0;
  for (const { path, after, link } of changes) {
    if (after === undefined || (link !== undefined && link[0] !== path)) continue;
    if (after.type === "file" && !after.content.sparse) bytes += after.content.size;
    if (after.type === "file" || after.type === "directory" || after.type === "symlink") inodes++;
  }
  return { bytes, inodes };
}

/** As `neededForDirectory`: a header for each name besides. */
export function neededForTar(changes: Iterable<Change>): Needed {
  let entries = 0;
  const counted = function* (): Generator<Change> {
    for (const change of changes) {
      entries++;
      yield change;
    }
  };
  const { bytes } = neededForDirectory(counted());
  return { bytes: bytes + entries * TAR_HEADER_BYTES, inodes: 1 };
}

const TAR_HEADER_BYTES = 512;

/**
 * @param directory where something is to be written that does not take more than `most`
 * @param needed what it takes; only asked for where it cannot be told by `most`, for it costs a walk
 * @throws {StoreError} NO_SPACE if it cannot fit
 */
export function requireRoomFor(directory: string, most: Totals, needed: () => Needed): void {
  const free = freeIn(directory);
  // Each name is an inode and, in a tar, up to some headers.
  if (most.bytes + (most.entries + 1) * NAME_BYTES <= free.bytes && most.entries < free.inodes) return;
  const { bytes, inodes } = needed();
  if (bytes > free.bytes) throw noRoom(directory, mebibytes(bytes), mebibytes(free.bytes));
  if (inodes > free.inodes) throw noRoom(directory, `${inodes} inodes`, `${free.inodes} inodes`);
}

const NAME_BYTES = 4096;

function noRoom(directory: string, needed: string, free: string): StoreError {
  return new StoreError("NO_SPACE", {
    action: `needs ${needed}, ${free} free on ${mountPointOf(directory)}`,
    hint: "make some room, or name a place that has it",
  });
}

function freeIn(directory: string): Needed {
  const { bavail, bfree, bsize, files, ffree, type } = statfsSync(directory);
  // Root gets what is kept back for it.
  const blocks = process.geteuid?.() === 0 ? bfree : bavail;
  return {
    // There bytes may take less than there are of them.
    bytes: COMPRESSING.has(type) ? Infinity : blocks * bsize,
    // btrfs has no number of inodes.
    inodes: files === 0 ? Infinity : ffree,
  };
}

/** Types of statfs(2): btrfs, ZFS, bcachefs, F2FS. */
const COMPRESSING: ReadonlySet<number> = new Set([0x9123683e, 0x2fc12fc1, 0xca451a4e, 0xf2f52010]);

/** For people. */
function mountPointOf(path: string): string {
  const { dev } = statSync(path);
  let place = path;
  while (place !== "/" && statSync(dirname(place)).dev === dev) place = dirname(place);
  return place;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
