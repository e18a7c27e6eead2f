import { aclFollowsMode } from "./acl.ts";
import * as files from "./model-files.ts";
import { createNode, makeName, type Maker, rename, rmdir, unlink } from "./model-names.ts";
import { child, PathWalk, Refusal } from "./model-path.ts";
import { type Inode, sizeOf, snapshotOf } from "./model-tree.ts";
import {
  type HandleChange,
  type Op,
  type OpenFlag,
  type OpNamed,
  type Outcome,
  pattern,
  type Snapshot,
  statOutcome,
  type System,
  type Time,
} from "./operations.ts";

/**
 * A filesystem as a table, slow and plain: what Linux does for root, without a umask, told by its documentation and not by
 * src/overlay.
 */
export class Model implements System {
  readonly name = "model";
  readonly #root: Inode;
  readonly #maker: Maker;
  readonly #handles = new Map<number, files.Handle>();

  /** @param root is changed from now on */
  constructor(root: Inode, maker: Maker) {
    this.#root = root;
    this.#maker = maker;
  }

  apply(op: Op): Outcome {
    try {
      return this.#apply(op) ?? "ok";
    } catch (error) {
      if (error instanceof Refusal) return error.code;
      throw error;
    }
  }

  snapshot(): Snapshot {
    return snapshotOf(this.#root);
  }

  /** What is at `path`, if it can be found. */
  find(path: string, follow: boolean): Inode | undefined {
    try {
      return new PathWalk(this.#root).lookup(path, follow);
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  opened(slot: number): Inode | undefined {
    return this.#handles.get(slot)?.inode;
  }

  #apply(op: Op): Outcome | undefined {
    switch (op.op) {
      case "open":
        this.#handles.delete(op.slot);
        this.#handles.set(op.slot, this.#open(op));
        return undefined;
      case "close":
        this.#handle(op.slot);
        this.#handles.delete(op.slot);
        return undefined;
      case "read":
        return files.read(this.#handle(op.slot), op.at, op.length);
      case "write":
        return files.write(this.#handle(op.slot), op.at, pattern(op.seed, op.length));
      case "fstat":
        return statOf(this.#handle(op.slot).inode);
      case "ftruncate":
      case "punch":
      case "fchmod":
      case "fchown":
      case "futimes":
      case "fsync":
        return changeByHandle(op, this.#handle(op.slot));
      case "writeFile": {
        const flags = ["O_WRONLY", "O_CREAT", op.append ? "O_APPEND" : "O_TRUNC"] as const;
        return files.write(this.#openPath(op.path, flags, 0o666), null, pattern(op.seed, op.length));
      }
      case "readFile": {
        const handle = this.#openPath(op.path, ["O_RDONLY"]);
        return files.read(handle, 0, sizeOf(handle.inode));
      }
      case "truncate":
        return files.ftruncate(this.#openPath(op.path, ["O_RDWR"]), op.size);
      case "copyFile":
        return this.#copyFile(op);
      case "mkdir":
      case "mknod":
      case "symlink":
      case "link":
        return makeName(this.#root, this.#maker, op);
      case "unlink":
        return unlink(this.#root, op.path);
      case "rmdir":
        return rmdir(this.#root, op.path);
      case "rename":
        return rename(this.#root, op);
      case "getxattr":
      case "stat":
      case "readlink":
      case "readdir":
        return readNode(op, this.#lookup(op.path, "follow" in op ? op.follow : op.op === "readdir"));
      case "chmod":
        return chmod(this.#lookup(op.path, true), op.mode);
      case "chown":
        return files.chown(this.#lookup(op.path, op.follow), op.uid, op.gid);
      case "utimes":
        return utimes(this.#lookup(op.path, op.follow), op.mtime);
      case "setxattr":
        return files.setxattr(this.#lookup(op.path, op.follow), op);
      case "removexattr":
        return files.removexattr(this.#lookup(op.path, op.follow), op.name);
    }
  }

  #openPath(path: string, flags: readonly OpenFlag[], mode = 0): files.Handle {
    return this.#open({ path, flags, mode });
  }

  #open({ path, flags, mode }: Pick<OpNamed<"open">, "path" | "flags" | "mode">): files.Handle {
    const [create, exclusive] = [flags.includes("O_CREAT"), flags.includes("O_EXCL")];
    const follow = !flags.includes("O_NOFOLLOW") && !(create && exclusive);
    const walk = new PathWalk(this.#root);
    let place = walk.place(path);
    let directoryWanted = false;
    let inode: Inode | undefined;
    for (;;) {
      if (create && place.slash && place.kind === "name") throw new Refusal("EISDIR");
      directoryWanted ||= place.slash;
      inode = child(place);
      if (inode?.type !== "symlink" || !(follow || place.slash)) break;
      walk.countLink();
      place = walk.place(inode.target, place.parent);
    }
    if (inode === undefined) {
      if (!create) throw new Refusal("ENOENT");
      return files.makeHandle(createNode(this.#maker, place, "file", mode), flags);
    }
    if (create && exclusive) throw new Refusal("EEXIST");
    if (create && inode.type === "directory") throw new Refusal("EISDIR");
    if (directoryWanted && inode.type !== "directory") throw new Refusal("ENOTDIR");
    if (inode.type === "symlink") throw new Refusal("ELOOP");
    const handle = files.makeHandle(inode, flags);
    if (inode.type === "directory" && handle.writable) throw new Refusal("EISDIR");
    if (inode.type !== "directory" && inode.type !== "file") throw new Refusal("ENXIO");
    if (flags.includes("O_TRUNC")) files.ftruncate(handle, 0);
    return handle;
  }

  /** As fs.copyFile: a new file has the mode of the old, and one that was there gets it too. */
  #copyFile({ path, to, exclusive }: OpNamed<"copyFile">): undefined {
    const from = this.#openPath(path, ["O_RDONLY"]).inode;
    const flags = exclusive ? (["O_WRONLY", "O_CREAT", "O_EXCL"] as const) : (["O_WRONLY", "O_CREAT"] as const);
    const { inode } = this.#openPath(to, flags, from.mode);
    if (inode === from) return;
    inode.data = Buffer.from(from.data);
    files.contentChanged(inode);
    chmod(inode, from.mode);
  }

  #lookup(path: string, follow: boolean): Inode {
    return new PathWalk(this.#root).lookup(path, follow);
  }

  #handle(slot: number): files.Handle {
    const handle = this.#handles.get(slot);
    if (handle === undefined) throw new Refusal("EBADF");
    return handle;
  }
}

function changeByHandle(op: HandleChange, handle: files.Handle): undefined {
  switch (op.op) {
    case "ftruncate":
      return files.ftruncate(handle, op.size);
    case "punch":
      return files.punch(handle, op.start, op.length);
    case "fchmod":
      return chmod(handle.inode, op.mode);
    case "fchown":
      return files.chown(handle.inode, op.uid, op.gid);
    case "futimes":
      return utimes(handle.inode, op.mtime);
    case "fsync":
      return undefined;
  }
}

function readNode(op: OpNamed<"getxattr" | "stat" | "readlink" | "readdir">, inode: Inode): Outcome {
  switch (op.op) {
    case "getxattr":
      return files.getxattr(inode, op.name);
    case "stat":
      return statOf(inode);
    case "readlink":
      if (inode.type !== "symlink") throw new Refusal("EINVAL");
      return `ok ${inode.target}`;
    case "readdir":
      if (inode.type !== "directory") throw new Refusal("ENOTDIR");
      return `ok ${Array.from(inode.entries, ([name, { type }]) => `${name}:${type}`)
        .sort()
        .join(" ")}`;
  }
}

function statOf(inode: Inode): Outcome {
  return statOutcome({ ...inode, size: sizeOf(inode) });
}

function chmod(inode: Inode, mode: number): undefined {
  inode.mode = mode;
  aclFollowsMode(inode);
}

function utimes(inode: Inode, mtime: Time): undefined {
  inode.mtime = mtime === "now" ? "clock" : BigInt(mtime);
}
