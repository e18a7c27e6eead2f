import { statfsSync } from "node:fs";
import { StoreError } from "../errors.ts";
import { requireSize } from "../model/size.ts";
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
  const { bavail, bsize } = statfsSync(store.paths.directory);
  if (bavail * bsize < LEAST_FREE_BYTES)
    throw new StoreError("NO_SPACE", {
      action: `writing to ${store.paths.directory}, which has ${mebibytes(bavail * bsize)} free`,
      hint: `${mebibytes(LEAST_FREE_BYTES)} are needed to begin; remove something, then delta0 gc`,
    });
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

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}

/** What LevelDB needs to open again after its disk was full: two tables of chunks. */
const LEAST_FREE_BYTES = 8 << 20;
