declare const nameBrand: unique symbol;

/**
 * One path component, byte for byte: char n of the string is byte n (latin1).
 *
 * Linux names need not be UTF-8, so decoding them as such would lose some. A latin1 string keeps them, works as a Map
 * key, and `<` orders it as memcmp does, which is the order of directory nodes and of LevelDB.
 */
export type Name = string & { readonly [nameBrand]: true };

/** A path inside a tree: names joined by "/", without a leading one; "" is the root. A byte string like `Name`. */
export type TreePath = string;

export const ROOT: TreePath = "";

/**
 * The longest path that a tree holds, 32 Ki directories deep. Linux has no limit, but what walks a tree has a path for each
 * entry: without one a few kilobytes of archive would make gigabytes of them.
 */
export const MAX_PATH_BYTES: number = 65_535;

/** True for what Linux takes as a name: 1–255 bytes, not "." or "..", without "/" and NUL. */
export function isName(bytes: string): bytes is Name {
  return (
    bytes.length > 0 &&
    bytes.length <= 255 &&
    bytes !== "." &&
    bytes !== ".." &&
    !bytes.includes("/") &&
    !bytes.includes("\0")
  );
}

/** @returns undefined if `bytes` is no Linux name */
export function parseName(bytes: Uint8Array): Name | undefined {
  const name = byteString(bytes);
  return isName(name) ? name : undefined;
}

/** The bytes as a string of one char per byte. */
export function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The UTF-8 bytes of text that a user typed, as a byte string. */
export function byteStringOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A byte string for people: decoded as UTF-8 where it is, control characters escaped. Never parse it back. */
export function displayName(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

export function joinPath(directory: TreePath, name: string): TreePath {
  return directory === ROOT ? name : `${directory}/${name}`;
}

export function splitPath(path: TreePath): Name[] {
  return path === ROOT ? [] : (path.split("/") as Name[]);
}

/** True for the path of something below the root: names and nothing else. */
export function isEntryPath(path: string): path is TreePath {
  return path.split("/").every(isName);
}

/** The directory that holds `path`, which is not the root. */
export function parentPath(path: TreePath): TreePath {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? ROOT : path.slice(0, slash);
}

export function baseName(path: TreePath): Name {
  return path.slice(path.lastIndexOf("/") + 1) as Name;
}

/** Canonical order: byte order per component, so that a directory's content follows it: `a`, `a/x`, `a.b`. */
export function comparePaths(a: TreePath, b: TreePath): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return (x === SLASH ? 0 : x) - (y === SLASH ? 0 : y);
  }
  return a.length - b.length;
}

const SLASH = 0x2f;
