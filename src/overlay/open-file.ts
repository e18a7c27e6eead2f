import { constants } from "node:fs";
import type { Entry } from "./entry.ts";

/** An open file or directory. */
export interface OpenFile {
  /** As it is now. */
  entry: Entry;
  /** As it was given to open, for errors. */
  readonly path: string;
  /** Those of open(2). */
  readonly flags: number;
  /** Where the next read or write without a position begins. */
  position: number;
}

/** By its flags of open(2) a file may be read from. */
export function isReadable(flags: number): boolean {
  return (flags & ACCESS_MODE) !== constants.O_WRONLY;
}

/** By its flags of open(2) a file may be written to. */
export function isWritable(flags: number): boolean {
  return (flags & ACCESS_MODE) !== constants.O_RDONLY;
}

/** O_ACCMODE. */
const ACCESS_MODE = 3;
