import * as fs from "node:fs";
import fc from "fast-check";
import { errnoOf } from "../../src/errors.ts";
import type { TreePath } from "../../src/model/name.ts";
import { DirectoryHandle } from "../../src/sys/directory-handle.ts";

const names = fc.constantFrom("a", "b", "c");
const paths = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const KINDS = [
  "write",
  "append",
  "truncate",
  "touch",
  "unlink",
  "rmdir",
  "mkdir",
  "rename",
  "remove",
  "replace",
  "chmod",
  "chown",
  "xattr",
  "mark",
  "link",
  "symlink",
  "fifo",
  "device",
] as const;
const OFTEN = ["unlink", "unlink", "mkdir", "rename"] as const;
/** A call that changes files below a directory. */
export interface FileCall {
  readonly kind: (typeof KINDS)[number];
  readonly path: string;
  readonly to: string;
  readonly number: number;
}

export const steps: fc.Arbitrary<FileCall> = fc.record({
  kind: fc.constantFrom(...KINDS, ...OFTEN),
  path: paths,
  to: paths,
  number: fc.integer({ min: 0, max: 0o777 }),
});

/** So that no lower is without directories to merge and hard links to break. */
export function makeSome(at: string): void {
  fs.mkdirSync(`${at}/a/b/c`, { recursive: true });
  fs.mkdirSync(`${at}/b/b`, { recursive: true });
  for (const path of ["a/a", "a/b/a", "a/b/c/a", "b/b/b", "c", "linked1"]) fs.writeFileSync(`${at}/${path}`, path);
  fs.linkSync(`${at}/c`, `${at}/a/c`);
  fs.linkSync(`${at}/c`, `${at}/b/c`);
  fs.linkSync(`${at}/linked1`, `${at}/linked2`);
}

/** One of `steps`; what the kernel refuses changes nothing. */
export function perform(root: string, { kind, path, to, number }: FileCall): void {
  const at = `${root}/${path}`;
  try {
    switch (kind) {
      case "write":
        return write(at, "w".repeat(number), number % 2 ? TRUNCATE : EXCLUSIVE);
      case "append":
        return write(at, "+", fs.constants.O_APPEND);
      case "truncate":
        return fs.truncateSync(at, number * 100);
      case "touch":
        return fs.lutimesSync(at, number, number);
      case "unlink":
        return fs.unlinkSync(at);
      case "rmdir":
        return fs.rmdirSync(at);
      case "mkdir":
        return fs.mkdirSync(at);
      case "rename":
        return fs.renameSync(at, `${root}/${to}`);
      case "remove":
        return fs.rmSync(at, { recursive: true });
      case "replace":
        fs.rmSync(at, { recursive: true });
        return fs.mkdirSync(at);
      case "chmod":
        return fs.chmodSync(at, number);
      case "chown":
        return fs.lchownSync(at, number, number + 1);
      case "xattr":
        return setXattr(root, path, number % 2 ? "trusted.some" : "user.some");
      case "mark":
        return setXattr(root, path, number % 2 ? "trusted.overlay.opaque" : "user.overlay.opaque");
      case "link":
        return fs.linkSync(at, `${root}/${to}`);
      case "symlink":
        return fs.symlinkSync(to, at);
      case "fifo":
      case "device":
        return makeNode(root, path, kind);
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

const TRUNCATE = fs.constants.O_CREAT | fs.constants.O_TRUNC;
const EXCLUSIVE = fs.constants.O_CREAT | fs.constants.O_EXCL;

function write(path: string, text: string, flags: number): void {
  // O_NONBLOCK: where a fifo stands, an open for writing would wait for ever.
  const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK | flags);
  fs.writeSync(fd, text);
  fs.closeSync(fd);
}

function setXattr(root: string, path: TreePath, name: string): void {
  using directory = DirectoryHandle.open(parent(root, path));
  directory.setXattr(path.slice(path.lastIndexOf("/") + 1), name, Buffer.from("y"));
}

function makeNode(root: string, path: TreePath, kind: "fifo" | "device"): void {
  using directory = DirectoryHandle.open(parent(root, path));
  directory.makeNode(path.slice(path.lastIndexOf("/") + 1), kind === "fifo" ? "fifo" : "character", 0o600, 1, 3);
}

function parent(root: string, path: TreePath): string {
  return `${root}/${path}`.slice(0, -(path.length - path.lastIndexOf("/")));
}
