import { StoreError } from "../errors.ts";
import {
  type Dialect,
  METACOPY,
  NLINK,
  OPAQUE,
  overlayMark,
  REDIRECT,
  unescapeXattr,
  WHITEOUT,
} from "../format/overlay-xattrs.ts";
import type { RawChange, RawNode } from "../model/change.ts";
import { baseName, byteString, displayName, isName, joinPath, parentPath, ROOT, type TreePath } from "../model/name.ts";
import type { Xattr } from "../model/node.ts";
import { shownPath } from "./reading.ts";

type Put = RawChange & { kind: "put" };
type Marks = ReadonlyMap<string, Uint8Array>;

/** Where the base's part of a directory lies; null if it has none. */
type Lower = TreePath | null;

/**
 * Gives the nodes of one delta directory, as the directory source reads them, the meaning that overlayfs gives them.
 * A directory must come before what is in it, and the first name of a file before its links.
 *
 * Source: Linux, fs/overlayfs/namei.c, ovl_lookup and ovl_check_redirect.
 */
export class DeltaMarks {
  readonly #source: string;
  readonly #dialect: Dialect;
  /** Of the directories that do not merge with the base's of their own name in their parent's lower. */
  readonly #lowers = new Map<TreePath, Lower>([[ROOT, ROOT]]);
  /** Directories with whiteouts in the form of xattrs. */
  readonly #withXattrWhiteouts = new Set<TreePath>();
  readonly #whiteouts = new Set<TreePath>();

  /** @param source the delta's path, for messages */
  constructor(source: string, dialect: Dialect) {
    this.#source = source;
    this.#dialect = dialect;
  }

  /** @throws {StoreError} UNSUPPORTED, SOURCE_INVALID */
  interpret(change: RawChange): readonly RawChange[] {
    if (change.kind === "put") return this.#put(change);
    // All whiteouts of a mount may be names of one inode.
    if (change.kind === "link" && this.#whiteouts.has(change.target)) return [{ kind: "whiteout", path: change.path }];
    return [change];
  }

  #put({ path, node }: Put): readonly RawChange[] {
    const { marks, xattrs } = this.#split(node.xattrs);
    const put: Put = { kind: "put", path, node: { ...node, xattrs } };
    if (node.type === "directory") return [put, ...this.#directory(path, marks)];
    if (this.#isWhiteout(path, node, marks)) {
      this.#whiteouts.add(path);
      return [{ kind: "whiteout", path }];
    }
    if (marks.has(NLINK))
      throw new StoreError("UNSUPPORTED", {
        what: `${shownPath(this.#source, path)}: hard links of a mount with index=on cannot be read from its delta`,
        hint: "mount it with index=off, which is the default",
      });
    if (node.type !== "file" || !marks.has(METACOPY)) return [put];
    const base = this.#lowerBy(path, marks.get(REDIRECT));
    if (base === null) throw this.#invalid(path, "has its data in a lower layer, but its directory hides that");
    return [{ ...put, node: { ...node, xattrs, content: { base } } }];
  }

  /** What its marks say of a directory. Those of the delta's root mean nothing to the kernel. */
  #directory(path: TreePath, marks: Marks): readonly RawChange[] {
    const opaque = textOf(marks.get(OPAQUE));
    if (opaque === "x") this.#withXattrWhiteouts.add(path);
    if (path === ROOT) return [];
    if (opaque === "y") {
      this.#lowers.set(path, null);
      return [{ kind: "opaque", path }];
    }
    const redirect = marks.get(REDIRECT);
    if (redirect === undefined) return [];
    const from = this.#lowerBy(path, redirect);
    this.#lowers.set(path, from);
    return from === null ? [] : [{ kind: "redirect", path, from }];
  }

  #isWhiteout(path: TreePath, node: RawNode, marks: Marks): boolean {
    if (node.type === "character") return node.major === 0 && node.minor === 0;
    if (node.type !== "file" || !marks.has(WHITEOUT)) return false;
    return "size" in node.content && node.content.size === 0 && this.#withXattrWhiteouts.has(parentPath(path));
  }

  /** The path in the base of what lies below `path`, given its redirect mark. */
  #lowerBy(path: TreePath, mark: Uint8Array | undefined): Lower {
    const redirect = textOf(mark);
    if (redirect?.startsWith("/")) {
      const names = redirect.slice(1).split("/");
      if (!names.every(isName)) throw this.#badRedirect(path, redirect);
      return names.join("/");
    }
    const name = redirect ?? baseName(path);
    if (!isName(name)) throw this.#badRedirect(path, name);
    const parent = this.#lowerOf(parentPath(path));
    return parent === null ? null : joinPath(parent, name);
  }

  /** By way of the nearest directory above that is known not to merge by name; the root is. */
  #lowerOf(path: TreePath): Lower {
    let known = path;
    while (!this.#lowers.has(known)) known = parentPath(known);
    const lower = this.#lowers.get(known) ?? null;
    if (lower === null || known === path) return lower;
    return joinPath(lower, known === ROOT ? path : path.slice(known.length + 1));
  }

  #split(all: readonly Xattr[]): { marks: Marks; xattrs: readonly Xattr[] } {
    if (all.length === 0) return { marks: NO_MARKS, xattrs: all };
    const marks = new Map<string, Uint8Array>();
    const xattrs: Xattr[] = [];
    for (const { name, value } of all) {
      const mark = overlayMark(this.#dialect, name);
      if (mark === undefined) xattrs.push({ name: unescapeXattr(this.#dialect, name), value });
      else marks.set(mark, value);
    }
    return { marks, xattrs: xattrs.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  }

  #badRedirect(path: TreePath, redirect: string): StoreError {
    return this.#invalid(path, `its redirect "${displayName(redirect)}" is no path`);
  }

  #invalid(path: TreePath, reason: string): StoreError {
    return new StoreError("SOURCE_INVALID", { source: shownPath(this.#source, path), reason });
  }
}

const NO_MARKS: Marks = new Map();

function textOf(value: Uint8Array | undefined): string | undefined {
  return value && byteString(value);
}
