import { PosixError } from "../errors.ts";
import type { Name } from "../model/name.ts";
import { type FixedMemory, fixedMemory } from "./koffi.ts";
import { lastErrno, libc } from "./libc.ts";

/** The names in an open directory, in byte order, without "." and "..". Moves the fd's position. */
export function listDirectory(fd: number, display: () => string): Name[] {
  memory ??= fixedMemory(LISTING_BYTES);
  const { bytes, view, address } = memory;
  const names: Name[] = [];
  if (libc().lseek(fd, 0, SEEK_SET) < 0) throw new PosixError(lastErrno(), "lseek", display());
  while (true) {
    const length = libc().getdents64(fd, address, LISTING_BYTES);
    if (length === 0) break;
    if (length < 0) throw new PosixError(lastErrno(), "getdents64", display());
    for (let at = 0; at < length; at += view.getUint16(at + RECORD_LENGTH, true)) {
      const start = at + RECORD_NAME;
      let end = start;
      while (bytes[end] !== 0) end++;
      const name = bytes.toString("latin1", start, end);
      if (name !== "." && name !== "..") names.push(name as Name);
    }
  }
  return names.sort();
}

// struct linux_dirent64: u64 inode, u64 position, u16 length of the record, u8 type, name with NUL
const RECORD_LENGTH = 16;
const RECORD_NAME = 19;
const LISTING_BYTES = 256 * 1024;
const SEEK_SET = 0;
let memory: FixedMemory | undefined;
