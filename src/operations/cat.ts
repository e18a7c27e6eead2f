import { PosixError, StoreError } from "../errors.ts";
import { byteStringOf, displayName } from "../model/name.ts";
import { lookupPath } from "../trees/path-lookup.ts";
import type { Found } from "../trees/path-lookup.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

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
  const found: Found[] = [];
  for (const file of files) found.push(await findFile(context, file));
  let total = 0;
  for (const { node } of found) {
    if (node.type !== "file") continue;
    for (const piece of context.store.content.pieces(node.content)) {
      context.signal?.throwIfAborted();
      if (typeof piece === "number") for (const zeros of zeroPieces(piece)) await context.output?.(zeros);
      else await context.output?.(piece);
    }
    total += node.content.size;
  }
  return { bytes: total };
}

/** `REF:/path`, taken apart. A ref has no colon but that of `blake3:`. */
function parseFileRef(text: string): { readonly ref: string; readonly path: string } {
  const [, ref, path] = /^((?:blake3:)?[^:/]+):(\/.*)$/s.exec(text) ?? [];
  if (ref === undefined || path === undefined)
    throw new StoreError("USAGE", {
      reason: `"${text}" names no file in a ref`,
      hint: "write REF:/path, as base:/etc/os-release",
    });
  return { ref, path };
}

async function findFile(context: Context, text: string): Promise<Found> {
  const { ref, path } = parseFileRef(text);
  const { tree } = await settledRef(context, ref);
  const { trees } = context.store;
  try {
    const found = lookupPath(trees, trees.tree(tree), byteStringOf(path));
    if (found.node.type === "file") return found;
    throw new StoreError("NOT_FOUND", {
      what: `${ref}:/${displayName(found.path)} is a ${found.node.type}, not a file`,
    });
  } catch (error) {
    if (!(error instanceof PosixError)) throw error;
    throw new StoreError("NOT_FOUND", { what: `${text}: ${REASONS[error.code] ?? error.code}` }, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "something above it is no directory",
  ELOOP: "its symlinks lead in a circle",
};

function* zeroPieces(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length) yield left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS;
}

const ZEROS = new Uint8Array(1 << 20);
