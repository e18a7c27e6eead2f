import { closeSync, ftruncateSync } from "node:fs";
import { StoreError } from "../errors.ts";
import type { Frame, FrameReader } from "../format/chunk-value.ts";
import type { Name, TreePath } from "../model/name.ts";
import type { FileNode } from "../model/node.ts";
import type { DirectoryHandle } from "../sys/directory-handle.ts";
import { Threads } from "../sys/threads.ts";
import type { MetadataSetter, Rules } from "./metadata-setter.ts";
import { openFile } from "./settable.ts";
import type { StoredPiece } from "./file-content.ts";
import type { LossTally } from "./written.ts";
import { writeFiles } from "./write-files.ts";
import type { FilePart, FilesJob, FilesWritten, NewFile } from "./write-files.ts";

/** A directory that files are written to, and what happens once they are. */
export interface FilesDirectory {
  /** Jobs that write to it. */
  jobs: number;
  /** Open as long as there are such. */
  handle: DirectoryHandle | undefined;
  onWritten(): void;
}

interface Draft {
  readonly frames: Uint8Array;
  used: number;
  readonly files: (NewFile | FilePart)[];
  readonly directories: Set<FilesDirectory>;
  plainBytes: number;
}

interface Running {
  readonly draft: Draft;
  readonly written: Promise<FilesWritten>;
}

/**
 * Regular files on their way to disk: their frames are read here, in the order of the tree, which is mostly that of the store; threads
 * decompress and prove them, and write. The first ones are written here: for few files a thread does not pay. bench/import-export.ts.
 */
export class FileJobs {
  readonly #reader: FrameReader;
  readonly #rest: Pick<FilesJob, "target" | "rules" | "pageBytes">;
  readonly #losses: LossTally;
  readonly #omitted: LossTally;
  readonly #running: Running[] = [];
  readonly #idle: Uint8Array[] = [];
  #draft: Draft | undefined;
  #jobs = 0;

  /** Borrows `reader`. */
  constructor(
    reader: FrameReader,
    rest: { readonly target: string; readonly rules: Rules; readonly pageBytes: number },
    losses: LossTally,
    omitted: LossTally,
  ) {
    this.#reader = reader;
    this.#rest = rest;
    this.#losses = losses;
    this.#omitted = omitted;
  }

