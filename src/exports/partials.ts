import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { errnoOf } from "../errors.ts";
import { DirectoryHandle } from "../sys/directory-handle.ts";
import { syncPath } from "../sys/durable.ts";
import { randomBytes } from "../sys/random.ts";

/** What is on its way into being in a directory of the user's. */
export interface Unfinished extends Disposable {
  /** Where it is made: a hidden name that nothing has. */
  readonly path: string;
}

/**
 * Has a new file or directory come into being at a hidden name, from where it is moved to its place. What is there when this is
 * disposed goes; after a kill or a power cut `sweepPartials` sees to that.
 *
 * @param registry the store's directory of symlinks to them, one each
 */
export function beginPartial(registry: string, directory: string): Unfinished {
  const id = randomBytes(8).toString("hex");
  const path = `${directory}/${PREFIX}${id}`;
  const registration = `${registry}/${id}`;
  // Before there is anything that could be lost sight of.
  const isRegistered = register(registry, registration, path);
  return { path, [Symbol.dispose]: () => (isRegistered ? remove(registration) : removePartial(path)) };
}

/** @returns false where the store cannot be written to: whoever rescues what is in it does without */
function register(registry: string, registration: string, path: string): boolean {
  try {
    // Not with its parents, which are there: of those node:fs says ENOENT whatever is the matter.
    if (!existsSync(registry)) mkdirSync(registry, { mode: 0o700 });
    symlinkSync(path, registration);
    syncPath(registry);
    return true;
  } catch (error) {
    if (!["ENOSPC", "EDQUOT", "EROFS", "EIO"].includes(errnoOf(error) ?? "")) throw error;
    rmSync(registration, { force: true });
    return false;
  }
}

export interface StuckPartial {
  readonly registration: string;
  readonly error: unknown;
}

/** Removes what killed processes have left. Nobody may be making such now. One that cannot be removed does not stop the others. */
export function sweepPartials(registry: string): StuckPartial[] {
  const stuck: StuckPartial[] = [];
  for (const id of namesIn(registry)) {
    const registration = `${registry}/${id}`;
    try {
      // A filesystem that is not mounted now may be so at the next try.
      if (isThere(dirname(readlinkSync(registration)))) remove(registration);
    } catch (error) {
      stuck.push({ registration, error });
    }
  }
  return stuck;
}

const PREFIX = ".delta0-";
/** Whatever a registration says, nothing by another name is removed. */
const PARTIAL = /^\.delta0-[0-9a-f]{16}$/;

function remove(registration: string): void {
  const path = readlinkSync(registration);
  if (!PARTIAL.test(basename(path))) throw new Error(`${registration} leads to ${path}`);
  removePartial(path);
  unlinkSync(registration);
}

function removePartial(path: string): void {
  if (!isThere(path)) return;
  using parent = DirectoryHandle.open(dirname(path));
  parent.removeTree(basename(path));
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
