import { closeSync, mkdtempSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";
import { isRoot } from "../support/run.ts";

/** For `test(name, rootOnly, …)`: prints why the test does not run. */
export const rootOnly: { skip: string | false } = { skip: isRoot() ? false : "needs root" };

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
  readonly handle: DirectoryHandle;
}

/** Removed at the end of its scope, however deep it has become. */
export function temporaryDirectory(parent: string = tmpdir()): TemporaryDirectory {
  const path = mkdtempSync(join(parent, "delta0-sys-"));
  const handle = DirectoryHandle.open(path);
  return {
    path,
    handle,
    [Symbol.dispose]() {
      handle.close();
      using above = DirectoryHandle.open(dirname(path));
      above.removeTree(basename(path));
    },
  };
}

export function writeFile(directory: DirectoryHandle, name: string, bytes: string | Uint8Array): void {
  const fd = directory.create(name, 0o644);
  writeSync(fd, Buffer.from(bytes));
  closeSync(fd);
}

/** Runs `act` as a user who owns nothing. */
export function asNobody<T>(act: () => T): T {
  process.seteuid?.(65534);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}

/** One node of each type, by that type as its name. */
export function makeEachType(directory: DirectoryHandle): void {
  writeFile(directory, "file", "content");
  directory.makeDirectory("directory", 0o755);
  directory.symlink("nowhere", "symlink");
  directory.makeNode("fifo", "fifo", 0o600, 0, 0);
  directory.makeNode("socket", "socket", 0o600, 0, 0);
  if (!isRoot()) return;
  directory.makeNode("character", "character", 0o600, 1, 3);
  directory.makeNode("block", "block", 0o600, 4095, 1048575);
}
