import { PosixError } from "../errors.ts";

/** A path as the host's user gives it: text, or its bytes where they are no UTF-8. */
export type HostPath = string | Uint8Array;

/** @throws {PosixError} EINVAL if it holds a NUL, ENOENT if it is empty */
export function hostPathBytes(path: HostPath): Buffer {
  const bytes = typeof path === "string" ? Buffer.from(`${path}\0`, "utf8") : Buffer.concat([path, NUL]);
  if (bytes.length === 1) throw new PosixError("ENOENT", "path", "");
  if (bytes.indexOf(0) !== bytes.length - 1) throw new PosixError("EINVAL", "path", displayHostPath(path));
  return bytes;
}

/** For messages alone. */
export function displayHostPath(path: HostPath): string {
  return typeof path === "string" ? path : Buffer.from(path).toString("utf8");
}

/** A host path as node:fs takes it. */
export function nodePath(path: HostPath): string | Buffer {
  return typeof path === "string" ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength);
}

const NUL = Buffer.alloc(1);
