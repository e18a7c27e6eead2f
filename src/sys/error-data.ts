import { errnoOf, PosixError, StoreError } from "../errors.ts";
import type { StoreErrorCode, StoreErrorDetails } from "../errors.ts";

/** An error as it can be copied to another thread or process, where errors lose their class. */
export type ErrorData =
  | { readonly kind: "store"; readonly code: StoreErrorCode; readonly details: object; readonly cause?: ErrorData }
  | { readonly kind: "posix"; readonly code: string; readonly syscall: string; readonly path?: string }
  | { readonly kind: "other"; readonly message: string; readonly stack: string | undefined };

export function errorToData(error: unknown): ErrorData {
  if (error instanceof StoreError) {
    const { code, details, cause } = error as StoreError;
    return { kind: "store", code, details, ...(cause !== undefined && { cause: errorToData(cause) }) };
  }
  const code = errnoOf(error);
  if (code === undefined) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    return { kind: "other", message, stack };
  }
  const { syscall, path } = error as { syscall: string; path?: string };
  return { kind: "posix", code, syscall, ...(path !== undefined && { path }) };
}

export function errorFromData(data: ErrorData): Error {
  switch (data.kind) {
    case "store": {
      const cause = data.cause && { cause: errorFromData(data.cause) };
      return new StoreError(data.code, data.details as StoreErrorDetails[StoreErrorCode], cause);
    }
    case "posix":
      return new PosixError(data.code, data.syscall, data.path);
    case "other":
      return Object.assign(new Error(data.message), { stack: data.stack });
  }
}
