import { readdirSync, statSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import type { Store } from "../store.ts";

/** What the store's own files take: its databases. */
export function storeBytes({ paths }: Store): number {
  return [paths.chunks, paths.meta, paths.uppers, `${paths.uppers}.pieces`].reduce(
    (sum, path) => sum + bytesIn(path),
    0,
  );
}

function bytesIn(directory: string): number {
  const sizeOf = (name: string): number => unlessGone(() => statSync(`${directory}/${name}`).blocks * 512) ?? 0;
  return (unlessGone(() => readdirSync(directory)) ?? []).reduce((sum, name) => sum + sizeOf(name), 0);
}

/** LevelDB removes files while one looks, and uppers may never have been needed. */
function unlessGone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
