import { constants } from "node:fs";
import type { PathLike } from "node:fs";
import { EMPTY_CONTENT } from "../model/node.ts";
import { fileError } from "./file-error.ts";
import { afterChange, afterChmod, mayAccess, mayCreate, mayOpen } from "./permissions.ts";
import { isWritable } from "./open-file.ts";
import type { OpenFile } from "./open-file.ts";
import type { Place } from "./resolver.ts";
import type { UpperFile } from "./upper-bytes.ts";
import { isNoName } from "./upper-name-writes.ts";
import type { UpperNameWrites } from "./upper-name-writes.ts";
import { fileBody } from "./upper-node.ts";
import { pathOf, withDestination } from "./upper-session.ts";
import { ownedOf } from "./credentials.ts";
import type { UpperSession } from "./upper-session.ts";
import { displayPath } from "./view-core.ts";
import type { Target, Writes } from "./writes.ts";

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_TRUNC, S_IFREG } = constants;

/** Calls that open files and change their bytes. */
export class UpperFileWrites implements Pick<
  Writes,
  "open" | "write" | "put" | "truncate" | "punchHole" | "sync" | "copyFile"
> {
  readonly #session: UpperSession;
  readonly #names: UpperNameWrites;

  constructor(session: UpperSession, names: UpperNameWrites) {
    this.#session = session;
    this.#names = names;
  }

  async open(path: PathLike, flags: number, mode: number): Promise<number> {
    let fd: number | undefined;
    try {
      return await this.#session.change("open", displayPath(path), () => (fd = this.#open(path, flags, mode)));
    } catch (error) {
      if (fd !== undefined) this.#session.core.close(fd);
      throw error;
    }
  }

  #open(path: PathLike, flags: number, mode: number): number {
    const { core, caller } = this.#session;
    const creates = (flags & O_CREAT) !== 0;
    const follow = (flags & O_NOFOLLOW) === 0 && !(creates && (flags & O_EXCL) !== 0);
    const place = creates ? core.place(path, follow, "open") : undefined;
    if (place?.slash === true && !isNoName(place)) throw fileError("EISDIR", "open", displayPath(path));
    const found = place === undefined ? core.get(path, follow, "open") : place.entry;
    if (place !== undefined && found === undefined) return this.#createOpen(place, path, flags, mode);
    if (found === undefined) throw fileError("ENOENT", "open", displayPath(path));
    core.requireOpenable(found, path, flags);
    this.#session.allow(mayOpen(caller, ownedOf(found), flags), "open", path);
    if ((flags & O_TRUNC) !== 0 && found.isFile)
      this.#changeFile({ entry: found, path: displayPath(path), flags, position: 0 }, (file) =>
        this.#session.bytes.truncate(file, 0),
      );
    return core.register(found, path, flags);
  }

  #createOpen(place: Place, path: PathLike, flags: number, mode: number): number {
    const refusal = mayCreate(this.#session.caller, ownedOf(place.directory), S_IFREG);
    this.#session.allow(refusal, "open", path);
    const node = this.#names.create(place, S_IFREG | (mode & 0o7777), fileBody(EMPTY_CONTENT));
    return this.#session.core.register(node, path, flags);
  }

  async write(file: OpenFile, bytes: Uint8Array, position: number | null): Promise<number> {
    let moved: { readonly from: number; readonly to: number } | undefined;
    const work = (): number => {
      const from = file.position;
      this.#write(file, bytes, position);
      if (file.position !== from) moved = { from, to: file.position };
      return bytes.length;
    };
    try {
      return await this.#session.change("write", undefined, work);
    } catch (error) {
      if (moved !== undefined && file.position === moved.to) file.position = moved.from;
      throw error;
    }
  }

  #write(file: OpenFile, bytes: Uint8Array, position: number | null): void {
    if (!isWritable(file.flags)) throw fileError("EBADF", "write");
    if (bytes.length === 0) return;
    const size = this.#session.entry(file, "write").size;
    // Also with a position: pwrite(2), "BUGS".
    const at = (file.flags & O_APPEND) !== 0 ? size : (position ?? file.position);
    if (at > MAX_FILE_BYTES - bytes.length) throw fileError("EFBIG", "write");
    this.#changeFile(file, (node) => this.#session.bytes.write(node, bytes, at));
    if (position === null) file.position = at + bytes.length;
  }

  put(path: PathLike, flags: number, mode: number, bytes: Uint8Array): Promise<void> {
    const { core } = this.#session;
    return this.#session.change("open", displayPath(path), () => {
      const fd = this.#open(path, flags, mode);
      try {
        if (bytes.length > 0) this.#write(core.opened(fd, "write"), bytes, null);
      } finally {
        core.close(fd);
      }
    });
  }

  truncate(target: Target, size: number): Promise<void> {
    const session = this.#session;
    const syscall = "entry" in target ? "ftruncate" : "truncate";
    const path = pathOf(target);
    return session.change(syscall, path, () => {
      const fail = (code: string | undefined): void => session.allow(code, syscall, path);
      if (size < 0) return fail("EINVAL");
      if ("entry" in target) fail(isWritable(target.flags) && target.entry.isFile ? undefined : "EINVAL");
      const entry = session.entry(target, syscall);
      if (entry.isDirectory) return fail("EISDIR");
      if (!entry.isFile) return fail("EINVAL");
      if (!("entry" in target)) fail(mayAccess(session.caller, ownedOf(entry), constants.W_OK));
      if (size > MAX_FILE_BYTES) return fail("EFBIG");
      this.#changeFile(target, (file) => session.bytes.truncate(file, size));
    });
  }

  punchHole(file: OpenFile, start: number, length: number): Promise<void> {
    return this.#session.change("fallocate", undefined, () => {
      if (start < 0 || length <= 0) throw fileError("EINVAL", "fallocate");
      if (!isWritable(file.flags)) throw fileError("EBADF", "fallocate");
      this.#changeFile(file, (node) => this.#session.bytes.punchHole(node, start, start + length));
    });
  }

  sync(_file: OpenFile, syscall: "fsync" | "fdatasync"): Promise<void> {
    return this.#session.sync(syscall);
  }

  copyFile(from: PathLike, to: PathLike, exclusive: boolean): Promise<void> {
    const session = this.#session;
    const { core, caller, bytes } = session;
    return session.change("copyfile", displayPath(from), () => {
      const fail = (code: string | undefined): void => session.allow(code, "copyfile", from, to);
      try {
        const source = core.get(from, true, "copyfile");
        fail(mayAccess(caller, ownedOf(source), constants.R_OK));
        if (!source.isFile) return fail(source.isDirectory ? "EISDIR" : "ENXIO");
        const copy = (file: UpperFile): void => {
          session.setOwned(file, afterChmod(caller, ownedOf(file), source.mode));
          bytes.copy(core.names.current(source), file);
        };
        const place = core.place(to, !exclusive, "copyfile");
        const { entry } = place;
        if (place.slash && !isNoName(place)) return fail("EISDIR");
        if (entry === undefined) {
          fail(mayCreate(caller, ownedOf(place.directory), S_IFREG));
          this.#names.create(place, source.mode, fileBody(EMPTY_CONTENT));
          this.#changeFile({ path: to, follow: true }, copy);
          return;
        }
        if (exclusive) return fail("EEXIST");
        if (entry.isDirectory) return fail("EISDIR");
        if (!entry.isFile) return fail("ENXIO");
        fail(mayAccess(caller, ownedOf(entry), constants.W_OK));
        if (core.names.inode(source) === core.names.inode(entry)) return;
        this.#changeFile({ path: to, follow: true }, copy);
      } catch (error) {
        throw error instanceof Error && "code" in error && !("dest" in error) ? withDestination(error, to) : error;
      }
    });
  }

  /** Changes the bytes of what is a regular file, and with them its mtime; set-id bits and capabilities may go. */
  #changeFile(target: Target, change: (file: UpperFile) => void): void {
    const session = this.#session;
    session.upper.begin();
    const node = session.upper.copyUp(session.entry(target, "write")) as UpperFile;
    change(node);
    session.touch(node);
    const owned = ownedOf(node);
    const changed = afterChange(session.caller, owned);
    if (changed !== owned) session.setOwned(node, changed);
    session.upper.save(node);
  }
}

/** What a number counts exactly. */
const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;
