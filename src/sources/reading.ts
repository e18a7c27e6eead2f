import { errnoOf, StoreError } from "../errors.ts";
import { displayName, ROOT, type TreePath } from "../model/name.ts";

/** How messages name what is at `path` of the source directory. */
export function shownPath(source: string, path: TreePath): string {
  return path === ROOT ? source : `${source === "/" ? "" : source}/${displayName(path)}`;
}

/**
 * Makes system calls on what is at `path` of the source directory.
 *
 * @throws {StoreError} SOURCE_INVALID if it is gone or has become something else, NOT_PERMITTED
 */
export function reading<T>(source: string, path: TreePath, calls: () => T): T {
  try {
    return calls();
  } catch (error) {
    const code = errnoOf(error) ?? "";
    if (code === "ENOENT") throw unsteady(source, path, "vanished", error);
    if (CHANGED.has(code)) throw unsteady(source, path, "changed", error);
    if (code === "EACCES" || code === "EPERM") throw notPermitted(shownPath(source, path), error);
    throw error;
  }
}

/** The error for a source that somebody writes to. */
export function unsteady(
  source: string,
  path: TreePath,
  what: "vanished" | "changed",
  cause?: unknown,
): StoreError<"SOURCE_INVALID"> {
  return new StoreError(
    "SOURCE_INVALID",
    {
      source: shownPath(source, path),
      reason: `${what} while it was read`,
      hint: "stop what writes to it, or leave it out",
    },
    { cause },
  );
}

export function notPermitted(what: string, cause?: unknown): StoreError<"NOT_PERMITTED"> {
  return new StoreError("NOT_PERMITTED", { action: `reading ${what}`, hint: "run as root" }, { cause });
}

/** What calls say of a name that stands for another type of node by now, or of a directory that was moved. */
const CHANGED: ReadonlySet<string> = new Set(["ENOTDIR", "EISDIR", "ELOOP", "EINVAL", "ENXIO", "ESTALE"]);
