import { closeSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../errors.ts";
import { allocate } from "../sys/file.ts";

/**
 * A file of nothing whose room is given up once the disk is full: LevelDB needs some to open a database, and more of it to delete
 * what lies in one.
 */
export class Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes the room, unless that would leave less than as much again: then the next one tries. */
  keep(): void {
    if (this.#heldBytes() >= RESERVE_BYTES || freeBytes(this.#path) < 2 * RESERVE_BYTES) return;
    const fd = openSync(this.#path, "a", 0o600);
    try {
      allocate(fd, RESERVE_BYTES);
    } catch (error) {
      ftruncateSync(fd, 0);
      // Not every filesystem can, and another may have been faster than we.
      if (!["ENOTSUP", "ENOSPC", "EDQUOT", "EFBIG"].includes(errnoOf(error) ?? "")) throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Gives the room up if there is little else. */
  release(): void {
    if (this.#heldBytes() > 0 && freeBytes(this.#path) < RESERVE_BYTES) truncateSync(this.#path, 0);
  }

  #heldBytes(): number {
    return (statSync(this.#path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** A memtable of each of three databases, and what compacting writes before it deletes. */
const RESERVE_BYTES = 16 << 20;
