import { closeSync, constants, lstatSync, openSync, readSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import { byteStringOf, displayName } from "../model/name.ts";
import type { Name } from "../model/name.ts";

/** Something of this host that goes into a container. */
export interface PutSource {
  /** What it is called there; undefined if a directory's content goes alone. */
  readonly name: Name | undefined;
  readonly isDirectory: boolean;
  /** What is read: the directory itself, or what is called `name` in it. */
  readonly directory: string;
  readonly isWhole: boolean;
}

/** @throws {StoreError} NOT_FOUND, NOT_PERMITTED; USAGE for a file that does not say how long it is */
export function chooseSource(text: string): PutSource {
  const path = resolve(text);
  const isContent = path === "/" || /(^|\/)\.{1,2}\/*$/.test(text);
  const isWhole = isContent || text.endsWith("/");
  const isDirectory = look(text, isWhole);
  if (isWhole && !isDirectory) throw new StoreError("NOT_FOUND", { what: `no directory "${text}"` });
  return {
    name: isContent ? undefined : (byteStringOf(basename(path)) as Name),
    isDirectory,
    directory: isWhole ? path : dirname(path),
    isWhole,
  };
}

function look(path: string, follow: boolean): boolean {
  try {
    const stats = (follow ? statSync : lstatSync)(path);
    if (stats.isFile() && stats.size === 0) refuseUnknownSize(path);
    return stats.isDirectory();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? ""))
      throw new StoreError("NOT_FOUND", { what: `no such file: ${path}` }, { cause: error });
    throw asStoreError(error, `reading ${path}`);
  }
}

/** Files of /proc and its like say that they are empty: by their size they would be read as that. proc(5) */
function refuseUnknownSize(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (readSync(fd, Buffer.alloc(1)) === 0) return;
  } finally {
    closeSync(fd);
  }
  throw new StoreError("USAGE", {
    reason: `${path} does not say how long it is`,
    hint: "give it on standard input: - in its place, with < and its name",
  });
}

/** @throws {StoreError} USAGE if two of them have one name */
export function refuseTwice(sources: readonly PutSource[]): void {
  const names = sources.flatMap(({ name }) => name ?? []);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new StoreError("USAGE", { reason: `two of the files are named "${displayName(twice)}"` });
}
