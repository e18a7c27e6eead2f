import { ACCESS_ACL, completeAcl, modeUnderAcl } from "../format/acl.ts";
import type { ContentWriter, RawChange } from "../model/change.ts";
import { byteString, displayName, ROOT, type TreePath } from "../model/name.ts";
import type { Content, Metadata } from "../model/node.ts";
import {
  checkSparseMap,
  paxSparseFormat,
  SparseMapBlocks,
  type SparseMap,
  SparseMapText,
  sparseMapOfRecords,
  sparseSize,
} from "./gnu-sparse.ts";
import { blockKind, TAR_BLOCK_BYTES, TarHeader } from "./tar-header.ts";
import { TarInput } from "./tar-input.ts";
import { MalformedTar } from "./tar-malformed.ts";
import { treePath } from "./tar-path.ts";
import { MAX_PAX_BYTES, PaxRecords } from "./tar-pax.ts";

export interface TarOptions {
  /** What errors call the archive. */
  readonly source: string;
  readonly signal?: AbortSignal;
  /** Called for each batch, and while a large file is read; `bytes` of file data so far. */
  readonly onProgress?: (progress: { readonly entries: number; readonly bytes: number }) => void;
}

/**
 * What a tar says, in its order: v7, ustar, GNU, pax and star archives, with ACLs, xattrs and sparse maps in all forms
 * that GNU tar, bsdtar and star write. Owners are the numbers, names of owners are not looked at. Names begin at the
 * root of the tree, absolute or not. A hard link's own metadata is that of its target, and its data, if it has any.
 * Sockets do not occur: no tar has a type for them.
 *
 * Reads up to the stream's end, so that a stream whose check sum stands there proves itself, and closes it in any case.
 * Memory: one piece of the stream, and extended headers up to 8 MiB. Files go to `writer` piece by piece.
 *
 * @throws {StoreError} SOURCE_INVALID if it is no tar, ends within an entry, is damaged, or has a name with ".."
 */
export async function* tarChanges(
  stream: AsyncIterable<Uint8Array>,
  writer: ContentWriter,
  { source, signal, onProgress }: TarOptions,
): AsyncGenerator<readonly RawChange[], void, undefined> {
  let entries = 0;
  const input = new TarInput(stream, source, (bytes) => {
    signal?.throwIfAborted();
    onProgress?.({ entries, bytes });
  });
  const reader = new TarReader(input, writer);
  try {
    for (let last = false; !last;) {
      const batch: RawChange[] = [];
      for (let bytes = 0; !last && batch.length < BATCH_CHANGES && bytes < BATCH_BYTES;) {
        const change = await reader.next();
        if (change === undefined) last = true;
        else batch.push(change);
        if (change?.kind === "put") bytes = change.node.xattrs.reduce((sum, { value }) => sum + value.length, bytes);
      }
      entries += batch.length;
      input.pause();
      if (batch.length > 0) yield batch;
    }
  } finally {
    await input.close();
  }
}

class TarReader {
  readonly #input: TarInput;
  readonly #writer: ContentWriter;
  readonly #globals = new PaxRecords();
  #isPax = false;
  // What was said about the next entry.
  #pax = new PaxRecords(this.#globals);
  #longName: string | undefined;
  #longLink: string | undefined;

  constructor(input: TarInput, writer: ContentWriter) {
    this.#input = input;
    this.#writer = writer;
  }

  /** @returns undefined at the end of the archive, which then is read to the end of its stream */
  async next(): Promise<RawChange | undefined> {
    try {
      while (true) {
        this.#input.inside = A_HEADER;
        const header = await this.#header();
        if (header === undefined) {
          await this.#input.drain();
          return undefined;
        }
        if (await this.#isAboutOthers(header)) continue;
        const change = await this.#entry(header);
        this.#pax = new PaxRecords(this.#globals);
        this.#longName = this.#longLink = undefined;
        return change;
      }
    } catch (error) {
      if (!(error instanceof MalformedTar)) throw error;
      const { inside, position } = this.#input;
      throw this.#input.invalid(`${inside} ${error.message} (before byte ${position})`, { cause: error });
    }
  }

  /** @returns undefined at the end: a block of zeros, or no more bytes */
  async #header(): Promise<TarHeader | undefined> {
    const at = this.#input.position;
    const block = await this.#input.blockOrEnd();
    if (block.length === 0 && at === 0) throw this.#input.invalid("is empty");
    const kind = block.length < TAR_BLOCK_BYTES ? "short" : blockKind(block);
    if (kind === "header") return new TarHeader(block);
    if (at === 0 && kind !== "zeros")
      throw this.#input.invalid("is no tar", { hint: "a tar may be plain, or packed by gzip, bzip2, xz or zstd" });
    if (kind === "other") throw this.#input.invalid(`is damaged at byte ${at}, where a header should be`);
    // One block of zeros is enough, and so is none, for GNU tar and for bsdtar.
    const announced = !this.#pax.isEmpty || this.#longName !== undefined || this.#longLink !== undefined;
    if (announced || (kind === "short" && block.length > 0)) throw this.#input.endsInside();
    return undefined;
  }

