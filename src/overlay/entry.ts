import { constants } from "node:fs";
import type { Metadata, NodeType } from "../model/node.ts";

/** What many entries of a tree have in common, and so share. */
export type Attributes = Omit<Metadata, "mode">;

/** What a path leads to: what stat(2) asks for, without its name. */
export abstract class Entry {
  /** As stat(2) has it, type included. */
  abstract readonly mode: number;
  abstract readonly attributes: Attributes;
  /** Of a file its bytes, of a symlink its target's, of a device its number as stat(2) has it. */
  abstract readonly size: number;
  /** Of a symlink, as a byte string. */
  abstract readonly target: string;
  /** Of a file: nothing of it was ever written. */
  abstract readonly isHole: boolean;

  /** Its type as the bits of `S_IFMT`. */
  get format(): number {
    return this.mode & constants.S_IFMT;
  }

  get isDirectory(): boolean {
    return this.format === constants.S_IFDIR;
  }

  get isSymlink(): boolean {
    return this.format === constants.S_IFLNK;
  }

  get isFile(): boolean {
    return this.format === constants.S_IFREG;
  }

  get isDevice(): boolean {
    return this.format === constants.S_IFCHR || this.format === constants.S_IFBLK;
  }
}

/** The bits of `S_IFMT`. */
export const FORMATS: Readonly<Record<NodeType, number>> = {
  file: constants.S_IFREG,
  directory: constants.S_IFDIR,
  symlink: constants.S_IFLNK,
  character: constants.S_IFCHR,
  block: constants.S_IFBLK,
  fifo: constants.S_IFIFO,
  socket: constants.S_IFSOCK,
};

export function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

/** As glibc's makedev packs it. Beyond 32 bits, where `<<` ends. */
export function deviceNumber(major: number, minor: number): number {
  const high = (major >>> 12) * 2 ** 44;
  return high + (minor >>> 8) * 2 ** 20 + (major & 0xfff) * 2 ** 8 + (minor & 0xff);
}
