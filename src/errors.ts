import { statfsSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";

/**
 * What each failure carries. The keys are the stable codes listed in docs/errors.md; a code is never reused.
 * `hint` says what the user can do about it, where there is something to do.
 */
export interface StoreErrorDetails {
  USAGE: { reason: string; hint?: string };
  NOT_FOUND: { what: string; hint?: string };
  EXISTS: { what: string; hint?: string };
  REFUSED: { reason: string; hint?: string };
  STORE_MISSING: { directory: string };
  RESULT_LOST: { command: string };
  STORE_LOCKED: { directory: string; owner?: string; waitedSeconds: number };
  FORMAT_INVALID: { record: string; reason: string; hint?: string };
  FORMAT_NEWER: { record: string; version: number; supported: number };
  CHUNK_MISSING: { digest: string };
  CHUNK_CORRUPT: { digest: string; actual: string };
  NODE_MISSING: { digest: string };
  NODE_CORRUPT: { digest: string; actual: string };
  SOURCE_INVALID: { source: string; reason: string; hint?: string };
  NOT_PERMITTED: { action: string; hint?: string };
  NO_SPACE: { action: string; hint?: string };
  LOSSES: { losses: readonly string[] };
  PROGRAM_FAILED: { program: string; reason: string; hint?: string };
  UNSUPPORTED: { what: string; hint?: string };
}
export type StoreErrorCode = keyof StoreErrorDetails;

/** A failure that a caller may want to branch on. Broken invariants of our own are plain `Error`s. */
export class StoreError<C extends StoreErrorCode = StoreErrorCode> extends Error {
  override readonly name = "StoreError";
  readonly code: C;
  readonly details: StoreErrorDetails[C];

  constructor(code: C, details: StoreErrorDetails[C], options?: ErrorOptions) {
    super(describe(code, details), options);
    this.code = code;
    this.details = details;
  }

  /** What the user can do, if the place that failed knew. */
  get hint(): string | undefined {
    return "hint" in this.details ? this.details.hint : undefined;
  }
}

/** Narrows `error` to one code: `if (isStoreError(e, "CHUNK_MISSING")) use(e.details.digest)`. */
export function isStoreError<C extends StoreErrorCode>(error: unknown, code: C): error is StoreError<C> {
  return error instanceof StoreError && error.code === code;
}

type Describers = { readonly [C in StoreErrorCode]: (details: StoreErrorDetails[C]) => string };

const describers: Describers = {
  USAGE: (d) => d.reason,
  NOT_FOUND: (d) => d.what,
  EXISTS: (d) => d.what,
  REFUSED: (d) => d.reason,
  STORE_MISSING: (d) => `no store at ${d.directory}`,
  RESULT_LOST: (d) =>
    `"${d.command}" is done, but the process that did it was killed before it could say what came of it`,
  STORE_LOCKED: (d) => `store in use${d.owner ? ` by ${d.owner}` : ""}; waited ${d.waitedSeconds} s`,
  FORMAT_INVALID: (d) => `${d.record}: ${d.reason}`,
  FORMAT_NEWER: (d) => `${d.record} has format ${d.version}; this delta0 reads up to ${d.supported}`,
  CHUNK_MISSING: (d) => `chunk ${d.digest} is missing`,
  CHUNK_CORRUPT: (d) => `chunk ${d.digest} is damaged (its bytes hash to ${d.actual})`,
  NODE_MISSING: (d) => `node ${d.digest} is missing`,
  NODE_CORRUPT: (d) => `node ${d.digest} is damaged (its bytes hash to ${d.actual})`,
  SOURCE_INVALID: (d) => `${d.source}: ${d.reason}`,
  NOT_PERMITTED: (d) => `${d.action}: not permitted`,
  NO_SPACE: (d) => `${d.action}: no space left`,
  LOSSES: (d) => `done, but ${d.losses.length} things could not be kept`,
  PROGRAM_FAILED: (d) => `${d.program}: ${d.reason}`,
  UNSUPPORTED: (d) => d.what,
};

function describe<C extends StoreErrorCode>(code: C, details: StoreErrorDetails[C]): string {
  return describers[code](details);
}

/**
 * A failed system call, shaped as Node's own system errors: `code` is the errno name, `errno` its negative number,
 * `path` for display.
 */
export class PosixError extends Error {
  override readonly name = "PosixError";
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(code: string, syscall: string, path?: string, options?: ErrorOptions) {
    super(path === undefined ? `${code}: ${syscall}` : `${code}: ${syscall} '${path}'`, options);
    this.code = code;
    this.errno = -((constants.errno as Readonly<Record<string, number>>)[code] ?? 0);
    this.syscall = syscall;
    this.path = path;
  }
}

/** The errno name of a failed system call, ours or Node's; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/**
 * What to throw for a failed system call where a caller may ask for NO_SPACE and NOT_PERMITTED, whoever's call it was;
 * any other error is itself.
 *
 * @param action what could not be done, such as "making containers"
 */
export function asStoreError(error: unknown, action: string): unknown {
  switch (errnoOf(error)) {
    case "ENOSPC":
      return new StoreError("NO_SPACE", { action, ...roomHint(error) }, { cause: error });
    case "EDQUOT":
      return new StoreError("NO_SPACE", { action, hint: "the disk quota is used up" }, { cause: error });
    case "EFBIG":
      return new StoreError("NO_SPACE", { action, hint: "no file may get as large: ulimit -f" }, { cause: error });
    case "EROFS":
      return new StoreError("NOT_PERMITTED", { action, hint: "the filesystem is read-only" }, { cause: error });
    case "EACCES":
    case "EPERM":
      return new StoreError("NOT_PERMITTED", { action, hint: "run as root, or as the owner" }, { cause: error });
    default:
      return error;
  }
}

function roomHint(error: unknown): { hint?: string } {
  const path = error instanceof Error && "path" in error ? error.path : undefined;
  if (typeof path !== "string" || !path.startsWith("/")) return {};
  return { hint: `its filesystem has ${roomAt(path)} free` };
}

/** What is free on the filesystem of a path, or of the place where it would be: "1.5 MiB", "12 MiB, but no inodes". */
export function roomAt(path: string): string {
  for (let place = path; ; place = dirname(place))
    try {
      const { bavail, bsize, files, ffree } = statfsSync(place);
      const mebibytes = (bavail * bsize) / 2 ** 20;
      const text = `${mebibytes.toFixed(mebibytes < 10 ? 1 : 0)} MiB`;
      // btrfs has no number of inodes.
      return files > 0 && ffree === 0 ? `${text}, but no inodes` : text;
    } catch (failure) {
      if (place === "/" || place === ".") throw failure;
    }
}
