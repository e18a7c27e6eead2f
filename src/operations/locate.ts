import { StoreError } from "../errors.ts";
import { byteStringOf } from "../model/name.ts";
import type { LowerEntry } from "../overlay/lower-entry.ts";
import type { LowerTree } from "../overlay/lower-tree.ts";
import { Resolver } from "../overlay/resolver.ts";
import type { Errno } from "../overlay/resolver.ts";
import type { Context } from "./context.ts";
import { settledRef } from "./settle.ts";

/** What a `REF:/path` leads to. */
export interface Located {
  readonly ref: string;
  readonly names: LowerTree;
  readonly entry: LowerEntry;
}

/**
 * Looks `REF:/path` up as a process in a container on the ref would.
 *
 * @param follow a symlink in the last place too
 * @throws {StoreError} USAGE for what is no `REF:/path`, NOT_FOUND for a path that leads nowhere
 */
export async function locate(context: Context, text: string, follow: boolean): Promise<Located> {
  const { ref, path } = parseFileRef(text);
  const { tree } = await settledRef(context, ref);
  const names = context.store.lowers.get(tree);
  const entry = new Resolver(names).resolveBytes(byteStringOf(path), follow);
  if (typeof entry !== "string") return { ref, names, entry };
  throw new StoreError("NOT_FOUND", { what: `${text}: ${REASONS[entry]}` });
}

/** `REF:/path`, taken apart. A ref has no colon but that of `blake3:`. @throws {StoreError} USAGE for what is none */
export function parseFileRef(text: string): { readonly ref: string; readonly path: string } {
  const [, ref, path] = /^((?:blake3:)?[^:/]+):(\/.*)$/s.exec(text) ?? [];
  if (ref === undefined || path === undefined)
    throw new StoreError("USAGE", {
      reason: `"${text}" names no file in a ref`,
      hint: "write REF:/path, as base:/etc/os-release",
    });
  return { ref, path };
}

/** Why a path leads nowhere, for people. */
export const REASONS: Readonly<Record<Errno, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "something above it is no directory",
  ELOOP: "its symlinks lead in a circle",
  EACCES: "something above it may not be searched",
  ENAMETOOLONG: "a name in it, or all of it, is too long",
};
