import fs from "node:fs";
import type { PathLike, ReadStream, WriteStream } from "node:fs";

export type ReadStreamOptions = NonNullable<Parameters<typeof fs.createReadStream>[1]>;
export type WriteStreamOptions = NonNullable<Parameters<typeof fs.createWriteStream>[1]>;

export interface StreamClasses {
  readonly ReadStream: new (path: PathLike, options?: ReadStreamOptions) => ReadStream;
  readonly WriteStream: new (path: PathLike, options?: WriteStreamOptions) => WriteStream;
}

/** Node's file streams, on another filesystem. What they make is `instanceof` Node's own. */
export function streamClasses(calls: object): StreamClasses {
  return {
    ReadStream: streamClass(fs.ReadStream, calls) as StreamClasses["ReadStream"],
    WriteStream: streamClass(fs.WriteStream, calls) as StreamClasses["WriteStream"],
  };
}

/** A function, as Node's are: graceful-fs applies them to objects of its own. */
function streamClass(base: { readonly prototype: object }, calls: object): unknown {
  const make = base as unknown as (this: unknown, path: PathLike, options: object) => unknown;
  function Stream(this: unknown, path: PathLike, options?: BufferEncoding | object): unknown {
    const given = typeof options === "string" ? { encoding: options } : options;
    return make.call(this, path, { ...given, fs: calls });
  }
  Stream.prototype = base.prototype;
  return Stream;
}
