import type { PathLike } from "node:fs";
import type { OpenFile } from "./open-file.ts";

/** One file: by its path, or open. A symlink in the last place is followed unless `follow` is false. */
export type Target = OpenFile | { readonly path: PathLike; readonly follow: boolean };

/** Seconds and nanoseconds as a timespec has them, or "now". */
export type FileTime = { readonly sec: number; readonly nsec: number } | "now";

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/**
 * What changes a view, one call of Linux each. All fail as node:fs does: code, errno, syscall, path (and dest).
 *
 * A call has happened, for whoever reads the view, once it has returned its promise; when this resolves it outlives the process.
 * `sync` makes all that happened before outlive a power cut.
 */
export interface Writes {
  /** open(2) with any flags. @returns a file descriptor of the view's, for `ViewCore.opened` */
  open(path: PathLike, flags: number, mode: number): Promise<number>;
  /** pwrite(2), or write(2) where `position` is null. @returns how many bytes: all, unless the file would be too large */
  write(file: OpenFile, bytes: Uint8Array, position: number | null): Promise<number>;
  /** Opens a file, writes to it and closes it, all in one. @param flags those of open(2) */
  put(path: PathLike, flags: number, mode: number, bytes: Uint8Array): Promise<void>;
  truncate(target: Target, size: number): Promise<void>;
  /** FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE. */
  punchHole(file: OpenFile, start: number, length: number): Promise<void>;
  sync(file: OpenFile, syscall: "fsync" | "fdatasync"): Promise<void>;

  mkdir(path: PathLike, mode: number): Promise<void>;
  /** @param mode with its type: S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR or S_IFBLK */
  mknod(path: PathLike, mode: number, device: DeviceNumber): Promise<void>;
  /** @param target as bytes or text; it is not looked up */
  symlink(target: PathLike, path: PathLike): Promise<void>;
  /** link(2): a symlink gets another name itself. */
  link(existing: PathLike, path: PathLike): Promise<void>;
  unlink(path: PathLike): Promise<void>;
  rmdir(path: PathLike): Promise<void>;
  /** renameat2(2). Directories of the lower too; never EXDEV. */
  rename(from: PathLike, to: PathLike, flag?: "noreplace" | "exchange"): Promise<void>;

  chmod(target: Target, mode: number): Promise<void>;
  /** @param uid -1, as `gid`: as it is */
  chown(target: Target, uid: number, gid: number): Promise<void>;
  /** Times of access are not kept: there is one time of a file, the mtime. */
  utimes(target: Target, mtime: FileTime): Promise<void>;
  /** @param name with its prefix */
  setxattr(target: Target, name: string, value: Uint8Array, flag?: "create" | "replace"): Promise<void>;
  removexattr(target: Target, name: string): Promise<void>;

  /** Makes `to` the same bytes as `from`, by reference: replaces what `to` holds, or makes it with `from`'s mode. */
  copyFile(from: PathLike, to: PathLike, exclusive: boolean): Promise<void>;
}
