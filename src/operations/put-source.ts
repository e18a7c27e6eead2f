import { lstatSync, statSync } from "node:fs";
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

/** @throws {StoreError} NOT_FOUND, NOT_PERMITTED */
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
    return (follow ? statSync : lstatSync)(path).isDirectory();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoOf(error) ?? ""))
      throw new StoreError("NOT_FOUND", { what: `no such file: ${path}` }, { cause: error });
    throw asStoreError(error, `reading ${path}`);
  }
}

/** @throws {StoreError} USAGE if two of them have one name */
export function refuseTwice(sources: readonly PutSource[]): void {
  const names = sources.flatMap(({ name }) => name ?? []);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new StoreError("USAGE", { reason: `two of the files are named "${displayName(twice)}"` });
}
