import type { Change, ContentReader } from "../model/change.ts";
import { ROOT } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";
import type { FileNode, Node } from "../model/node.ts";
import { dataRuns } from "./data-runs.ts";
import { charsetRecords, encodePax, overflowRecords, xattrRecords } from "./pax.ts";
import type { PaxRecord } from "./pax.ts";
import { encodeTarHeader, MAX_SHORT_OCTAL, splitTarName, TAR_BLOCK_BYTES } from "./tar-header.ts";
import type { TarHeader, TarType } from "./tar-header.ts";
import { encodeSparseMap, PAUSE, sparseMap } from "./tar-sparse.ts";
import type { Pause, SparseMap } from "./tar-sparse.ts";
import { Turns } from "./turns.ts";
import type { TurnOptions } from "./turns.ts";
import type { LossKind } from "./written.ts";

export interface TarOptions extends TurnOptions {
  /** Called for each node that a tar cannot hold: sockets, and devices that Linux does not have. */
  readonly onLoss?: ((path: TreePath, kind: LossKind) => void) | undefined;
}

/**
 * A whole tree as a tar: ustar headers, with PAX records where these do not do, GNU sparse 1.0 for sparse contents. The
 * same tree always gives the same bytes. GNU tar restores all of it, with `--xattrs --xattrs-include='*'`.
 *
 * Pieces are borrowed until the next step, of 1 MiB but for the last. A sparse content is read twice.
 *
 * @param changes in canonical order, the root first
 * @throws what `content` throws; the reason of `signal`
 */
export async function* tarStream(
  changes: Iterable<Change>,
  content: ContentReader,
  options: TarOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const turns = new Turns(options);
  for (const piece of new TarWriter(content, turns, options.onLoss).archive(changes)) {
    if (piece !== PAUSE) yield piece;
    if (turns.due) await turns.rest();
  }
}

/** A piece of the tar, borrowed until the next step. */
type Pieces = Generator<Uint8Array | Pause, void, undefined>;

const PIECE_BYTES = 1024 * 1024;
/** GNU tar's default record, to which archives are padded. */
const RECORD_BYTES = 20 * TAR_BLOCK_BYTES;
const ZEROS = Buffer.alloc(64 * 1024);

