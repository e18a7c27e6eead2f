import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { lstatSync, mkdirSync, symlinkSync, linkSync, writeFileSync } from "node:fs";
import * as nodeFs from "node:fs/promises";
import { digestOf } from "../../src/format/blake3.ts";
import type { ContainerView } from "../../src/index.ts";
import { readXattrs, writeXattr } from "../../src/sys/xattrs.ts";

/** What both a view and a directory do, at paths of either. */
export interface Side {
  readonly fs: Calls;
  readonly at: (path: string) => string;
  readonly setxattr: (path: string, value: Uint8Array) => Promise<void>;
  readonly copyFile: (from: string, to: string) => Promise<void>;
}

type Calls = Pick<
  typeof nodeFs,
  "mkdir" | "rmdir" | "unlink" | "rename" | "link" | "symlink" | "chmod" | "truncate"
> & { open(path: string, flags: number): Promise<Handle> };

interface Handle {
  write(bytes: Uint8Array, offset: number, length: number, position: number | null): Promise<unknown>;
  close(): Promise<void>;
}

export function viewSide({ promises }: ContainerView): Side {
  return {
    fs: promises as Calls,
    at: (path) => path,
    setxattr: (path, value) => promises.setxattr(path, XATTR, value),
    copyFile: (from, to) => promises.copyFile(from, to),
  };
}

export function directorySide(root: string): Side {
  return {
    fs: nodeFs,
    at: (path) => `${root}${path}`,
    copyFile: async (from, to) => {
      // Else libuv removes what is there before it fails.
      if (!(await nodeFs.stat(`${root}${from}`)).isFile()) throw new Error("not a file");
      await nodeFs.copyFile(`${root}${from}`, `${root}${to}`);
    },
    setxattr: async (path, value) => {
      const fd = openSync(`${root}${path}`, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        writeXattr(fd, XATTR, value, () => path);
      } finally {
        closeSync(fd);
      }
    },
  };
}

const XATTR = "user.crash";

/** A call by its number. It changes something at most once: it has happened, or it has not. */
export interface Call {
  /** One call of the filesystem, so that it can be made without waiting for those before. */
  readonly isSingle: boolean;
  make(side: Side): Promise<void>;
}

/** Makes what both begin with. */
export function makeSource(root: string): void {
  for (const directory of ["a", "a/b", "c"]) mkdirSync(`${root}/${directory}`);
  writeFileSync(`${root}/a/a`, pattern(1, 300_000));
  writeFileSync(`${root}/a/b/c`, pattern(2, 5000));
  writeFileSync(`${root}/b`, "");
  linkSync(`${root}/a/a`, `${root}/c/a`);
  symlinkSync("a/b", `${root}/d`);
}

/** The same for the same numbers, whoever asks. What it gives may fail: then it changes nothing. */
export function callOf(seed: number, number: number): Call {
  const random = generator(seed * 1_000_003 + number);
  const path = (): string =>
    `/${Array.from({ length: 1 + random(3) }, () => ["a", "b", "c", "d"][random(4)]).join("/")}`;
  const [one, two] = [path(), path()];
  const size = [0, 1, 4096, 5000, 131_072, 200_000][random(6)] ?? 0;
  const position = [0, 1, 4095, 100_000, 131_072, 250_000][random(6)] ?? 0;
  const bytes = pattern(number, [1, 100, 4096, 60_000, 131_072, 400_000][random(6)] ?? 1);
  const single = (call: (side: Side) => Promise<unknown>): Call => ({
    isSingle: true,
    make: async (side) => {
      await call(side);
    },
  });
  const withFile = (flags: number, use: (handle: Handle, side: Side) => Promise<unknown>): Call => ({
    isSingle: false,
    make: async (side) => {
      const handle = await side.fs.open(side.at(one), flags);
      try {
        await use(handle, side);
      } finally {
        await handle.close();
      }
    },
  });
  const { O_APPEND, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } = constants;
  switch (random(16)) {
    case 0:
      return withFile(O_WRONLY | O_CREAT | O_EXCL, async () => undefined);
    case 1:
      return withFile(O_WRONLY | O_CREAT | O_TRUNC, async () => undefined);
    case 2:
    case 3:
    case 4:
      return withFile(O_RDWR, (handle) => handle.write(bytes, 0, bytes.length, position));
    case 5:
      return withFile(O_WRONLY | O_APPEND, (handle) => handle.write(bytes, 0, bytes.length, null));
    case 6:
      // What is written to a file without a name is gone with the handle.
      return withFile(O_RDWR, async (handle, { fs, at }) => {
        await fs.unlink(at(one));
        await handle.write(bytes, 0, bytes.length, 0).catch(() => undefined);
      });
    case 7:
      return { isSingle: false, make: ({ fs, at }) => fs.truncate(at(one), size) };
    case 8:
      return single(({ fs, at }) => fs.mkdir(at(one)));
    case 9:
      return single(({ fs, at }) => fs.rmdir(at(one)));
    case 10:
      return single(({ fs, at }) => fs.unlink(at(one)));
    case 11:
    case 12:
      return single(({ fs, at }) => fs.rename(at(one), at(two)));
    case 13:
      return single(({ fs, at }) => fs.link(at(one), at(two)));
    case 14:
      return random(2) === 0
        ? single(({ fs, at }) => fs.symlink(["a", "b/a", "c"][random(3)] ?? "a", at(one)))
        : single(({ fs, at }) => fs.chmod(at(one), [0o755, 0o700, 0o744][random(3)] ?? 0o755));
    default:
      return random(2) === 0
        ? single((side) => side.setxattr(one, Buffer.from(String(number))))
        : single((side) => side.copyFile(one, two));
  }
}

