import { asStoreError, errnoOf, StoreError } from "../errors.ts";
import type { StoreErrorCode } from "../errors.ts";
import { REASONS } from "./locate.ts";

/** What a view's call on `REF:/path` failed with, for those who know commands. Other errors are themselves. */
export function fileFailure(error: unknown, { ref, path }: { readonly ref: string; readonly path: string }): unknown {
  const code = errnoOf(error);
  if (code === undefined) return error;
  const { cause } = error as Error;
  if (cause instanceof StoreError) return cause;
  const [kind, reason] = FAILURES[code] ?? [];
  if (kind === undefined || reason === undefined) return asStoreError(error, `changing ${ref}:${path}`);
  return failure(kind, `${ref}:${path}: ${reason}`, { cause: error });
}

/** The same failure, where it was of one of several files: it says what has become of the others. */
export function nothingChanged(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  const { code, message, hint } = error as StoreError;
  const isKnown = code === "NOT_FOUND" || code === "EXISTS" || code === "REFUSED" || code === "USAGE";
  return isKnown ? failure(code, `${message}; nothing was changed`, { cause: error }, hint) : error;
}

function failure(kind: FailureKind, message: string, options: ErrorOptions, hint?: string): StoreError {
  const more = hint === undefined ? {} : { hint };
  if (kind === "NOT_FOUND" || kind === "EXISTS") return new StoreError(kind, { what: message, ...more }, options);
  return new StoreError(kind, { reason: message, ...more }, options);
}

type FailureKind = Extract<StoreErrorCode, "NOT_FOUND" | "EXISTS" | "REFUSED" | "USAGE">;

const FAILURES: Readonly<Record<string, readonly [FailureKind, string]>> = {
  ENOENT: ["NOT_FOUND", REASONS.ENOENT],
  ENOTDIR: ["NOT_FOUND", REASONS.ENOTDIR],
  ELOOP: ["NOT_FOUND", REASONS.ELOOP],
  ENAMETOOLONG: ["NOT_FOUND", REASONS.ENAMETOOLONG],
  ENODATA: ["NOT_FOUND", "it has no such attribute"],
  EEXIST: ["EXISTS", "exists"],
  ENOTEMPTY: ["EXISTS", "is a directory that is not empty"],
  EISDIR: ["REFUSED", "is a directory"],
  EBUSY: ["REFUSED", "is the root, which stays"],
  EINVAL: ["USAGE", "that cannot be done there"],
  EPERM: ["USAGE", "that cannot be done to such a file"],
  ENOTSUP: ["USAGE", "no such attribute can be set on it"],
  ERANGE: ["USAGE", "no attribute has such a name"],
  E2BIG: ["USAGE", "the value is too large"],
  ENXIO: ["USAGE", "is no file with bytes"],
};
