import { constants } from "node:os";
import { getSystemErrorMap, inspect } from "node:util";
import { StoreError } from "../errors.ts";

/** An error as node:fs throws it: `ENOENT: no such file or directory, stat '/x'`. */
export function fileError(code: string, syscall: string, path?: string, options?: ErrorOptions): Error {
  const errno = -((constants.errno as Readonly<Record<string, number>>)[code] ?? 0);
  const [, reason = "no data available"] = getSystemErrorMap().get(errno) ?? [];
  const place = path === undefined ? "" : ` '${path}'`;
  const error = new Error(`${code}: ${reason}, ${syscall}${place}`, options);
  return Object.assign(error, { errno, code, syscall }, path === undefined ? {} : { path });
}

/**
 * Damage in the store as a reader of files knows it: EIO with the path. The cause says which chunk or node, and all else
 * stays readable. Any other error is itself.
 */
export function readError(error: unknown, syscall: string, path: string): unknown {
  if (!(error instanceof StoreError)) return error;
  return fileError("EIO", syscall, path, { cause: error });
}

/** As Node's for arguments of no use: `kind` says which. */
export function argumentError(kind: "TYPE" | "VALUE", message: string): TypeError {
  return Object.assign(new TypeError(message), { code: `ERR_INVALID_ARG_${kind}` });
}

/** @param expected what the argument or property must be: "of type number", "an instance of Date" */
export function typeError(name: string, expected: string, received: unknown): TypeError {
  const kind = name.includes(".") ? "property" : "argument";
  return argumentError(
    "TYPE",
    `The "${name}" ${kind} must be ${expected}. Received ${inspect(received, { depth: 0 })}`,
  );
}

export function rangeError(name: string, range: string, received: unknown): RangeError {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${String(received)}`;
  return Object.assign(new RangeError(message), { code: "ERR_OUT_OF_RANGE" });
}

/** What node:fs says of a system error that it found itself. */
export interface SystemErrorInfo {
  readonly code: string;
  readonly message: string;
  readonly path: string;
  readonly syscall: string;
}

/** As Node's SystemError: `ERR_FS_EISDIR` with what it would be of the system in `info`, and its number above zero. */
export function systemError(code: string, reason: string, details: SystemErrorInfo): Error {
  const { path, syscall, message } = details;
  const errno = (constants.errno as Readonly<Record<string, number>>)[details.code] ?? 0;
  const error = new Error(`${reason}: ${syscall} returned ${details.code} (${message}) ${path}`);
  Object.defineProperty(error, "name", { value: "SystemError", configurable: true, writable: true });
  return Object.assign(error, { code, info: { ...details, errno }, errno, syscall, path });
}
