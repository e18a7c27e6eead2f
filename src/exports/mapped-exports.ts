import { chmodSync, chownSync, lstatSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { asStoreError } from "../errors.ts";
import { rootOf } from "../model/id-map.ts";
import type { IdMap } from "../model/id-map.ts";
import type { StorePaths } from "../store-paths.ts";
import { makeDirectories } from "../sys/make-directories.ts";

/**
 * Makes the directory for the exports of one id map, and lets the root of containers with that map get to it.
 *
 * He is an ordinary user of the host. So all others may pass the store's directory from now on, and `mapped` in it; but they can
 * list neither, all else in the store is closed to them, and the directory of a map is open to the group of its root alone: nobody
 * else runs the set-id programs in there.
 *
 * @param directory below `paths.privateMapped`
 * @throws {StoreError} NOT_PERMITTED
 */
export function openMappedExports(paths: StorePaths, directory: string, idMap: IdMap): void {
  const { directory: store, mapped, privateMapped } = paths;
  try {
    if ((lstatSync(store).mode & PASSED_BY_ALL) !== PASSED_BY_ALL) {
      for (const name of readdirSync(store)) if (name !== basename(mapped)) closeToOthers(`${store}/${name}`);
      chmodSync(store, 0o711);
    }
    makeDirectory(privateMapped, 0o711);
    makeDirectory(directory, 0o710);
    chownSync(directory, 0, rootOf(idMap).gid);
  } catch (error) {
    throw asStoreError(error, `making ${directory}`);
  }
}

const PASSED_BY_ALL = 0o011;

function makeDirectory(path: string, mode: number): void {
  makeDirectories(path);
  chmodSync(path, mode);
}

function closeToOthers(path: string): void {
  const stat = lstatSync(path);
  if (!stat.isSymbolicLink() && (stat.mode & 0o077) !== 0) chmodSync(path, stat.mode & 0o7700);
}
