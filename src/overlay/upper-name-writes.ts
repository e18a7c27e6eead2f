import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { byteStringOf } from "../model/name.ts";
import { EMPTY_CONTENT } from "../model/node.ts";
import { givenPath } from "./arguments.ts";
import type { Entry } from "./entry.ts";
import { mayCreate, mayRemove, mayRename, newNode } from "./permissions.ts";
import type { Place } from "./resolver.ts";
import { directoryBody, fileBody, MKNOD_TYPES, UpperNode } from "./upper-node.ts";
import type { UpperBody } from "./upper-node.ts";
import { now } from "./upper-session.ts";
import { ownedOf } from "./credentials.ts";
import type { UpperSession } from "./upper-session.ts";
import type { UpperDirectory } from "./upper.ts";
import { displayPath } from "./view-core.ts";
import type { DeviceNumber, Writes } from "./writes.ts";

const { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } = constants;

/** Calls that make, move and remove names. Source of the order of their errors: Linux 6.18, fs/namei.c. */
export class UpperNameWrites implements Pick<
  Writes,
  "mkdir" | "mknod" | "symlink" | "link" | "unlink" | "rmdir" | "rename"
> {
  readonly #session: UpperSession;

  constructor(session: UpperSession) {
    this.#session = session;
  }

  mkdir(path: PathLike, mode: number): Promise<void> {
    return this.#make("mkdir", path, S_IFDIR | (mode & 0o7777), () => directoryBody(undefined));
  }

  mknod(path: PathLike, mode: number, { major, minor }: DeviceNumber): Promise<void> {
    const type = MKNOD_TYPES[mode & S_IFMT];
    const format = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
    const isDevice = type === "character" || type === "block";
    return this.#make(
      "mknod",
      path,
      format | (mode & 0o7777),
      () => {
        if (type === "file") return fileBody(EMPTY_CONTENT);
        return isDevice ? { type, major, minor } : { type: type ?? "fifo" };
      },
      // A device 0:0 in a delta directory is a whiteout.
      type === undefined
        ? (mode & S_IFMT) === S_IFDIR
          ? "EPERM"
          : "EINVAL"
        : type === "character" && major === 0 && minor === 0
          ? "EPERM"
          : undefined,
    );
  }

  symlink(target: PathLike, path: PathLike): Promise<void> {
    const given = givenPath(target);
    const bytes = typeof given === "string" ? byteStringOf(given) : given.bytes;
    const flaw = bytes === "" ? "ENOENT" : bytes.length > MAX_TARGET_BYTES ? "ENAMETOOLONG" : undefined;
    const session = this.#session;
    return session.change("symlink", displayPath(target), () => {
      session.allow(flaw, "symlink", target, path);
      this.#makeAt(
        path,
        S_IFLNK | 0o777,
        () => ({ type: "symlink", target: bytes }),
        (refusal) => session.allow(refusal, "symlink", target, path),
      );
    });
  }

  link(existing: PathLike, path: PathLike): Promise<void> {
    const session = this.#session;
    const { core, upper, caller } = session;
    return session.change("link", displayPath(existing), () => {
      const fail = (code: string | undefined): void => session.allow(code, "link", existing, path);
      const entry = this.#found(existing, fail);
      const place = this.#place(path, fail);
      if (place.entry !== undefined || isNoName(place)) return fail("EEXIST");
      if (place.slash) return fail("ENOENT");
      fail(mayCreate(caller, ownedOf(place.directory), entry.format));
      if (entry.isDirectory) return fail("EPERM");
      upper.begin();
      const node = upper.copyUp(core.names.current(entry));
      node.links++;
      upper.save(node);
      this.#setEntry(place, node);
    });
  }

  unlink(path: PathLike): Promise<void> {
    return this.#remove("unlink", path, (place) => {
      if (isNoName(place)) return "EISDIR";
      if (place.entry === undefined) return "ENOENT";
      return place.slash ? (place.entry.isDirectory ? "EISDIR" : "ENOTDIR") : undefined;
    });
  }

  rmdir(path: PathLike): Promise<void> {
    return this.#remove("rmdir", path, (place) => {
      if (place.name === "") return "EBUSY";
      if (place.name === "." || place.name === "..") return place.name === "." ? "EINVAL" : "ENOTEMPTY";
      return place.entry === undefined ? "ENOENT" : undefined;
    });
  }

  rename(from: PathLike, to: PathLike, flag?: "noreplace" | "exchange"): Promise<void> {
    const session = this.#session;
    return session.change("rename", displayPath(from), () => {
      const fail = (code: string | undefined): void => session.allow(code, "rename", from, to);
      // Both directories are looked for before either name.
      const [source, target] = [from, to].map((path) =>
        this.#translated(() => session.core.uncheckedPlace(path, false, ""), fail),
      ) as [Place, Place];
      fail(this.#renameFlaw(source, target, flag));
      const moved = source.entry;
      if (moved === undefined) return;
      if (target.entry !== undefined && this.#isSame(moved, target.entry)) return;
      const stays = this.#isSame(source.directory, target.directory);
      fail(
        mayRename(session.caller, {
          node: ownedOf(moved),
          from: ownedOf(source.directory),
          to: ownedOf(target.directory),
          stays,
          replaced: target.entry && ownedOf(target.entry),
          exchange: flag === "exchange",
        }),
      );
      if (flag !== "exchange" && target.entry?.isDirectory === true && !this.#isEmpty(target.entry))
        return fail("ENOTEMPTY");
      session.upper.begin();
      const node = session.upper.copyUp(moved);
      if (flag === "exchange" && target.entry !== undefined) {
        const exchanged = session.upper.copyUp(target.entry);
        this.#setEntry(source, exchanged);
        session.upper.save(exchanged);
      } else {
        if (target.entry !== undefined) this.#dropName(target.entry);
        this.#setEntry(source, undefined);
      }
      this.#setEntry(target, node);
      session.upper.save(node);
    });
  }

  #renameFlaw(source: Place, target: Place, flag: "noreplace" | "exchange" | undefined): string | undefined {
    const { entry: moved } = source;
    const { entry: replaced } = target;
    if (isNoName(source)) return "EBUSY";
    if (isNoName(target)) return flag === "noreplace" ? "EEXIST" : "EBUSY";
    if (source.tooLong) return "ENAMETOOLONG";
    if (moved === undefined) return "ENOENT";
    if (target.tooLong) return "ENAMETOOLONG";
    if (flag === "noreplace" && replaced !== undefined) return "EEXIST";
    if (flag === "exchange" && replaced === undefined) return "ENOENT";
    if (flag === "exchange" && replaced?.isDirectory === false && target.slash) return "ENOTDIR";
    if (!moved.isDirectory && (source.slash || (flag !== "exchange" && target.slash))) return "ENOTDIR";
    if (target.directories.some((above) => this.#isSame(above, moved))) return "EINVAL";
    if (replaced !== undefined && source.directories.some((above) => this.#isSame(above, replaced)))
      return flag === "exchange" ? "EINVAL" : "ENOTEMPTY";
    return undefined;
  }

  #make(syscall: string, path: PathLike, mode: number, body: () => UpperBody, flaw?: string): Promise<void> {
    const session = this.#session;
    return session.change(syscall, displayPath(path), () => {
      this.#makeAt(path, mode, body, (refusal) => session.allow(refusal, syscall, path), flaw);
    });
  }

  #makeAt(
    path: PathLike,
    mode: number,
    body: () => UpperBody,
    fail: (refusal: string | undefined) => void,
    flaw?: string,
  ): void {
    const place = this.#place(path, fail);
    const isDirectory = (mode & S_IFMT) === S_IFDIR;
    fail(place.entry !== undefined || isNoName(place) ? "EEXIST" : undefined);
    fail(place.slash && !isDirectory ? "ENOENT" : undefined);
    fail(mayCreate(this.#session.caller, ownedOf(place.directory), mode & S_IFMT) ?? flaw);
    this.create(place, mode, body());
  }

  /** Makes what a place has not, once all is checked. */
  create(place: Place, mode: number, body: UpperBody): UpperNode {
    const { upper, caller, umask } = this.#session;
    upper.begin();
    const made = newNode(caller, ownedOf(place.directory), mode, umask);
    const { uid, gid, xattrs } = made;
    const { mtimeSec, mtimeNsec } = now();
    const node = upper.create(body, made.mode & 0o7777, { uid, gid, mtimeSec, mtimeNsec, xattrs });
    node.links = 1;
    upper.save(node);
    this.#setEntry(place, node);
    return node;
  }

  #remove(syscall: "unlink" | "rmdir", path: PathLike, flawOf: (place: Place) => string | undefined): Promise<void> {
    const session = this.#session;
    return session.change(syscall, displayPath(path), () => {
      const fail = (code: string | undefined): void => session.allow(code, syscall, path);
      const place = this.#place(path, fail);
      fail(flawOf(place));
      const { entry } = place;
      if (entry === undefined) return;
      fail(mayRemove(session.caller, ownedOf(place.directory), ownedOf(entry), syscall));
      if (syscall === "rmdir" && !this.#isEmpty(entry)) fail("ENOTEMPTY");
      session.upper.begin();
      this.#dropName(entry);
      this.#setEntry(place, undefined);
    });
  }

  /** What has other names, or is open, lives on. */
  #dropName(entry: Entry): void {
    const { upper, core } = this.#session;
    const { names } = core;
    const isKept = entry instanceof UpperNode || names.links(entry) > 1 || upper.isOpen(names.inode(entry));
    if (isKept) upper.removeName(upper.copyUp(entry));
  }

  /** A name of a directory, whose mtime is now. */
  #setEntry(place: Place, node: UpperNode | undefined): void {
    const { upper, core } = this.#session;
    const directory: UpperDirectory = upper.copyUpDirectory(core.names.current(place.directory));
    upper.setEntry(directory, place.name, node);
    this.#session.touch(directory);
    upper.save(directory);
  }

  #place(path: PathLike, fail: (code: string) => void): Place {
    return this.#translated(() => this.#session.core.place(path, false, ""), fail);
  }

  #found(path: PathLike, fail: (code: string) => void): Entry {
    return this.#translated(() => this.#session.core.get(path, false, ""), fail);
  }

  /** Whichever path of a call leads nowhere, its error names all of them. */
  #translated<T>(look: () => T, fail: (code: string) => void): T {
    try {
      return look();
    } catch (error) {
      if (error instanceof Error && "code" in error && "errno" in error && error.cause === undefined)
        fail(String(error.code));
      throw error;
    }
  }

  #isSame(a: Entry, b: Entry): boolean {
    const { names } = this.#session.core;
    return a === b || names.inode(a) === names.inode(b);
  }

  #isEmpty(directory: Entry): boolean {
    for (const rows of this.#session.core.names.entries(directory)) if (rows.length > 0) return false;
    return true;
  }
}

/** The longest target that symlink(2) takes. */
const MAX_TARGET_BYTES = 4095;

export function isNoName({ name }: Place): boolean {
  return name === "" || name === "." || name === "..";
}
