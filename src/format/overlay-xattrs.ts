/**
 * How an overlay mount keeps its own marks on files: as xattrs with this prefix. `user` is for mounts with `userxattr`,
 * which unprivileged containers use. Source: Linux, Documentation/filesystems/overlayfs.rst and fs/overlayfs/xattrs.c.
 */
export type Dialect = "trusted" | "user";

/** A directory that hides the lower one of its path ("y"); "x": it holds whiteouts in the form of xattrs. */
export const OPAQUE = "opaque";
/** Where a directory's or a metacopy file's lower part lies: a name in the same directory, or a path from the root. */
export const REDIRECT = "redirect";
/** A file whose data lies in a lower layer. */
export const METACOPY = "metacopy";
/** An empty file that is a whiteout, in a directory with `opaque` = "x". */
export const WHITEOUT = "whiteout";
/** Set on a hard-linked upper file of a mount with index=on, whose other names may lie in `work/index` alone. */
export const NLINK = "nlink";

/** The full name of a mark. */
export function overlayXattr(dialect: Dialect, mark: string): string {
  return `${PREFIX[dialect]}${mark}`;
}

/** The mark that an xattr is, such as "opaque"; undefined for what belongs to the file itself. */
export function overlayMark(dialect: Dialect, name: string): string | undefined {
  const prefix = PREFIX[dialect];
  return name.startsWith(prefix) && !name.startsWith(prefix + ESCAPE) ? name.slice(prefix.length) : undefined;
}

/** The name under which a delta directory keeps a file's own xattr: one that looks like a mark is escaped. */
export function escapeXattr(dialect: Dialect, name: string): string {
  const prefix = PREFIX[dialect];
  return name.startsWith(prefix) ? prefix + ESCAPE + name.slice(prefix.length) : name;
}

/** The inverse of `escapeXattr`, for names that are no marks. */
export function unescapeXattr(dialect: Dialect, name: string): string {
  const escaped = PREFIX[dialect] + ESCAPE;
  return name.startsWith(escaped) ? PREFIX[dialect] + name.slice(escaped.length) : name;
}

const PREFIX: Readonly<Record<Dialect, string>> = { trusted: "trusted.overlay.", user: "user.overlay." };
const ESCAPE = "overlay.";
