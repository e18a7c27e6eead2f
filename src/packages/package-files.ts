import { createHash } from "node:crypto";
import type { Name, TreePath } from "../model/name.ts";

/** The files of a tree, as far as package databases need them. Symlinks are not followed. */
export interface PackageFiles {
  /** Bytes in order (borrowed until the next step) and lengths of runs of zeros; undefined if there is no regular file. */
  open(path: TreePath): Iterable<Uint8Array | number> | undefined;
  /** The names in a directory in byte order; none if there is no such directory. */
  list(directory: TreePath): Iterable<Name>;
  /** Where a path leads to if its first directory is a symlink to one below usr, as `lib` is of merged systems. */
  merged(path: TreePath): TreePath;
}

/** A line may be as long as this, what is beyond is dropped: nobody knows who wrote these files. */
const MAX_LINE_BYTES = 64 * 1024;

/** Lines as byte strings, without their ends. A run of zeros ends reading: it is in no text. */
export function* linesOf(pieces: Iterable<Uint8Array | number>): Generator<string> {
  let rest = "";
  for (const piece of pieces) {
    if (typeof piece === "number") break;
    const text = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString("latin1");
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      yield rest === "" ? text.slice(start, end) : rest + text.slice(start, end);
      rest = "";
      start = end + 1;
    }
    rest = (rest + text.slice(start)).slice(0, MAX_LINE_BYTES);
  }
  if (rest !== "") yield rest;
}

/** What a file should hash to. */
export interface Checksum {
  readonly algorithm: "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512";
  /** Lower-case hex. */
  readonly digest: string;
}

/** True if these are the bytes that a package came with. */
export function hashesTo(pieces: Iterable<Uint8Array | number>, { algorithm, digest }: Checksum): boolean {
  const hash = createHash(algorithm);
  for (const piece of pieces) {
    if (typeof piece !== "number") hash.update(piece);
    else
      for (let left = piece; left > 0; left -= ZEROS.length)
        hash.update(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
  }
  return hash.digest("hex") === digest;
}

const ZEROS = Buffer.alloc(64 * 1024);
