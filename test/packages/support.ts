import type { Name, TreePath } from "../../src/model/name.ts";
import type { PackageFiles } from "../../src/packages/package-files.ts";

/** Files in memory, one char per byte; given out a few bytes at a time. Of a merged system. */
export function packageFiles(files: Readonly<Record<TreePath, string>>): PackageFiles {
  return {
    open: (path) => (Object.hasOwn(files, path) ? piecesOf(files[path] ?? "") : undefined),
    list: (directory) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${directory}/`) && !path.slice(directory.length + 1).includes("/"))
        .map((path) => path.slice(directory.length + 1) as Name)
        .sort(),
    merged: (path) => path.replace(/^lib\//, "usr/lib/"),
  };
}

function* piecesOf(text: string): Generator<Uint8Array> {
  for (let at = 0; at < text.length; at += 7) yield Buffer.from(text.slice(at, at + 7), "latin1");
}