  /** Has a small file made in `directory`, which is open as `at`; it is there only after `settle`. */
  async add(directory: FilesDirectory, at: DirectoryHandle, name: Name, path: TreePath, node: FileNode): Promise<void> {
    const { size } = node.content;
    if (this.#draft !== undefined && this.#draft.used + size > FRAMES_BYTES) await this.#dispatch();
    const draft = (this.#draft ??= this.#begin());
    if (!draft.directories.has(directory)) {
      draft.directories.add(directory);
      directory.jobs++;
    }
    const { fd } = (directory.handle ??= at.duplicate());
    const pieces: StoredPiece[] = [];
    let bytes = 0;
    for (const frame of this.#reader.frames(node.content)) {
      bytes += typeof frame === "number" ? frame : frame.plainBytes;
      if (bytes > size) break;
      pieces.push(place(draft, frame));
    }
    requireWhole(node, bytes);
    draft.files.push({ directory: fd, name, path, node, pieces });
    draft.plainBytes += size;
    if (
      draft.files.length === MAX_FILES ||
      draft.directories.size === MAX_DIRECTORIES ||
      draft.plainBytes >= JOB_PLAIN_BYTES
    )
      await this.#dispatch();
  }

  /** Makes a large file, whose parts several threads write. */
  async writeLarge(
    directory: DirectoryHandle,
    name: Name,
    path: TreePath,
    node: FileNode,
    metadata: MetadataSetter,
    onBytes: (bytes: number) => Promise<void>,
  ): Promise<void> {
    const { content } = node;
    const fd = directory.create(name, 0o600);
    try {
      ftruncateSync(fd, content.size);
      let position = 0;
      let part = { fd, path, sparse: content.sparse, position, pieces: [] as StoredPiece[] };
      await this.#dispatch();
      for (const piece of this.#reader.frames(content)) {
        for (const whole of typeof piece === "number" ? runsOf(piece) : [piece]) {
          const length = typeof whole === "number" ? whole : whole.plainBytes;
          this.#draft ??= this.#begin();
          part.pieces.push(place(this.#draft, whole));
          this.#draft.plainBytes += length;
          position += length;
          if (this.#draft.plainBytes < PART_PLAIN_BYTES && position < content.size) continue;
          this.#draft.files.push(part);
          await this.#dispatch();
          await onBytes(part.pieces.length === 0 ? 0 : position - part.position);
          part = { fd, path, sparse: content.sparse, position, pieces: [] };
        }
      }
      requireWhole(node, position);
      await this.settle();
      metadata.set(openFile(fd), node, path);
    } finally {
      await this.#abandon();
      closeSync(fd);
    }
  }

  /** Waits until all files are there. @throws what the first that failed did */
  async settle(): Promise<void> {
    await this.#dispatch();
    while (this.#running.length > 0) await this.#finishFirst();
  }

  /** After a failure: nothing is written any more once it returns. */
  async [Symbol.asyncDispose](): Promise<void> {
    const draft = this.#draft;
    this.#draft = undefined;
    for (const directory of draft?.directories ?? []) release(directory);
    await this.#abandon();
  }

  async #abandon(): Promise<void> {
    for (const { draft, written } of this.#running.splice(0)) {
      await written.catch(() => undefined);
      for (const directory of draft.directories) release(directory);
    }
  }

  #begin(): Draft {
    const frames = this.#idle.pop() ?? new Uint8Array(new SharedArrayBuffer(FRAMES_BYTES + SLACK_BYTES));
    return { frames, used: 0, files: [], directories: new Set(), plainBytes: 0 };
  }

  async #dispatch(): Promise<void> {
    const draft = this.#draft;
    if (draft === undefined) return;
    this.#draft = undefined;
    const job: FilesJob = { ...this.#rest, frames: draft.frames, files: draft.files };
    const isSmall = draft.plainBytes < SMALL_PLAIN_BYTES && draft.files.length < SMALL_FILES;
    const written = isSmall || this.#jobs++ < JOBS_HERE ? here(job) : writers.run(job);
    // It is awaited in its turn, which may never come if an earlier one fails.
    written.catch(() => undefined);
    this.#running.push({ draft, written });
    while (this.#running.length >= MAX_RUNNING) await this.#finishFirst();
  }

  async #finishFirst(): Promise<void> {
    const first = this.#running[0];
    if (first === undefined) return;
    const { losses, omitted } = await first.written;
    this.#running.shift();
    this.#losses.merge(losses);
    this.#omitted.merge(omitted);
    if (this.#idle.length < MAX_RUNNING) this.#idle.push(first.draft.frames);
    for (const directory of first.draft.directories) if (--directory.jobs === 0) directory.onWritten();
  }
}

/** Of all exports of this process. */
const writers = new Threads<FilesJob, FilesWritten>("sinks/write-files-thread", writeFiles);

/** A rejection, never a throw: as of a thread. */
async function here(job: FilesJob): Promise<FilesWritten> {
  return await Promise.resolve(writeFiles(job));
}

function release(directory: FilesDirectory): void {
  directory.handle?.close();
  directory.handle = undefined;
}

function requireWhole({ content: { size } }: FileNode, bytes: number): void {
  if (bytes !== size) throw new Error(`content of ${size} bytes came with ${bytes}`);
}

function place(draft: Draft, frame: Frame | number): StoredPiece {
  if (typeof frame === "number") return frame;
  const { digest, codec, plainBytes, stored } = frame;
  const offset = draft.used;
  // No frame of a chunk is that much larger than the chunk.
  if (offset + stored.length > draft.frames.length)
    throw new StoreError("CHUNK_CORRUPT", { digest, actual: `${stored.length} bytes` });
  draft.frames.set(stored, offset);
  draft.used += stored.length;
  return { digest, codec, plainBytes, offset, length: stored.length };
}

/** A run of zeros in parts that one job writes. */
function* runsOf(length: number): Generator<number> {
  for (let left = length; left > 0; left -= PART_PLAIN_BYTES) yield Math.min(left, PART_PLAIN_BYTES);
}

export const LARGE_FILE_BYTES: number = 512 * 1024;
const FRAMES_BYTES = 1 << 20;
/** For frames that are larger than their chunks, as another store may have made them. */
const SLACK_BYTES = 256 * 1024;
/** Of a large file, with a block more than fits. */
const PART_PLAIN_BYTES = 768 * 1024;
const JOB_PLAIN_BYTES = 2 << 20;
const MAX_FILES = 64;
const MAX_DIRECTORIES = 32;
/** A job that ends early, as before a hard link: to wait for a thread takes longer. */
const SMALL_PLAIN_BYTES = 256 * 1024;
const SMALL_FILES = 16;
const MAX_RUNNING = 6;
const JOBS_HERE = 4;
