import { getSystemErrorMap } from "node:util";
import { errnoOf, StoreError } from "../errors.ts";
import type { StoreErrorCode } from "../errors.ts";

/** What went wrong, for people and for programs. */
export interface Failure {
  readonly code: string;
  readonly exit: number;
  readonly message: string;
  readonly hint?: string;
}

/** The reason of an operation's signal when a user or the system ends the command. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly exit: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super("interrupted: nothing half-made was left behind");
    this.exit = EXIT_OF_SIGNAL[signal];
  }
}

/** Whoever read our standard output has enough of it: no failure, and nobody to tell. */
export class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";
}

/** What a shell reports for a program that SIGPIPE ended. */
export const EXIT_BROKEN_PIPE = 141;

const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;
const EXIT_NO_SPACE = 28;
const EXIT_NOT_PERMITTED = 13;
const EXIT_BUG = 70;
const EXIT_SYSTEM = 71;

/** docs/errors.md */
const EXIT_OF_CODE: Readonly<Record<StoreErrorCode, number>> = {
  RESULT_LOST: 0,
  USAGE: 2,
  LOSSES: 3,
  NOT_FOUND: 4,
  EXISTS: 5,
  REFUSED: 6,
  CHUNK_MISSING: 7,
  CHUNK_CORRUPT: 7,
  NODE_MISSING: 7,
  NODE_CORRUPT: 7,
  FORMAT_INVALID: 7,
  FORMAT_NEWER: 7,
  STORE_MISSING: 10,
  STORE_LOCKED: 11,
  SOURCE_INVALID: 12,
  NOT_PERMITTED: EXIT_NOT_PERMITTED,
  NO_SPACE: EXIT_NO_SPACE,
  PROGRAM_FAILED: 69,
  UNSUPPORTED: 69,
};

const FSCK = "delta0 fsck tells what is damaged and what that hits, fsck --repair --from SRC mends it";

/** What can be done about each code where the place that failed knew nothing better. */
const HINTS: Partial<Record<StoreErrorCode, string>> = {
  STORE_MISSING: "delta0 init makes one, --store names another",
  RESULT_LOST: "delta0 reflog shows it",
  CHUNK_MISSING: FSCK,
  CHUNK_CORRUPT: FSCK,
  NODE_MISSING: FSCK,
  NODE_CORRUPT: FSCK,
  FORMAT_NEWER: "use the delta0 that wrote it",
  NO_SPACE: "make room, or use another filesystem",
};

/** Failed system calls that are nobody's bug. */
const SYSTEM_FAILURES: Readonly<Record<string, { readonly exit: number; readonly hint: string }>> = {
  ENOSPC: { exit: EXIT_NO_SPACE, hint: "make room, or use another filesystem" },
  EDQUOT: { exit: EXIT_NO_SPACE, hint: "the user's quota is used up" },
  EFBIG: { exit: EXIT_NO_SPACE, hint: "no file may get as large: ulimit -f" },
  EACCES: { exit: EXIT_NOT_PERMITTED, hint: "run as root, or as the user it belongs to" },
  EPERM: { exit: EXIT_NOT_PERMITTED, hint: "run as root" },
  EROFS: { exit: EXIT_NOT_PERMITTED, hint: "its filesystem is mounted read-only" },
  EMFILE: { exit: EXIT_SYSTEM, hint: "allow more open files: ulimit -n 4096" },
  ENFILE: { exit: EXIT_SYSTEM, hint: "this host has too many open files" },
  ENOMEM: { exit: EXIT_SYSTEM, hint: "this host has too little memory" },
  EIO: { exit: EXIT_SYSTEM, hint: "the disk reports errors: see dmesg" },
};

export function failureOf(error: unknown): Failure {
  if (error instanceof Interrupted) return { code: "INTERRUPTED", exit: error.exit, message: error.message };
  if (error instanceof StoreError) {
    // The class is generic over its code; an unknown error's is any of them.
    const { code, message, hint = HINTS[code] } = error as StoreError;
    return { code, exit: EXIT_OF_CODE[code], message, ...(hint === undefined ? {} : { hint }) };
  }
  const errno = errnoOf(error);
  if (errno !== undefined) return systemFailure(error as NodeJS.ErrnoException, errno);
  const message = error instanceof Error && error.message !== "" ? error.message : "something went wrong";
  return { code: "INTERNAL", exit: EXIT_BUG, message, hint: BUG_HINT };
}

function systemFailure({ path, syscall, errno: number }: NodeJS.ErrnoException, errno: string): Failure {
  const [, reason = errno] = (number === undefined ? undefined : getSystemErrorMap().get(number)) ?? [];
  const message = ["cannot", syscall, path].filter((part) => part !== undefined).join(" ");
  const { exit, hint } = SYSTEM_FAILURES[errno] ?? { exit: EXIT_BUG, hint: BUG_HINT };
  return { code: errno, exit, message: `${message}: ${reason}`, hint };
}

const BUG_HINT = "this is a bug of delta0; please report it with what the same command says with -v";

/** A failure as one line of text, without "delta0:". */
export function failureText({ message, hint }: Failure): string {
  if (hint === undefined) return message;
  return `${message}${hint.startsWith("did you mean") ? ";" : ":"} ${hint}`;
}
