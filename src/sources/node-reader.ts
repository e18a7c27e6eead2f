import { closeSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { KnownFile } from "../format/known-files.ts";
import type { ContentWriter, RawNode } from "../model/change.ts";
import { joinPath, type Name, type TreePath } from "../model/name.ts";
import type { Content, Metadata, Xattr } from "../model/node.ts";
import type { DirectoryHandle } from "../sys/directory-handle.ts";
import { dataSegments } from "../sys/file.ts";
import { type Stat, statFd } from "../sys/stat.ts";
import { reading, unsteady } from "./reading.ts";

export interface Progress {
  /** Nodes; a further name of one does not count. */
  readonly entries: number;
  /** Of regular files, without holes. */
  readonly bytes: number;
}

/** Contents of files that were read before, and are in the store. */
export interface KnownContents {
  /** @returns undefined if it must be read */
  find(stat: Stat): KnownFile | undefined;
  /** @param readAtMs when reading it began */
  add(stat: Stat, known: KnownFile, readAtMs: number): void;
}

export interface NodeReaderOptions {
  readonly known?: KnownContents | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A node, and the stat that was true of it all the time it was read. */
interface ReadNode {
  readonly node: RawNode;
  readonly stat: Stat;
}

/** Reads nodes of one source directory, the content of files into a writer. Opens nothing but files. */
export class NodeReader {
  readonly #source: string;
  readonly #writer: ContentWriter;
  readonly #options: NodeReaderOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #entries = 0;
  #bytes = 0;
  #bytesAtTurn = 0;

  /** @param source the directory's path, for messages */
  constructor(source: string, writer: ContentWriter, options: NodeReaderOptions) {
    this.#source = source;
    this.#writer = writer;
    this.#options = options;
  }

  /**
   * Reads the node called `name`, which is no directory.
   *
   * @param stat what was just said of it
   * @throws {StoreError} SOURCE_INVALID if it is gone, or still changes after some tries; NOT_PERMITTED
   */
  async read(directory: DirectoryHandle, directoryPath: TreePath, name: Name, stat: Stat): Promise<ReadNode> {
    this.#entries++;
    if (stat.type === "file") return this.#file(directory, directoryPath, name, stat);
    const node = reading(this.#source, joinPath(directoryPath, name), () => withoutContent(directory, name, stat));
    return { node, stat };
  }

  /** The node of an open directory. */
  readDirectory(directory: DirectoryHandle, path: TreePath, stat: Stat): RawNode {
    this.#entries++;
    const xattrs = reading(this.#source, path, () => directory.xattrs());
    return { type: "directory", ...metadata(stat, xattrs) };
  }

  /**
   * Reports, and lets timers and signals have their turn: reading itself never leaves the thread.
   *
   * @throws the signal's reason once it is aborted
   */
  async turn(): Promise<void> {
    this.#bytesAtTurn = this.#bytes;
    this.#options.onProgress?.({ entries: this.#entries, bytes: this.#bytes });
    await setImmediate();
    this.#options.signal?.throwIfAborted();
  }

  async #file(directory: DirectoryHandle, directoryPath: TreePath, name: Name, listed: Stat): Promise<ReadNode> {
    const path = joinPath(directoryPath, name);
    let stat = listed;
    for (let tries = 1; ; tries++) {
      if (stat.type !== "file") throw unsteady(this.#source, path, "changed");
      const known = stat.size === 0 ? undefined : this.#options.known?.find(stat);
      const readAtMs = Date.now();
      // A change of these would have moved the ctime.
      const xattrs = known?.isPlain === true ? [] : reading(this.#source, path, () => directory.xattrs(name));
      if (known !== undefined) {
        this.#bytes += stat.size;
        return { node: { type: "file", ...metadata(stat, xattrs), content: known.content }, stat };
      }
      const content = await this.#content(directory, name, path, stat);
      if (content !== undefined && stat.size > 0)
        this.#options.known?.add(stat, { content, isPlain: xattrs.length === 0 }, readAtMs);
      if (content !== undefined) return { node: { type: "file", ...metadata(stat, xattrs), content }, stat };
      if (tries === MAX_TRIES) throw unsteady(this.#source, path, "changed");
      stat = reading(this.#source, path, () => directory.stat(name));
    }
  }

  /** @returns undefined if the file is no more what `stat` says; then the writer holds nothing of it */
  async #content(directory: DirectoryHandle, name: Name, path: TreePath, stat: Stat): Promise<Content | undefined> {
    if (stat.size === 0) return this.#writer.end();
    const fd = reading(this.#source, path, () => directory.openRead(name));
    try {
      const whole = await this.#copy(fd, stat.size);
      const content = this.#writer.end();
      return whole && isSame(stat, statFd(fd)) ? content : undefined;
    } finally {
      closeSync(fd);
    }
  }

  /** @returns false if the file ends before `size` */
  async #copy(fd: number, size: number): Promise<boolean> {
    let at = 0;
    for (const { offset, length } of dataSegments(fd, size)) {
      if (offset > at) this.#writer.hole(offset - at);
      at = offset;
      for (const end = offset + length; at < end;) {
        const count = readSync(fd, this.#buffer, 0, Math.min(BUFFER_BYTES, end - at), at);
        if (count === 0) return false;
        const written = this.#writer.write(this.#buffer.subarray(0, count));
        if (written !== undefined) await written;
        at += count;
        this.#bytes += count;
        if (this.#bytes - this.#bytesAtTurn > TURN_BYTES) await this.turn();
      }
    }
    if (at < size) this.#writer.hole(size - at);
    return true;
  }
}

const BUFFER_BYTES = 256 * 1024;
const TURN_BYTES = 32 * 1024 * 1024;
const MAX_TRIES = 3;

function withoutContent(directory: DirectoryHandle, name: Name, stat: Stat): RawNode {
  const shared = metadata(stat, directory.xattrs(name));
  switch (stat.type) {
    case "symlink":
      return { type: "symlink", ...shared, target: directory.readLink(name) };
    case "character":
    case "block":
      return { type: stat.type, ...shared, major: stat.rdevMajor, minor: stat.rdevMinor };
    case "fifo":
    case "socket":
      return { type: stat.type, ...shared };
    case "file":
    case "directory":
      throw new Error(`read a ${stat.type} as if it were none`);
  }
}

function metadata(stat: Stat, xattrs: readonly Xattr[]): Metadata {
  const { mode, uid, gid, mtimeSec, mtimeNsec } = stat;
  return { mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
}

/** ctime tells of every change, of metadata and xattrs too; what a replaced file's says does not matter. */
function isSame(a: Stat, b: Stat): boolean {
  return (
    a.ino === b.ino &&
    a.device === b.device &&
    a.size === b.size &&
    a.mtimeSec === b.mtimeSec &&
    a.mtimeNsec === b.mtimeNsec &&
    a.ctimeSec === b.ctimeSec &&
    a.ctimeNsec === b.ctimeNsec
  );
}
