import { constants } from "node:fs";
import type { BigIntStats } from "node:fs";
import { errnoOf } from "../../src/errors.ts";
import type { openContainer, openView } from "../../src/index.ts";
import { readOutcome } from "./model-files.ts";
import { hashOf, type InodeType, nodeFields } from "./model-tree.ts";
import { TYPE_BITS } from "./directory-system.ts";
import {
  type HandleChange,
  knownTime,
  type Op,
  type OpenFlag,
  type OpNamed,
  type Outcome,
  type PathChange,
  pattern,
  type Snapshot,
  statFields,
  type StatFields,
  statOutcome,
  type System,
  type Time,
} from "./operations.ts";
import { SystemError } from "./syscalls.ts";

type Reading = Awaited<ReturnType<typeof openView>>;
type Writing = Awaited<ReturnType<typeof openContainer>>;
type Handle = Awaited<ReturnType<Writing["promises"]["open"]>>;

/** A container's view, by the functions that node:fs/promises has, and by Linux's beyond them. */
export class ViewSystem implements System, AsyncDisposable {
  readonly name = "delta0";
  readonly #view: Writing;
  readonly #handles = new Map<number, Handle>();

  /** Owns `view`. */
  constructor(view: Writing) {
    this.#view = view;
  }

  async apply(op: Op): Promise<Outcome> {
    try {
      return await this.#apply(op);
    } catch (error) {
      if (error instanceof SystemError) return error.code;
      const code = errnoOf(error);
      if (code === undefined) throw error;
      return code;
    }
  }

