import { statfsSync } from "node:fs";
import { roomAt, StoreError } from "../errors.ts";
import { requireSize } from "../model/size.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { gc } from "./gc.ts";
import { storeBytes } from "./store-bytes.ts";

/**
 * To be asked before much is put into a store.
 *
 * @throws {StoreError} NO_SPACE if the filesystem is nearly full, or the store has reached its limit and a collection does not help
 */
export async function requireRoom(context: Context): Promise<void> {
  const { store } = context;
  requireFree(store, LEAST_FREE_BYTES);
  const limit = store.settings.find("limit");
  if (limit === undefined || storeBytes(store) < requireSize(limit)) return;
  await gc(context);
  const bytes = storeBytes(store);
  if (bytes < requireSize(limit)) return;
  throw new StoreError("NO_SPACE", {
    action: `writing to a store that takes ${mebibytes(bytes)} of its limit of ${limit}`,
    hint: "remove something, then delta0 gc --grace 0; or raise it: delta0 config limit SIZE",
  });
}

/**
 * To be called while much is put into a store: it looks now and then. How much of a source the store does not have yet nobody knows before
 * it is read, so that nothing can be refused before; but it ends while there is room left for the store to go on.
 *
 * @throws {StoreError} NO_SPACE
 */
export function roomWatch({ store }: Context): () => void {
  let seen = store.chunks.stats().newStoredBytes;
  return () => {
    const put = store.chunks.stats().newStoredBytes;
    if (put - seen < BYTES_BETWEEN_LOOKS) return;
    seen = put;
    requireFree(store, LEAST_FREE_BYTES + UNDER_WAY_BYTES);
  };
}

function requireFree({ paths: { directory } }: Store, bytes: number): void {
  const { bavail, bsize, files, ffree } = statfsSync(directory);
  // btrfs has no number of inodes.
  if (bavail * bsize >= bytes && (files === 0 || ffree >= LEAST_FREE_INODES)) return;
  throw new StoreError("NO_SPACE", {
    action: `writing to ${directory}, whose filesystem has ${roomAt(directory)} free`,
    hint: `${mebibytes(bytes)} and ${LEAST_FREE_INODES} inodes must stay free; remove something, then delta0 gc`,
  });
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}

/** What LevelDB needs to open again after its disk was full: two tables of chunks. */
const LEAST_FREE_BYTES = 8 << 20;
const LEAST_FREE_INODES = 32;
const BYTES_BETWEEN_LOOKS = 2 << 20;
/** What is put and not on disk yet, and what LevelDB writes twice. */
const UNDER_WAY_BYTES = 16 << 20;
