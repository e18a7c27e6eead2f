import { asStoreError, errnoOf, isStoreError, StoreError } from "../errors.ts";
import { openDatabase } from "./database.ts";
import type { Database, DatabaseOptions } from "./database.ts";
import { Shadow } from "./shadow.ts";

/** A database that is open, and if that is not at its own place: where, and why. */
export interface Opened {
  readonly db: Database;
  readonly shadow?: Shadow | undefined;
  readonly refusal?: Error | undefined;
}

/** As `openDatabase`; reads what cannot be written to. */
export async function openOrLook(path: string, options: DatabaseOptions): Promise<Opened> {
  try {
    return { db: await openDatabase(path, options) };
  } catch (error) {
    const isRefused =
      isStoreError(error, "NO_SPACE") || isStoreError(error, "NOT_PERMITTED") || errnoOf(error) === "EIO";
    if (options.create || !isRefused) throw error;
    const opened = await look(path, options.writeBufferBytes).catch(() => {
      throw error;
    });
    return { ...opened, refusal: asError(asWritingError(error, path)) };
  }
}

/** Opens what is at `path` without writing there. */
export async function look(
  path: string,
  writeBufferBytes: number,
): Promise<{ readonly db: Database; readonly shadow: Shadow }> {
  const shadow = Shadow.make(path);
  try {
    return { db: await openDatabase(shadow.path, { create: false, writeBufferBytes }), shadow };
  } catch (error) {
    shadow[Symbol.dispose]();
    throw error;
  }
}

/** As `asStoreError`, with what can be done. */
export function asWritingError(error: unknown, path: string): unknown {
  const known = isStoreError(error, "NO_SPACE") ? error : asStoreError(error, `writing ${path}`);
  if (!isStoreError(known, "NO_SPACE") || known.hint?.includes(MAKE_ROOM) === true) return known;
  const hint = `${known.hint ?? "the disk is full"}; ${MAKE_ROOM}`;
  return new StoreError("NO_SPACE", { action: `writing ${path}`, hint }, { cause: error });
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("no error", { cause: error });
}

export const MAKE_ROOM = "delta0 rm --now NAME and delta0 gc make some";
