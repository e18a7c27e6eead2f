import { lstatSync, readdirSync, realpathSync, renameSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { beginPartial } from "../exports/partials.ts";
import { syncPath } from "../sys/durable.ts";
import { isDirectory } from "../sys/is-directory.ts";
import { isMountPoint } from "../sys/mounts.ts";
import type { Store } from "../store.ts";

/** What is made: a directory, which may take the place of an empty one, or a file, which takes nothing's place. */
export type PlaceKind = "directory" | "file";

/**
 * Makes `target` by way of a hidden name beside it, so that it is in place only once it is complete.
 *
 * @param make makes it at the path it gets, and safe from a power cut
 * @throws {StoreError} EXISTS, NOT_FOUND, REFUSED, NOT_PERMITTED, NO_SPACE; whatever `make` throws. Then nothing is left of it
 */
export async function makeInPlace<T>(
  store: Store,
  target: string,
  kind: PlaceKind,
  make: (path: string) => Promise<T>,
): Promise<T> {
  const action = `writing ${target}`;
  try {
    const place = findPlace(store, target, kind);
    using partial = beginPartial(store.paths.partials, dirname(place));
    const made = await make(partial.path);
    renameSync(partial.path, place);
    syncPath(dirname(place));
    return made;
  } catch (error) {
    throw asStoreError(error, action);
  }
}

/** Where `target` is made, without symlinks in its path. All that could stop it in the end is found now. */
function findPlace(store: Store, target: string, kind: PlaceKind): string {
  const directory = parentOf(target);
  const place = `${directory === "/" ? "" : directory}/${basename(resolve(target))}`;
  if (`${place}/`.startsWith(`${store.paths.directory}/`))
    throw new StoreError("REFUSED", { reason: `${target} is inside the store`, hint: "name a place outside of it" });
  const found = lstatSync(place, { throwIfNoEntry: false });
  if (found === undefined) return place;
  if (kind === "file") throw new StoreError("EXISTS", { what: `${target} exists`, hint: "name a new file" });
  if (!isDirectory(place) || readdirSync(place).length > 0)
    throw new StoreError("EXISTS", { what: `${target} exists and is not empty`, hint: "name a new directory" });
  if (isMountPoint(place))
    throw new StoreError("REFUSED", {
      reason: `${target} is where a filesystem is mounted, and cannot be replaced`,
      hint: `name a new directory in it, as ${target}/rootfs`,
    });
  // Through a symlink, the empty directory that it leads to.
  return found.isSymbolicLink() ? findPlace(store, realpathSync(place), kind) : place;
}

function parentOf(target: string): string {
  const parent = dirname(resolve(target));
  try {
    const real = realpathSync(parent);
    if (isDirectory(real)) return real;
  } catch (error) {
    if (!["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) throw error;
  }
  throw new StoreError("NOT_FOUND", { what: `no directory ${parent}`, hint: "make it first" });
}
