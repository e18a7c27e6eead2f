import { randomInt } from "node:crypto";
import type { PathLike } from "node:fs";
import { encodeName, pathBytes } from "./arguments.ts";
import type { NameEncoding } from "./arguments.ts";
import type { RemoveOptions } from "./face-types.ts";
import { fileError, systemError } from "./file-error.ts";
import { Pending } from "./pending.ts";
import type { ViewCore } from "./view-core.ts";
import { displayPath } from "./view-core.ts";
import type { Writes } from "./writes.ts";

/**
 * mkdir with `recursive`, step by step as node:fs does it: what is a directory already is none of its errors.
 *
 * @returns the first directory that was made, cut from the path as it was given
 */
export async function makeDirectories(
  core: ViewCore,
  writes: Writes,
  path: PathLike,
  mode: number,
): Promise<string | undefined> {
  const left = [pathBytes(path)];
  let first: string | undefined;
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const here = Buffer.from(at, "latin1");
    try {
      await writes.mkdir(here, mode);
      first ??= here.toString();
    } catch (error) {
      const code = codeOf(error);
      const above = at.slice(0, Math.max(at.lastIndexOf("/"), 0));
      if (code === "ENOENT" && above !== "") {
        left.push(at, above);
        continue;
      }
      if (code === undefined || ["EACCES", "ENOSPC", "ENOTDIR", "EPERM", "EROFS"].includes(code)) throw error;
      const found = core.find(here, true, "mkdir");
      if (typeof found !== "string" && found.isDirectory) continue;
      // It is on the way to a directory, or the directory itself.
      const last = typeof found === "string" ? found : "EEXIST";
      throw fileError(code === "EEXIST" && left.length > 0 ? "ENOTDIR" : last, "mkdir", displayPath(here));
    }
  }
  return first;
}

/** mkdtemp(3) with six letters and digits after `prefix`. */
export async function makeTemporary(
  writes: Writes,
  prefix: PathLike,
  encoding: NameEncoding,
): Promise<string | Buffer> {
  const start = pathBytes(prefix);
  while (true) {
    const path = start + Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
    try {
      await writes.mkdir(Buffer.from(path, "latin1"), 0o700);
      return encodeName(path, encoding);
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      const text = Buffer.from(path, "latin1").toString();
      if (code !== "EEXIST") throw fileError(code, "mkdtemp", text, { cause: error });
    }
  }
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/** As `fs.rm`. */
export async function removeTree(
  core: ViewCore,
  writes: Writes,
  path: PathLike,
  { recursive = false, force = false }: RemoveOptions,
): Promise<void> {
  const found = core.find(path, false, "lstat");
  if (found === "ENOENT" && force) return;
  if (typeof found === "string") throw fileError(found, "lstat", displayPath(path));
  if (!found.isDirectory) return unlessMissing(writes.unlink(path));
  if (!recursive)
    throw systemError("ERR_FS_EISDIR", "Path is a directory", {
      code: "EISDIR",
      message: "is a directory",
      path: displayPath(path),
      syscall: "rm",
    });
  try {
    // First, since what cannot be removed for its name's sake (a last ".", the root) must not be emptied before.
    await writes.rmdir(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    if (codeOf(error) !== "ENOTEMPTY") throw error;
    const removals = new Pending();
    await removeBelow(core, writes, pathBytes(path), removals);
    await removals.settle();
    await unlessMissing(writes.rmdir(path));
  }
}

async function removeBelow(core: ViewCore, writes: Writes, path: string, removals: Pending): Promise<void> {
  const directory = Buffer.from(path, "latin1");
  if (typeof core.find(directory, true, "scandir") === "string") return;
  const entry = core.directory(directory, "scandir");
  for (const [name, below] of core.entries(entry, "scandir", directory)) {
    const child = `${path}/${name}`;
    if (below.isDirectory) {
      await removeBelow(core, writes, child, removals);
      await removals.add(unlessMissing(writes.rmdir(Buffer.from(child, "latin1"))));
    } else {
      await removals.add(unlessMissing(writes.unlink(Buffer.from(child, "latin1"))));
    }
  }
}

/** As node:fs: what is gone need not be removed. */
async function unlessMissing(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
