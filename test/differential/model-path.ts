import type { Inode } from "./model-tree.ts";

/** A call that fails: thrown within the model alone. */
export class Refusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** The last step of a path, not taken yet. */
export interface Place {
  readonly parent: Inode;
  /** Of kind "name"; else "". */
  readonly name: string;
  readonly kind: "name" | "." | ".." | "/";
  /** It ends with a slash. */
  readonly slash: boolean;
}

const MAX_SYMLINKS = 40;
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 4095;

/** One walk of path_resolution(7): it counts the symlinks that it follows. */
export class PathWalk {
  readonly #root: Inode;
  #followed = 0;

  constructor(root: Inode) {
    this.#root = root;
  }

  /** Up to the last component, whose directory must be there. */
  place(path: string, start: Inode = this.#root): Place {
    if (path === "") throw new Refusal("ENOENT");
    if (path.length > MAX_PATH_BYTES) throw new Refusal("ENAMETOOLONG");
    let directory = path.startsWith("/") ? this.#root : start;
    const names = path.split("/").filter((name) => name !== "");
    const slash = path.endsWith("/");
    const last = names.pop();
    if (last === undefined) return { parent: directory, name: "", kind: "/", slash };
    for (const name of names) {
      directory = this.#step(directory, name);
      if (directory.type !== "directory") throw new Refusal("ENOTDIR");
    }
    if (last === ".") return { parent: directory, name: "", kind: ".", slash };
    if (last === "..") return { parent: directory.parent ?? directory, name: "", kind: "..", slash };
    return { parent: directory, name: last, kind: "name", slash };
  }

  /** What the path names. A symlink in the last place is followed if `follow`, or a slash comes after it. */
  lookup(path: string, follow: boolean, start: Inode = this.#root): Inode {
    const place = this.place(path, start);
    const found = child(place);
    if (found === undefined) throw new Refusal("ENOENT");
    const inode = found.type === "symlink" && (follow || place.slash) ? this.followed(place, found) : found;
    if (place.slash && inode.type !== "directory") throw new Refusal("ENOTDIR");
    return inode;
  }

  /** Where a symlink in `place` leads. */
  followed(place: Place, link: Inode): Inode {
    this.countLink();
    return this.lookup(link.target, true, place.parent);
  }

  countLink(): void {
    if (++this.#followed > MAX_SYMLINKS) throw new Refusal("ELOOP");
  }

  #step(directory: Inode, name: string): Inode {
    if (name === ".") return directory;
    if (name === "..") return directory.parent ?? directory;
    const place: Place = { parent: directory, name, kind: "name", slash: false };
    const found = child(place);
    if (found === undefined) throw new Refusal("ENOENT");
    return found.type === "symlink" ? this.followed(place, found) : found;
  }
}

/** What stands in `place`; undefined if nothing does. */
export function child(place: Place): Inode | undefined {
  if (place.kind !== "name") return place.parent;
  if (place.name.length > MAX_NAME_BYTES) throw new Refusal("ENAMETOOLONG");
  return place.parent.entries.get(place.name);
}
