import { isStoreError, StoreError } from "../errors.ts";

/**
 * What to throw for what is wrong with a stream that is read: it is not the store that is damaged.
 *
 * @param file where it comes from, or `-`
 * @param outcome what follows from it: "nothing was restored"
 */
export function asStreamFailure(error: unknown, file: string, outcome: string): unknown {
  const reason = reasonOf(error);
  if (reason === undefined) return error;
  const source = file === "-" ? "standard input" : file;
  return new StoreError("SOURCE_INVALID", { source, reason: `${reason}; ${outcome}` }, { cause: error });
}

function reasonOf(error: unknown): string | undefined {
  if (isStoreError(error, "NODE_MISSING") || isStoreError(error, "CHUNK_MISSING"))
    return `lacks ${error.details.digest}`;
  if (!isStoreError(error, "FORMAT_INVALID")) return undefined;
  const { record, reason } = error.details;
  return OF_THE_STREAM.has(record) ? reason : `${record}: ${reason}`;
}

const OF_THE_STREAM: ReadonlySet<string> = new Set(["the stream", "the backup"]);
