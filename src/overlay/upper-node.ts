import { constants } from "node:fs";
import type { StoreError } from "../errors.ts";
import type { UpperRecord } from "../format/upper.ts";
import type { Name, TreePath } from "../model/name.ts";
import { EMPTY_LISTING } from "../model/node.ts";
import type { Content, Node } from "../model/node.ts";
import { Blocks } from "./blocks.ts";
import { deviceNumber, Entry, FORMATS } from "./entry.ts";
import type { Attributes } from "./entry.ts";
import type { LowerEntry } from "./lower-entry.ts";

/** An inode of an upper: new, or copied up. Handles hold it, whatever becomes of its names. */
export class UpperNode extends Entry {
  /** Of what was copied up its number in the base; of what is new above 2^40. */
  readonly ino: number;
  /** Where it stands in the base, of a group the first path; undefined if it is new. */
  readonly origin: TreePath | undefined;
  readonly body: UpperBody;
  readonly #format: number;
  permissions: number;
  attributes: Attributes;
  /** Names that show. Of a directory 1 while it has its name. */
  links: number;

  constructor(
    ino: number,
    origin: TreePath | undefined,
    body: UpperBody,
    permissions: number,
    attributes: Attributes,
    links: number,
  ) {
    super();
    this.ino = ino;
    this.origin = origin;
    this.body = body;
    this.#format = FORMATS[body.type];
    this.permissions = permissions;
    this.attributes = attributes;
    this.links = links;
  }

  get mode(): number {
    return this.#format | this.permissions;
  }

  override get format(): number {
    return this.#format;
  }

  get size(): number {
    const { body } = this;
    if (body.type === "file") return body.size;
    if (body.type === "symlink") return body.target.length;
    return "major" in body ? deviceNumber(body.major, body.minor) : 0;
  }

  get target(): string {
    return this.body.type === "symlink" ? this.body.target : "";
  }

  get isHole(): boolean {
    const { body } = this;
    if (body.type !== "file" || body.dirty.size > 0) return false;
    return body.shown === 0 || (body.content.root === null && body.content.sparse);
  }

  /** What the tree has of it. */
  node(content?: Content): Node {
    const { body, permissions: mode, attributes } = this;
    const { uid, gid, mtimeSec, mtimeNsec, xattrs } = attributes;
    const metadata = { linked: false as const, mode, uid, gid, mtimeSec, mtimeNsec, xattrs };
    switch (body.type) {
      case "file":
        return { type: body.type, ...metadata, content: content ?? body.content };
      case "directory":
        return { type: body.type, ...metadata, listing: EMPTY_LISTING };
      case "symlink":
        return { type: body.type, ...metadata, target: body.target };
      case "character":
      case "block":
        return { type: body.type, ...metadata, major: body.major, minor: body.minor };
      case "fifo":
      case "socket":
        return { type: body.type, ...metadata };
    }
  }

  record(): UpperRecord {
    const { body } = this;
    const { size, shown } = body.type === "file" ? body : { size: 0, shown: 0 };
    const parts = body.type === "file" ? body.dirty.size : body.type === "directory" ? body.entries.size : 0;
    return { node: this.node(), links: this.links, origin: this.origin ?? null, size, shown, parts };
  }

  static of(ino: number, record: UpperRecord, lower: LowerEntry | undefined): UpperNode {
    const { node, links, origin, size, shown } = record;
    const { mode, uid, gid, mtimeSec, mtimeNsec, xattrs } = node;
    const attributes = { uid, gid, mtimeSec, mtimeNsec, xattrs };
    const body = bodyOf(node, lower);
    if (body.type === "file") Object.assign(body, { size, shown });
    return new UpperNode(ino, origin ?? undefined, body, mode, attributes, links);
  }
}

export type UpperBody =
  | FileBody
  | DirectoryBody
  | { readonly type: "symlink"; readonly target: string }
  | { readonly type: "character" | "block"; readonly major: number; readonly minor: number }
  | { readonly type: "fifo" | "socket" };

/** A regular file: a content as it was, and the blocks of 128 KiB that were changed since. */
export interface FileBody {
  readonly type: "file";
  content: Content;
  /** Bytes of `content` that still show where no block says otherwise. What lies beyond, up to `size`, is a hole. */
  shown: number;
  size: number;
  readonly dirty: Blocks;
}

export interface DirectoryBody {
  readonly type: "directory";
  /** The base's directory that it merges with; undefined: none, it is opaque. */
  readonly lower: LowerEntry | undefined;
  /** What is not as `lower` has it; null is a whiteout. */
  readonly entries: Map<Name, UpperNode | DamagedNode | null>;
  /** Why some of the entries are not there. Those that are can be looked up, but neither listed nor changed. */
  damage: StoreError | undefined;
  /** `entries` in byte order, if they were asked for since they last changed. */
  sorted: readonly (readonly [Name, UpperNode | DamagedNode | null])[] | undefined;
}

export function fileBody(content: Content): FileBody {
  return { type: "file", content, shown: content.size, size: content.size, dirty: new Blocks() };
}

export function directoryBody(lower: LowerEntry | undefined): DirectoryBody {
  return { type: "directory", lower, entries: new Map(), damage: undefined, sorted: undefined };
}

export function bodyOf(node: Node, lower: LowerEntry | undefined): UpperBody {
  switch (node.type) {
    case "file":
      return fileBody(node.content);
    case "directory":
      return directoryBody(lower);
    case "symlink":
      return { type: node.type, target: node.target };
    case "character":
    case "block":
      return { type: node.type, major: node.major, minor: node.minor };
    case "fifo":
    case "socket":
      return { type: node.type };
  }
}

/** Stands for a node whose record cannot be read: it has a name, and whatever is asked of it fails. */
export class DamagedNode extends Entry {
  readonly ino: number;
  readonly error: StoreError;

  constructor(ino: number, error: StoreError) {
    super();
    this.ino = ino;
    this.error = error;
  }

  /** Listings go on: its type is unknown. */
  override get format(): number {
    return 0;
  }
  /** Whether paths lead through it is not known. */
  override get isDirectory(): boolean {
    throw this.error;
  }
  get mode(): number {
    throw this.error;
  }
  get attributes(): Attributes {
    throw this.error;
  }
  get size(): number {
    throw this.error;
  }
  get target(): string {
    throw this.error;
  }
  get isHole(): boolean {
    throw this.error;
  }
}

/** Numbers of new nodes begin here, above all that a base can have. */
export const FIRST_NEW_INO: number = 2 ** 40;

/** The type bits that mknod(2) takes. */
export const MKNOD_TYPES: Readonly<Record<number, "file" | "fifo" | "socket" | "character" | "block">> = {
  0: "file",
  [constants.S_IFREG]: "file",
  [constants.S_IFIFO]: "fifo",
  [constants.S_IFSOCK]: "socket",
  [constants.S_IFCHR]: "character",
  [constants.S_IFBLK]: "block",
};