function pattern(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (seed * 31 + i * 7 + (i >> 8)) & 0xff;
  return bytes;
}

/** Mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Reads as node:fs does; so a view can be described as a directory is. */
export interface Readable {
  readonly lstatSync: (path: string) => StatsLike;
  readonly readdirSync: (path: string) => string[];
  readonly readFileSync: (path: string) => Uint8Array;
  readonly readlinkSync: (path: string) => string;
  readonly getxattr: (path: string) => string;
}

interface StatsLike {
  readonly mode: number;
  readonly nlink: number;
  readonly size: number;
  isDirectory(): boolean;
  isFile(): boolean;
  isSymbolicLink(): boolean;
}

export function readDirectory(root: string): string[] {
  return describe(
    {
      lstatSync,
      readdirSync: (path) => readdirSync(path),
      readFileSync: (path) => readFileSync(path),
      readlinkSync: (path) => readlinkSync(path),
      getxattr: (path) => {
        const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
        try {
          return xattrText(readXattrs(fd, () => path).map(({ name, value }) => [name, value]));
        } finally {
          closeSync(fd);
        }
      },
    },
    root,
    "",
  );
}

export function readView(
  view: Pick<ContainerView, (keyof Readable & keyof ContainerView) | "getxattrSync" | "listxattrSync">,
): string[] {
  return describe(
    {
      lstatSync: (path) => view.lstatSync(path),
      readdirSync: (path) => view.readdirSync(path),
      readFileSync: (path) => view.readFileSync(path),
      readlinkSync: (path) => view.readlinkSync(path),
      getxattr: (path) => xattrText(view.listxattrSync(path).map((name) => [name, view.getxattrSync(path, name)])),
    },
    "/",
    "",
  );
}

function xattrText(xattrs: (readonly [string, Uint8Array])[]): string {
  const own = xattrs.filter(([name]) => name.startsWith("user."));
  return own.map(([name, value]) => `${name}=${Buffer.from(value).toString()}`).join(",");
}

/** One line for each entry, with all that the calls can change. */
function describe(fs: Readable, root: string, path: string): string[] {
  const at = `${root}${path}`;
  const stat = fs.lstatSync(at);
  const mode = (stat.mode & 0o7777).toString(8);
  if (stat.isSymbolicLink()) return [`${path} -> ${fs.readlinkSync(at)}`];
  if (stat.isFile())
    return [`${path} ${mode} ${stat.nlink} ${stat.size} ${digestOf(fs.readFileSync(at))} ${fs.getxattr(at)}`];
  const lines = [`${path}/ ${mode} ${fs.getxattr(at)}`];
  for (const name of [...fs.readdirSync(at)].sort()) lines.push(...describe(fs, root, `${path}/${name}`));
  return lines;
}
