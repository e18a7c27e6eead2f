import { errnoOf, PosixError, StoreError } from "../errors.ts";
import { displayName } from "../model/name.ts";
import type { TreePath } from "../model/name.ts";

/** Says which entry of the tree it was; calls on an open file do not know. */
export function withPath(error: unknown, path: TreePath): unknown {
  const code = errnoOf(error);
  if (code === undefined) return error;
  const { syscall } = error as { syscall: string };
  const shown = displayName(path);
  if (code === "ENOSPC" || code === "EDQUOT")
    return new StoreError("NO_SPACE", { action: `writing ${shown}` }, { cause: error });
  return new PosixError(code, syscall, shown, { cause: error });
}
