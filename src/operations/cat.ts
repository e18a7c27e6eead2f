import { StoreError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import type { Content } from "../model/node.ts";
import type { Context } from "./context.ts";
import { locate } from "./locate.ts";

export interface CatParams {
  /** Each `REF:/path`. */
  readonly files: readonly string[];
}

/**
 * Gives the bytes of files to `Context.output`, one after the other, each chunk verified. Symlinks are followed inside
 * the tree. Nothing is given out unless all files are there.
 *
 * @throws {StoreError} USAGE for what is no `REF:/path`, NOT_FOUND for a missing or directory path
 */
export async function cat(context: Context, { files }: CatParams): Promise<{ readonly bytes: number }> {
  const contents: Content[] = [];
  for (const file of files) contents.push(await findContent(context, file));
  let total = 0;
  for (const content of contents) {
    for (const piece of context.store.content.pieces(content)) {
      context.signal?.throwIfAborted();
      if (typeof piece === "number") for (const zeros of zeroPieces(piece)) await context.output?.(zeros);
      else await context.output?.(piece);
    }
    total += content.size;
  }
  return { bytes: total };
}

async function findContent(context: Context, text: string): Promise<Content> {
  const { ref, names, entry } = await locate(context, text, true);
  if (entry.isFile) return entry.content;
  const { type } = names.node(entry);
  throw new StoreError("NOT_FOUND", { what: `${ref}:${displayName(entry.path) || "/"} is a ${type}, not a file` });
}

function* zeroPieces(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length) yield left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS;
}

const ZEROS = new Uint8Array(1 << 20);