  snapshot(): Promise<Snapshot> {
    return snapshotView(this.#view);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
    await this.#view[Symbol.asyncDispose]();
  }

  async #apply(op: Op): Promise<Outcome> {
    const fs = this.#view.promises;
    switch (op.op) {
      case "open":
        await this.#handles.get(op.slot)?.close();
        this.#handles.delete(op.slot);
        this.#handles.set(op.slot, await fs.open(pathOf(op.path), bitsOf(op.flags), op.mode));
        return "ok";
      case "close":
        await this.#handle(op.slot).close();
        this.#handles.delete(op.slot);
        return "ok";
      case "read": {
        const bytes = Buffer.alloc(op.length);
        const { bytesRead } = await this.#handle(op.slot).read(bytes, 0, op.length, op.at);
        return readOutcome(bytes.subarray(0, bytesRead));
      }
      case "write": {
        const { bytesWritten } = await this.#handle(op.slot).write(pattern(op.seed, op.length), 0, op.length, op.at);
        return `ok ${bytesWritten}`;
      }
      case "fstat":
        return statOutcome(fieldsOf((await this.#handle(op.slot).stat({ bigint: true })) as BigIntStats));
      case "ftruncate":
      case "punch":
      case "fchmod":
      case "fchown":
      case "futimes":
      case "fsync":
        await changeByHandle(op, this.#handle(op.slot));
        return "ok";
      case "writeFile": {
        const bytes = pattern(op.seed, op.length);
        await (op.append ? fs.appendFile : fs.writeFile)(pathOf(op.path), bytes);
        return `ok ${bytes.length}`;
      }
      case "readFile":
        return readOutcome(await fs.readFile(pathOf(op.path)));
      case "getxattr":
      case "stat":
      case "readlink":
      case "readdir":
        return readPath(op, this.#view);
      default:
        await changePath(op, this.#view);
        return "ok";
    }
  }

  #handle(slot: number): Handle {
    const handle = this.#handles.get(slot);
    if (handle === undefined) throw new SystemError("EBADF");
    return handle;
  }
}

function changeByHandle(op: HandleChange, handle: Handle): Promise<void> {
  switch (op.op) {
    case "ftruncate":
      return handle.truncate(op.size);
    case "punch":
      return handle.punchHole(op.start, op.length);
    case "fchmod":
      return handle.chmod(op.mode);
    case "fchown":
      return handle.chown(op.uid, op.gid);
    case "futimes":
      return handle.utimes(timeOf(op.mtime), timeOf(op.mtime));
    case "fsync":
      return handle.sync();
  }
}

async function changePath(op: PathChange, { promises: fs }: Writing): Promise<unknown> {
  const path = pathOf(op.path);
  switch (op.op) {
    case "truncate":
      return fs.truncate(path, op.size);
    case "copyFile":
      return fs.copyFile(path, pathOf(op.to), op.exclusive ? constants.COPYFILE_EXCL : 0);
    case "mkdir":
      return fs.mkdir(path, op.mode);
    case "mknod":
      return fs.mknod(path, TYPE_BITS[op.type] | op.mode, { major: op.major, minor: op.minor });
    case "symlink":
      return fs.symlink(pathOf(op.target), path);
    case "link":
      return fs.link(path, pathOf(op.to));
    case "unlink":
      return fs.unlink(path);
    case "rmdir":
      return fs.rmdir(path);
    case "rename":
      return fs.rename(path, pathOf(op.to), op.flag === "none" ? {} : { flag: op.flag });
    case "chmod":
      return fs.chmod(path, op.mode);
    case "chown":
      return (op.follow ? fs.chown : fs.lchown)(path, op.uid, op.gid);
    case "utimes":
      return (op.follow ? fs.utimes : fs.lutimes)(path, timeOf(op.mtime), timeOf(op.mtime));
    case "setxattr": {
      const options = op.flag === "none" ? {} : { flag: op.flag };
      return (op.follow ? fs.setxattr : fs.lsetxattr)(path, nameOf(op.name), Buffer.from(op.value, "hex"), options);
    }
    case "removexattr":
      return (op.follow ? fs.removexattr : fs.lremovexattr)(path, nameOf(op.name));
  }
}

async function readPath(
  op: OpNamed<"getxattr" | "stat" | "readlink" | "readdir">,
  { promises: fs }: Reading,
): Promise<Outcome> {
  const path = pathOf(op.path);
  switch (op.op) {
    case "getxattr":
      return `ok ${(await (op.follow ? fs.getxattr : fs.lgetxattr)(path, nameOf(op.name))).toString("hex")}`;
    case "stat":
      return statOutcome(fieldsOf(await (op.follow ? fs.stat : fs.lstat)(path, { bigint: true })));
    case "readlink":
      return `ok ${(await fs.readlink(path, "buffer")).toString("latin1")}`;
    case "readdir": {
      const entries = await fs.readdir(path, { withFileTypes: true, encoding: "buffer" });
      const typed = entries.map((entry) => `${entry.name.toString("latin1")}:${typeOf(entry)}`);
      return `ok ${typed.sort().join(" ")}`;
    }
  }
}

/** What a view shows, to the bottom. What cannot be read has the field "error" alone. */
export async function snapshotView({ promises: fs }: Reading): Promise<Snapshot> {
  const snapshot = new Map<string, Readonly<Record<string, string>>>();
  const first = new Map<bigint, string>();
  const visit = async (at: string): Promise<void> => {
    try {
      snapshot.set(at, await fieldsAt(at));
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      snapshot.set(at, { error: code });
    }
    if (snapshot.get(at)?.["type"] !== "directory") return;
    const names = (await fs.readdir(pathOf(`/${at}`), "buffer")).map((name) => name.toString("latin1"));
    for (const name of names.sort()) await visit(at === "" ? name : `${at}/${name}`);
  };
  const fieldsAt = async (at: string): Promise<Record<string, string>> => {
    const path = pathOf(`/${at}`);
    const stats = await fs.lstat(path, { bigint: true });
    if (!first.has(stats.ino)) first.set(stats.ino, at);
    const xattrs: [string, string][] = [];
    for (const name of await fs.llistxattr(path))
      xattrs.push([Buffer.from(name).toString("latin1"), (await fs.lgetxattr(path, name)).toString("hex")]);
    return {
      ...statFields(fieldsOf(stats)),
      ...nodeFields({
        hash: stats.isFile() ? hashOf(await fs.readFile(path)) : undefined,
        target: stats.isSymbolicLink() ? (await fs.readlink(path, "buffer")).toString("latin1") : undefined,
        xattrs,
        firstPath: first.get(stats.ino) ?? at,
        path: at,
      }),
    };
  };
  await visit("");
  return snapshot;
}

function fieldsOf(stats: BigIntStats): StatFields {
  const mtime = stats.mtimeNs;
  const nsec = ((mtime % GIGA) + GIGA) % GIGA;
  const device = Number(stats.rdev);
  return {
    type: typeOf(stats),
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    nlink: Number(stats.nlink),
    size: Number(stats.size),
    rdev: `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`,
    mtime: knownTime(Number((mtime - nsec) / GIGA), Number(nsec)),
  };
}

interface Typed {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isCharacterDevice(): boolean;
  isBlockDevice(): boolean;
}

function typeOf(typed: Typed): InodeType {
  if (typed.isFile()) return "file";
  if (typed.isDirectory()) return "directory";
  if (typed.isSymbolicLink()) return "symlink";
  if (typed.isFIFO()) return "fifo";
  if (typed.isSocket()) return "socket";
  if (typed.isCharacterDevice()) return "character";
  if (typed.isBlockDevice()) return "block";
  throw new Error("a node without a type");
}

/** Text where it can be text: both ways to name a file are to work. */
function pathOf(bytes: string): string | Buffer {
  return /^[\x00-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, "latin1");
}

/** An attribute's name: a byte string as the text that it is in UTF-8. */
function nameOf(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}

function bitsOf(flags: readonly OpenFlag[]): number {
  return flags.reduce((sum, flag) => sum | constants[flag], 0);
}

function timeOf(time: Time): bigint | Date {
  return time === "now" ? new Date() : BigInt(time);
}

const GIGA = 1_000_000_000n;