class TarWriter {
  readonly #content: ContentReader;
  readonly #turns: Turns;
  readonly #onLoss: TarOptions["onLoss"];
  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);
  #buffered = 0;
  #writtenBytes = 0;

  constructor(content: ContentReader, turns: Turns, onLoss: TarOptions["onLoss"]) {
    this.#content = content;
    this.#turns = turns;
    this.#onLoss = onLoss;
  }

  *archive(changes: Iterable<Change>): Pieces {
    for (const { path, after, link } of changes) {
      if (after === undefined) throw new Error(`${path} is removed from nothing`);
      if (path !== ROOT) this.#turns.entries++;
      yield* this.#member(path, after, link?.[0]);
      if (this.#turns.due) yield PAUSE;
    }
    yield* this.#zeros(2 * TAR_BLOCK_BYTES);
    yield* this.#pad(RECORD_BYTES);
    if (this.#buffered > 0) yield this.#buffer.subarray(0, this.#buffered);
  }

  *#member(path: TreePath, node: Node, group: TreePath | undefined): Pieces {
    const type = TYPES[node.type];
    if (type === undefined) {
      this.#onLoss?.(path, "socket");
      return;
    }
    const device = "major" in node ? { major: node.major, minor: node.minor } : undefined;
    if (device !== undefined && Math.max(device.major, device.minor) > MAX_SHORT_OCTAL) {
      this.#onLoss?.(path, "device");
      return;
    }
    const header = { name: nameOf(path, node), type, metadata: node, size: 0, device };
    if (group !== undefined && group !== path) {
      yield* this.#header({ ...header, type: "1", link: `./${group}`, device: undefined }, []);
      return;
    }
    const xattrs = xattrRecords(node.xattrs);
    if (node.type === "file") yield* this.#file(node, header, xattrs);
    else yield* this.#header({ ...header, link: node.type === "symlink" ? node.target : undefined }, xattrs);
  }

  *#header(header: TarHeader, more: readonly PaxRecord[]): Pieces {
    const records = [...overflowRecords(header), ...more];
    yield* this.#bytes(encodePax([...charsetRecords(records), ...records]));
    yield* this.#bytes(encodeTarHeader(header));
  }

  *#file(node: FileNode, header: TarHeader, xattrs: readonly PaxRecord[]): Pieces {
    const { size, sparse } = node.content;
    const map = sparse ? yield* sparseMap(node.content, this.#content, this.#turns) : undefined;
    if (map === undefined) {
      yield* this.#header({ ...header, size }, xattrs);
      yield* this.#dense(node);
    } else {
      const encodedMap = encodeSparseMap(map, size);
      const dataBytes = map.segments.reduce((total, { length }) => total + length, encodedMap.length);
      const records = [
        { key: "GNU.sparse.major", value: "1" },
        { key: "GNU.sparse.minor", value: "0" },
        { key: "GNU.sparse.name", value: header.name },
        { key: "GNU.sparse.realsize", value: `${size}` },
      ];
      yield* this.#header({ ...header, name: sparseName(header.name), size: dataBytes }, [...records, ...xattrs]);
      yield* this.#bytes(encodedMap);
      yield* this.#sparse(node, map);
    }
    yield* this.#pad(TAR_BLOCK_BYTES);
  }

  *#dense({ content }: FileNode): Pieces {
    for (const piece of this.#content.pieces(content)) {
      if (typeof piece === "number") yield* this.#zeros(piece);
      else yield* this.#bytes(piece);
      this.#turns.bytes += typeof piece === "number" ? piece : piece.length;
    }
  }

  *#sparse({ content }: FileNode, { pageBytes }: SparseMap): Pieces {
    let position = 0;
    for (const piece of this.#content.pieces(content)) {
      if (typeof piece !== "number") {
        for (const { offset, length } of dataRuns(piece, position, pageBytes))
          yield* this.#bytes(piece, offset - position, offset - position + length);
      }
      position += typeof piece === "number" ? piece : piece.length;
      if (this.#turns.due) yield PAUSE;
    }
    this.#turns.bytes += position;
  }

  *#zeros(length: number): Pieces {
    for (let at = 0; at < length; at += ZEROS.length) yield* this.#bytes(ZEROS, 0, Math.min(ZEROS.length, length - at));
  }

  *#pad(unit: number): Pieces {
    yield* this.#zeros((unit - (this.#writtenBytes % unit)) % unit);
  }

  /** Small pieces are gathered: each costs its consumer a system call. */
  *#bytes(bytes: Uint8Array, start = 0, end: number = bytes.length): Pieces {
    this.#writtenBytes += end - start;
    while (start < end) {
      const length = Math.min(end - start, PIECE_BYTES - this.#buffered);
      this.#buffer.set(bytes.subarray(start, start + length), this.#buffered);
      start += length;
      this.#buffered += length;
      if (this.#buffered === PIECE_BYTES) {
        yield this.#buffer;
        this.#buffered = 0;
      }
    }
  }
}

const TYPES: Readonly<Record<Node["type"], TarType | undefined>> = {
  file: "0",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
  socket: undefined,
};

function nameOf(path: TreePath, node: Node): string {
  if (path === ROOT) return "./";
  return node.type === "directory" ? `./${path}/` : `./${path}`;
}

/** Under this name those who know no GNU.sparse unpack map and data, and do not take it for the file. */
function sparseName(name: string): string {
  const own = name.replace(/[^/]*$/, "GNUSparseFile.0/$&");
  return splitTarName(own) === undefined ? `./GNUSparseFile.0/${name.slice(-80).replaceAll("/", "_")}` : own;
}
