/** What calls take and give, as the types of node:fs say it: what is asked for decides. */
import type { PathLike } from "node:fs";
import type { NameEncoding, Options, WithEncoding } from "./arguments.ts";
import type { ModeLike } from "./write-arguments.ts";
import type { ViewBigIntStats, ViewDirent, ViewStats } from "./stats.ts";

/** What a face gives: at once, or promised. */
type Given<T, Late> = Late extends true ? Promise<T> : T;

export interface StatOptions {
  readonly bigint?: boolean | undefined;
  /** false: undefined, not ENOENT, for what is not there. */
  readonly throwIfNoEntry?: boolean | undefined;
}

export interface Stat<Late = false> {
  (path: PathLike, options?: { readonly bigint?: false; readonly throwIfNoEntry?: true }): Given<ViewStats, Late>;
  (path: PathLike, options: { readonly bigint: true; readonly throwIfNoEntry?: true }): Given<ViewBigIntStats, Late>;
  (path: PathLike, options?: StatOptions): Given<ViewStats | ViewBigIntStats | undefined, Late>;
}

export interface ReaddirOptions extends WithEncoding {
  readonly withFileTypes?: boolean | undefined;
  /** Also all below; symlinks are not followed. */
  readonly recursive?: boolean | undefined;
}
export type AnyDirent = ViewDirent<string | Buffer>;
export type Listing = (string | Buffer)[] | AnyDirent[];

interface NamesAlone {
  readonly withFileTypes?: false;
  readonly recursive?: boolean;
}
interface WithTypes {
  readonly withFileTypes: true;
  readonly recursive?: boolean;
}
interface AsText {
  readonly encoding?: BufferEncoding | null;
}
interface AsBytes {
  readonly encoding: "buffer";
}

export interface Readdir<Late = false> {
  (path: PathLike, options: "buffer" | (NamesAlone & AsBytes)): Given<Buffer[], Late>;
  (path: PathLike, options: WithTypes & AsBytes): Given<ViewDirent<Buffer>[], Late>;
  (path: PathLike, options: WithTypes & AsText): Given<ViewDirent[], Late>;
  (path: PathLike, options?: BufferEncoding | (NamesAlone & AsText) | null): Given<string[], Late>;
  (path: PathLike, options?: Options<ReaddirOptions>): Given<Listing, Late>;
}

/** A path for a path: readlink and realpath. */
export interface ReadPath<Late = false> {
  (path: PathLike, options: "buffer" | AsBytes): Given<Buffer, Late>;
  (path: PathLike, options?: BufferEncoding | AsText | null): Given<string, Late>;
  (path: PathLike, options?: Options<WithEncoding>): Given<string | Buffer, Late>;
}
export interface RealPath extends ReadPath {
  readonly native: ReadPath;
}

export interface ReadFileOptions extends WithEncoding {
  readonly flag?: string | number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WriteFileOptions extends ReadFileOptions {
  readonly mode?: ModeLike;
  /** Also `sync` it. */
  readonly flush?: boolean | undefined;
}

/** As `fs.StatsFs`. */
export interface SpaceStats<N> {
  readonly type: N;
  readonly bsize: N;
  readonly blocks: N;
  readonly bfree: N;
  readonly bavail: N;
  readonly files: N;
  readonly ffree: N;
}

export interface Statfs {
  (path: PathLike, options: { readonly bigint: true }): Promise<SpaceStats<bigint>>;
  (path: PathLike, options?: { readonly bigint?: boolean | undefined }): Promise<SpaceStats<number>>;
}

export interface MakeDirectoryOptions {
  readonly recursive?: boolean | undefined;
  readonly mode?: ModeLike;
}

export interface RemoveOptions {
  readonly recursive?: boolean | undefined;
  /** What is not there is no error. */
  readonly force?: boolean | undefined;
}

/** @typeParam F what a file may be beside its path */
export interface ReadFile<F, Late = false> {
  (
    path: PathLike | F,
    options?: (ReadFileOptions & { readonly encoding?: "buffer" | null }) | null,
  ): Given<Buffer, Late>;
  (
    path: PathLike | F,
    options: BufferEncoding | (ReadFileOptions & { readonly encoding: BufferEncoding }),
  ): Given<string, Late>;
  (path: PathLike | F, options?: ReadFileOptions | NameEncoding | null): Given<string | Buffer, Late>;
}

export type Callback<T> = (error: NodeJS.ErrnoException | null, result: T) => void;

/** Those that must be there. */
type Mandatory<A extends readonly unknown[]> = A extends readonly [infer First, ...infer Rest]
  ? [First, ...Mandatory<Rest>]
  : [];

/** A call that calls back: with all arguments, or without the optional ones. */
export interface Late<F extends (...args: never[]) => unknown> {
  (...args: [...Mandatory<Parameters<F>>, Callback<Awaited<ReturnType<F>>>]): void;
  (...args: [...Parameters<F>, Callback<Awaited<ReturnType<F>>>]): void;
}

export interface LateStat {
  (path: PathLike, callback: Callback<ViewStats>): void;
  (path: PathLike, options: StatOptions | undefined, callback: Callback<ViewStats | ViewBigIntStats>): void;
}

export interface LateReaddir {
  (path: PathLike, callback: Callback<string[]>): void;
  (path: PathLike, options: WithTypes & AsText, callback: Callback<ViewDirent[]>): void;
  (path: PathLike, options: Options<ReaddirOptions>, callback: Callback<Listing>): void;
}
