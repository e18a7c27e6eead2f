import { constants } from "node:fs";
import picomatch from "picomatch";
import { StoreError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import type { NodeType } from "../model/node.ts";
import type { LowerEntry } from "../overlay/lower-entry.ts";
import type { LowerTree } from "../overlay/lower-tree.ts";
import type { Context } from "./context.ts";
import { describePath } from "./describe.ts";
import { locate } from "./locate.ts";

export interface FindParams {
  /** `REF`, or `REF:/path`; a symlink there is followed, below it none is. */
  readonly start: string;
  /** A glob over the last name of paths. */
  readonly name?: string;
  readonly type?: NodeType;
}

export interface FoundItem {
  readonly path: string;
  readonly pathBase64?: string;
  readonly type: NodeType;
  /** Of files. */
  readonly sizeBytes?: number;
}

/** What is at a path and below it, in canonical order. @throws {StoreError} NOT_FOUND, USAGE */
export async function find(context: Context, { start, name, type }: FindParams): Promise<FoundItem[]> {
  if (name === "") throw new StoreError("USAGE", { reason: "an empty glob is the name of nothing" });
  const { names, entry: top } = await locate(context, /^(blake3:)?[^:/]+$/.test(start) ? `${start}:/` : start, true);
  const fits = name === undefined ? undefined : picomatch(name, { dot: true });
  const items: FoundItem[] = [];
  for (const entry of walk(names, top)) {
    context.signal?.throwIfAborted();
    const itsType = TYPES[entry.format];
    if (itsType === undefined || (type !== undefined && itsType !== type)) continue;
    if (fits !== undefined && !fits(displayName(entry.name))) continue;
    items.push({
      ...describePath("path", entry.path === "" ? "/" : entry.path),
      type: itsType,
      ...(entry.isFile && { sizeBytes: entry.size }),
    });
  }
  return items;
}

/** Each directory before what is in it. */
function* walk(names: LowerTree, top: LowerEntry): Generator<LowerEntry> {
  yield top;
  const stack = [entriesOf(names, top)];
  for (let entries = stack.at(-1); entries !== undefined; entries = stack.at(-1)) {
    const step = entries.next();
    if (step.done === true) {
      stack.pop();
      continue;
    }
    yield step.value;
    if (step.value.isDirectory) stack.push(entriesOf(names, step.value));
  }
}

function* entriesOf(names: LowerTree, directory: LowerEntry): Generator<LowerEntry> {
  for (const rows of names.entries(directory)) for (const [, entry] of rows) yield entry;
}

const TYPES: Readonly<Record<number, NodeType>> = {
  [constants.S_IFREG]: "file",
  [constants.S_IFDIR]: "directory",
  [constants.S_IFLNK]: "symlink",
  [constants.S_IFCHR]: "character",
  [constants.S_IFBLK]: "block",
  [constants.S_IFIFO]: "fifo",
  [constants.S_IFSOCK]: "socket",
};
