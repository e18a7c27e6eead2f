import { lstatSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { byteStringOf } from "../model/name.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncFilesystem } from "../sys/durable.ts";
import { upperIsMounted } from "../sys/mounts.ts";
import { makeDirectories } from "../sys/make-directories.ts";
import { workDirectoryOf } from "./rootfs-path.ts";

/**
 * The upper of a container as a directory on disk, wherever its config has it. What lies beside it tells its state:
 *
 * - `work`: overlayfs made it at a mount, so the upper may hold changes that no capture has read;
 * - `capturing`: the same, renamed by a capture. Until that is finished, the changes count as not captured;
 * - `….new`: an upper being made, or an old one being removed: nobody's, removed by the next call that needs the name.
 */

/** True if something mounted `upper` since the last capture that was finished. */
export function isUncaptured(upper: string): boolean {
  return isDirectory(workDirectoryOf(upper)) || isDirectory(`${dirname(upper)}/${CAPTURING}`);
}

/** True for one that holds no changes at all, as somebody may have put there by hand. */
export function isEmptyUpper(upper: string): boolean {
  return readdirSync(upper).length === 0;
}

/**
 * Gets ready to read the changes in `upper`. Whoever reads them asks `captureIsWhole` afterwards, stores what was
 * read, and then calls `finishCapture`.
 *
 * @returns false if there is nothing to capture
 * @throws {StoreError} REFUSED while the upper is mounted, UNSUPPORTED as `refuseHiddenLinks`
 */
export function beginCapture(upper: string): boolean {
  if (!isUncaptured(upper)) return false;
  requireUnmounted(upper);
  const { parent } = placesOf(upper);
  if (isDirectory(`${parent}/${WORK}`)) {
    // Without its index the next mount would show these files as they are in the lower.
    refuseHiddenLinks(upper);
    using handle = DirectoryHandle.open(parent);
    // Of an earlier capture that was not finished.
    removeIfThere(handle, CAPTURING);
    handle.rename(WORK, handle, CAPTURING);
    if (upperIsMounted(upper)) {
      // Between the question and the rename. The mount goes on with its directory under any name.
      if (!isDirectory(`${parent}/${WORK}`)) handle.rename(CAPTURING, handle, WORK);
      requireUnmounted(upper);
    }
  }
  // What is read from memory is to be on disk, too: it counts as captured then, and the next start mounts what is there.
  syncFilesystem(parent);
  return true;
}

/** True if nothing mounted `upper` since `beginCapture`; else what was read may be a mix of two states. */
export function captureIsWhole(upper: string): boolean {
  const { parent } = placesOf(upper);
  return isDirectory(`${parent}/${CAPTURING}`) && !isDirectory(`${parent}/${WORK}`) && !upperIsMounted(upper);
}

/** Says that what was captured is stored for good. Does nothing to changes made by a start since then. */
export function finishCapture(upper: string): void {
  using handle = DirectoryHandle.open(placesOf(upper).parent);
  removeIfThere(handle, CAPTURING);
  handle.sync();
}

/**
 * A mount with index=on keeps a lower hard link that was changed in the work directory beside `upper`. Under names that did
 * not take part it is there alone: the upper does not tell all.
 * Source: Linux, Documentation/filesystems/overlayfs.rst, "Inode properties"; fs/overlayfs/util.c, ovl_get_index_name.
 *
 * @throws {StoreError} UNSUPPORTED if there are such
 */
export function refuseHiddenLinks(upper: string): void {
  for (const work of [WORK, CAPTURING]) {
    const index = `${dirname(upper)}/${work}/index`;
    if (!isDirectory(index) || !readdirSync(index, { withFileTypes: true }).some((entry) => entry.isFile())) continue;
    throw new StoreError("UNSUPPORTED", {
      what: `${upper} was mounted with index=on: hard links that were changed are in ${index}, where it cannot tell their names`,
      hint: "copy what you need out of a mount; then use index=off (lxc.rootfs.options = index=off)",
    });
  }
}

/**
 * Puts another directory in the place of `upper`, whether that is there or not, in one step and durably. `make` gets
 * the path at which it makes it, and nothing is there then. If it fails, the old one stays.
 *
 * @throws {StoreError} REFUSED while the upper is mounted, and if something other than a directory is there
 */
export async function replaceUpper(upper: string, make: (path: string) => void | Promise<void>): Promise<void> {
  await prepareUpper(upper, make);
  usePreparedUpper(upper);
}

/** The first half of `replaceUpper`: the new one is whole and durable beside `upper`. Nothing of it is left if that fails. */
export async function prepareUpper(upper: string, make: (path: string) => void | Promise<void>): Promise<void> {
  requireUnmounted(upper);
  requireNoFile(upper);
  const { parent, spare } = placesOf(upper);
  makeDirectories(parent);
  using handle = DirectoryHandle.open(parent);
  removeIfThere(handle, spare);
  try {
    await make(`${upper}${SPARE_SUFFIX}`);
    syncFilesystem(parent);
  } catch (error) {
    removeIfThere(handle, spare);
    throw error;
  }
}

/** The second half of `replaceUpper`. @throws {StoreError} REFUSED while the upper is mounted */
export function usePreparedUpper(upper: string): void {
  requireUnmounted(upper);
  const { parent, name, spare } = placesOf(upper);
  using handle = DirectoryHandle.open(parent);
  handle.rename(spare, handle, name, { exchange: isDirectory(upper) });
  handle.sync();
  removeIfThere(handle, spare);
}

/** Of a change that was never made: what was prepared for it goes. */
export function dropPreparedUpper(upper: string): void {
  const { parent, spare } = placesOf(upper);
  if (!isDirectory(`${upper}${SPARE_SUFFIX}`)) return;
  using handle = DirectoryHandle.open(parent);
  removeIfThere(handle, spare);
}

/**
 * Removes `upper`; at no time a part of it is in its place. Durable.
 *
 * @throws {StoreError} REFUSED while it is mounted
 */
export function removeUpper(upper: string): void {
  if (!isDirectory(upper)) return;
  requireUnmounted(upper);
  const { parent, name, spare } = placesOf(upper);
  using handle = DirectoryHandle.open(parent);
  removeIfThere(handle, spare);
  handle.rename(name, handle, spare);
  handle.sync();
  removeIfThere(handle, spare);
}

const WORK = "work";
const CAPTURING = "capturing";
const SPARE_SUFFIX = ".new";

/** @returns `parent` as a host path, the others as byte strings */
function placesOf(upper: string): { parent: string; name: string; spare: string } {
  const name = byteStringOf(basename(upper));
  return { parent: dirname(upper), name, spare: name + SPARE_SUFFIX };
}

function requireUnmounted(upper: string): void {
  if (!upperIsMounted(upper)) return;
  throw new StoreError("REFUSED", { reason: `${upper} is mounted`, hint: "stop the container that uses it" });
}

/** Nobody but the user knows what that is. */
function requireNoFile(upper: string): void {
  if (lstatSync(upper, { throwIfNoEntry: false })?.isDirectory() ?? true) return;
  throw new StoreError("REFUSED", { reason: `${upper} is no directory`, hint: "move it away" });
}

function removeIfThere(directory: DirectoryHandle, name: string): void {
  if (directory.list().some((child) => child === name)) directory.removeTree(name);
}

/** Of `path` itself: a symlink to a directory is none. */
export function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
