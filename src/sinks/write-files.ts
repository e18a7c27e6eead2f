import type { Name, TreePath } from "../model/name.ts";
import type { FileNode } from "../model/node.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { libc } from "../sys/libc.ts";
import { withPath } from "./failure.ts";
import { writeContent, writePieces } from "./file-content.ts";
import type { StoredPiece } from "./file-content.ts";
import { MetadataSetter } from "./metadata-setter.ts";
import type { Rules } from "./metadata-setter.ts";
import { openFile } from "./settable.ts";
import { LossTally } from "./written.ts";
import type { Losses } from "./written.ts";

/** A file that is made and gets all that it has. */
export interface NewFile {
  /** An fd; those of a process are all its threads'. */
  readonly directory: number;
  readonly name: Name;
  readonly path: TreePath;
  readonly node: FileNode;
  readonly pieces: readonly StoredPiece[];
}

/** Bytes of a file that somebody else made, and that has its size. */
export interface FilePart {
  readonly fd: number;
  readonly path: TreePath;
  readonly sparse: boolean;
  readonly position: number;
  readonly pieces: readonly StoredPiece[];
}

/** What a thread writes at once. */
export interface FilesJob {
  readonly target: string;
  readonly rules: Rules;
  readonly pageBytes: number;
  /** All frames. */
  readonly frames: Uint8Array;
  readonly files: readonly (NewFile | FilePart)[];
}

export interface FilesWritten {
  readonly losses: Losses;
  readonly omitted: Losses;
}

/** @throws as `TreeWriter` does */
export function writeFiles({ target, rules, pageBytes, frames, files }: FilesJob): FilesWritten {
  const losses = new LossTally();
  const omitted = new LossTally();
  const metadata = new MetadataSetter(target, rules, losses, omitted);
  for (const file of files) {
    try {
      if ("fd" in file) writePieces(file.fd, file, frames, pageBytes);
      else writeNew(file, frames, pageBytes, metadata);
    } catch (error) {
      throw withPath(error, file.path);
    }
  }
  return { losses: losses.list, omitted: omitted.list };
}

function writeNew(file: NewFile, frames: Uint8Array, pageBytes: number, metadata: MetadataSetter): void {
  const fd = DirectoryHandle.borrow(file.directory).create(file.name, 0o600);
  try {
    writeContent(fd, file.node.content, file.pieces, frames, pageBytes);
    metadata.set(openFile(fd), file.node, file.path);
  } finally {
    // Not Node's, which in a thread warns of fds that it did not open itself.
    libc().close(fd);
  }
}
