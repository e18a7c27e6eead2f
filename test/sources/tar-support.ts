import type { RawNode } from "../../src/model/change.ts";
import { joinPath, ROOT, type TreePath } from "../../src/model/name.ts";
import { tarChanges } from "../../src/sources/tar.ts";
import { MemoryContent } from "../support/memory-content.ts";

export interface HeaderFields {
  /** A byte string, as are all names here. */
  readonly name: string;
  readonly type?: string;
  /** Of what follows; `entry` fills it in. */
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly linkName?: string;
  readonly dialect?: "v7" | "ustar" | "gnu" | "star";
  readonly prefix?: string;
  readonly major?: number;
  readonly minor?: number;
  /** Bytes that stand at these places whatever the fields say; the check sum fits them. */
  readonly raw?: Readonly<Record<number, string>>;
  readonly checksum?: "signed" | "unsigned" | "wrong";
}

/** A header block as GNU tar lays it out. */
export function header(fields: HeaderFields): Buffer {
  const { type = "0", size = 0, mode = 0o644, uid = 0, gid = 0, mtime = 0, linkName = "", dialect = "ustar" } = fields;
  const block = Buffer.alloc(512);
  const text = (at: number, value: string) => block.write(value, at, "latin1");
  text(0, fields.name.slice(0, 100));
  for (const [at, length, value] of [
    [100, 8, mode],
    [108, 8, uid],
    [116, 8, gid],
    [124, 12, size],
    [136, 12, mtime],
  ] as const) {
    numberField(length, value).copy(block, at);
  }
  text(156, type);
  text(157, linkName.slice(0, 100));
  if (dialect !== "v7") text(257, dialect === "gnu" ? "ustar  \0" : "ustar\x0000");
  if (dialect === "star") text(508, "tar\0");
  if (fields.major !== undefined) numberField(8, fields.major).copy(block, 329);
  if (fields.minor !== undefined) numberField(8, fields.minor).copy(block, 337);
  text(345, fields.prefix ?? "");
  for (const [at, bytes] of Object.entries(fields.raw ?? {})) text(Number(at), bytes);
  return withChecksum(block, fields.checksum);
}

export function withChecksum(block: Buffer, how: NonNullable<HeaderFields["checksum"]> = "unsigned"): Buffer {
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + (how === "signed" && byte > 127 ? byte - 256 : byte), 0);
  block.write(`${(sum + (how === "wrong" ? 1 : 0)).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** Octal where it fits, else base 256. */
export function numberField(length: number, value: number): Buffer {
  const field = Buffer.alloc(length);
  if (value >= 0 && value < 8 ** (length - 1)) {
    field.write(value.toString(8).padStart(length - 1, "0"), "latin1");
    return field;
  }
  let rest = BigInt(value);
  for (let i = length - 1; i >= 0; i--, rest >>= 8n) field[i] = Number(rest & 0xffn);
  field[0] = value < 0 ? 0xff : 0x80;
  return field;
}

export function entry(fields: HeaderFields, data: Uint8Array | string = ""): Buffer {
  const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
  return Buffer.concat([header({ size: bytes.length, ...fields }), padded(bytes)]);
}

/** An extended header; values are byte strings or bytes. */
export function pax(records: readonly (readonly [string, string | Uint8Array])[], type = "x"): Buffer {
  const lines = records.map(([keyword, value]) => {
    const bytes = typeof value === "string" ? Buffer.from(value, "latin1") : value;
    const rest = keyword.length + bytes.length + 3;
    let length = rest + String(rest).length;
    length = rest + String(length).length;
    return Buffer.concat([Buffer.from(`${length} ${keyword}=`, "latin1"), bytes, Buffer.from("\n")]);
  });
  return entry({ name: "PaxHeaders/x", type }, Buffer.concat(lines));
}

/** GNU tar's way to say a long name ("L") or link name ("K"). */
export function longName(type: "L" | "K", name: string): Buffer {
  return entry({ name: "././@LongLink", type, dialect: "gnu" }, `${name}\0`);
}

export function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export const END: Buffer = Buffer.alloc(1024);

export function archive(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, END]);
}

export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    // As a source may: a buffer that is overwritten once the next piece is asked for.
    const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
    yield piece;
    piece.fill(0xee);
  }
}

/** A tree as a plain fold over changes gives it. Names of one file have one and the same node object. */
export interface ReadTree {
  readonly nodes: ReadonlyMap<TreePath, RawNode>;
  readonly contents: MemoryContent;
}

export async function readTar(bytes: Uint8Array, pieceBytes: number = 1 << 20): Promise<ReadTree> {
  return await readStream(inPieces(bytes, pieceBytes));
}

export async function readStream(stream: AsyncIterable<Uint8Array>): Promise<ReadTree> {
  const nodes = new Map<TreePath, RawNode>();
  const contents = new MemoryContent();
  for await (const batch of tarChanges(stream, contents.writer(), { source: "x.tar" })) {
    for (const change of batch) {
      if (change.kind === "put") {
        if (change.node.type !== "directory") removeBelow(nodes, change.path);
        nodes.set(change.path, change.node);
      } else if (change.kind === "link") {
        const node = nodes.get(change.target);
        if (node === undefined) throw new Error(`a link to "${change.target}", which is not there`);
        nodes.set(change.path, node);
      } else {
        throw new Error(`a tar has no ${change.kind}`);
      }
    }
  }
  return { nodes, contents };
}

/** The node that a test's archive must have at `path`. */
export function nodeAt<T extends RawNode["type"]>(
  { nodes }: ReadTree,
  path: TreePath,
  type: T,
): Extract<RawNode, { type: T }> {
  const node = nodes.get(path);
  if (node?.type !== type)
    throw new Error(`"${path}" is ${node?.type ?? "missing"}, not ${type}: ${[...nodes.keys()].join()}`);
  return node as Extract<RawNode, { type: T }>;
}

/** The bytes of a file, as a byte string. */
export function textAt(tree: ReadTree, path: TreePath): string {
  const { content } = nodeAt(tree, path, "file");
  if ("base" in content) throw new Error("a tar has no base");
  return tree.contents.bytes(content).toString("latin1");
}

export function xattrsOf(node: RawNode): Record<string, string> {
  return Object.fromEntries(node.xattrs.map(({ name, value }) => [name, Buffer.from(value).toString("latin1")]));
}

function removeBelow(nodes: Map<TreePath, RawNode>, path: TreePath): void {
  if (path === ROOT) return;
  for (const other of nodes.keys()) if (other.startsWith(joinPath(path, ""))) nodes.delete(other);
}