  /** Takes in what a header says about other entries. @returns false if it is an entry itself */
  async #isAboutOthers(header: TarHeader): Promise<boolean> {
    switch (header.type) {
      case "x":
      case "X": // of Sun, before POSIX
        this.#isPax = true;
        this.#pax.add(await this.#input.data(header.size, MAX_PAX_BYTES));
        return true;
      case "g":
        this.#isPax = true;
        this.#globals.add(await this.#input.data(header.size, MAX_PAX_BYTES));
        return true;
      case "L":
        this.#longName = untilNul(await this.#input.data(header.size, MAX_NAME_BYTES));
        return true;
      case "K":
        this.#longLink = untilNul(await this.#input.data(header.size, MAX_NAME_BYTES));
        return true;
      case "V":
        await this.#input.skipData(header.size);
        return true;
      default:
        return false;
    }
  }

  async #entry(header: TarHeader): Promise<RawChange> {
    const pax = this.#pax;
    const name = pax.text("GNU.sparse.name") ?? pax.text("path") ?? this.#longName ?? header.name;
    this.#input.inside = name === "" ? "an entry" : displayName(name.slice(0, SHOWN_NAME_BYTES));
    if (name === "") throw new MalformedTar("has no name");
    const path = treePath(name);
    const { type } = header;
    const storedBytes = pax.number("size") ?? header.size;
    if (!Number.isSafeInteger(storedBytes) || storedBytes < 0) throw new MalformedTar("has a size that cannot be");
    switch (type) {
      case "1":
        return await this.#hardLink(header, path, storedBytes);
      case "2": {
        const target = pax.text("linkpath") ?? this.#longLink ?? header.linkName;
        if (target === "" || target.length > MAX_TARGET_BYTES || target.includes("\0"))
          throw new MalformedTar("is a symlink whose target cannot be");
        // Linux has no other mode for them; writers differ.
        const node = { type: "symlink", ...this.#metadata(header, "none"), mode: 0o777, target } as const;
        return this.#put(path, node);
      }
      case "3":
      case "4": {
        const major = inRange(pax.number("SCHILY.devmajor") ?? header.major, "device number");
        const minor = inRange(pax.number("SCHILY.devminor") ?? header.minor, "device number");
        const kind = type === "3" ? "character" : "block";
        return this.#put(path, { type: kind, ...this.#metadata(header, "access"), major, minor });
      }
      case "5":
        return this.#put(path, { type: "directory", ...this.#metadata(header, "access and default") });
      case "6":
        return this.#put(path, { type: "fifo", ...this.#metadata(header, "access") });
      case "D": {
        const metadata = this.#metadata(header, "access and default");
        await this.#input.skipData(storedBytes); // the names that were in it
        return this.#put(path, { type: "directory", ...metadata });
      }
      case "M":
        throw new MalformedTar("is the rest of a file that another volume begins");
      default:
        return await this.#file(header, path, name, storedBytes);
    }
  }

  async #file(header: TarHeader, path: TreePath, name: string, storedBytes: number): Promise<RawChange> {
    // So did tar write directories before it had a type for them.
    if (name.endsWith("/") && "0\0".includes(header.type)) {
      const metadata = this.#metadata(header, "access and default");
      await this.#input.skipData(storedBytes);
      return this.#put(path, { type: "directory", ...metadata });
    }
    const metadata = this.#metadata(header, "access");
    const content = await this.#content(header, storedBytes);
    return this.#put(path, { type: "file", ...metadata, content });
  }

  #put(path: TreePath, node: (RawChange & { kind: "put" })["node"]): RawChange {
    if (path === ROOT && node.type !== "directory") throw new MalformedTar("is the root, but no directory");
    return { kind: "put", path, node };
  }

  async #hardLink(header: TarHeader, path: TreePath, storedBytes: number): Promise<RawChange> {
    const target = treePath(this.#pax.text("linkpath") ?? this.#longLink ?? header.linkName);
    if (path === ROOT || target === ROOT) throw new MalformedTar("is a hard link of or to the root");
    // The data, where there is any, is the target's once more.
    if (storedBytes > 0 && (await this.#linkHasData(header.dialect))) await this.#input.skipData(storedBytes);
    return { kind: "link", path, target };
  }

  /**
   * Before pax a hard link had no data, whatever its size said, and since then it may. So in a ustar archive that has
   * shown no pax header yet, what follows decides. Source: libarchive, archive_read_support_format_tar.c, header_common.
   */
  async #linkHasData(dialect: TarHeader["dialect"]): Promise<boolean> {
    if (dialect === "v7" || dialect === "gnu") return false;
    if (this.#isPax) return true;
    const next = await this.#input.peekBlock();
    return next.length === TAR_BLOCK_BYTES && blockKind(next) === "other";
  }

  #metadata(header: TarHeader, acls: "access" | "access and default" | "none"): Metadata {
    const pax = this.#pax;
    const { sec, nsec } = pax.time("mtime") ?? { sec: header.mtime, nsec: 0 };
    if (!Number.isSafeInteger(sec)) throw new MalformedTar("has a time that is out of range");
    const xattrs = pax.xattrs(acls);
    const value = xattrs.find(({ name }) => name === ACCESS_ACL)?.value;
    const acl = value && completeAcl(value);
    return {
      // bsdtar writes the group's own permissions there, where a file that has an ACL shows its mask.
      mode: acl === undefined ? header.mode : modeUnderAcl(acl, header.mode),
      uid: inRange(pax.number("uid") ?? header.uid, "owner"),
      gid: inRange(pax.number("gid") ?? header.gid, "group"),
      mtimeSec: sec,
      mtimeNsec: nsec,
      xattrs,
    };
  }

  async #content(header: TarHeader, storedBytes: number): Promise<Content> {
    const { map, dataBytes } = await this.#sparseMap(header, storedBytes);
    if (map === undefined) {
      await this.#input.copy(dataBytes, this.#writer);
    } else {
      checkSparseMap(map, dataBytes);
      let end = 0;
      for (let i = 0; i < map.pairs.length; i += 2) {
        const [offset, length] = [map.pairs[i]!, map.pairs[i + 1]!];
        if (offset > end) this.#writer.hole(offset - end);
        await this.#input.copy(length, this.#writer);
        end = offset + length;
      }
      if (map.sizeBytes > end) this.#writer.hole(map.sizeBytes - end);
    }
    await this.#input.skipPadding(dataBytes);
    return this.#writer.end();
  }

  async #sparseMap(
    header: TarHeader,
    storedBytes: number,
  ): Promise<{ readonly map: SparseMap | undefined; readonly dataBytes: number }> {
    const pax = this.#pax;
    if (header.type === "S") {
      const map = new SparseMapBlocks(header);
      while (map.goesOn) map.add(await this.#input.block());
      const sizeBytes = pax.number("SCHILY.realsize") ?? map.sizeBytes;
      return { map: { sizeBytes, pairs: map.pairs }, dataBytes: storedBytes };
    }
    switch (paxSparseFormat(pax)) {
      case "none":
        return { map: undefined, dataBytes: storedBytes };
      case "in records":
        return { map: sparseMapOfRecords(pax), dataBytes: storedBytes };
      case "in data": {
        const map = new SparseMapText();
        let left = storedBytes;
        for (let complete = false; !complete; left -= TAR_BLOCK_BYTES) {
          if (left < TAR_BLOCK_BYTES) throw new MalformedTar("has a sparse map that is longer than its data");
          complete = map.add(await this.#input.block());
        }
        return { map: { sizeBytes: sparseSize(pax), pairs: map.pairs }, dataBytes: left };
      }
    }
  }
}

function untilNul(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0);
  const text = byteString(end < 0 ? bytes : bytes.subarray(0, end));
  return text === "" ? undefined : text;
}

function inRange(value: number, what: string): number {
  if (!(value >= 0 && value <= 2 ** 32 - 1)) throw new MalformedTar(`has a ${what} that is out of range`);
  return value;
}

const A_HEADER = "a header";
const BATCH_CHANGES = 128;
/** Of extended attributes: of a few that are global each entry has a copy. */
const BATCH_BYTES = 1 << 20;
const MAX_NAME_BYTES = 1 << 20;
/** Of a name in messages. */
const SHOWN_NAME_BYTES = 1024;
const MAX_TARGET_BYTES = 4095;
