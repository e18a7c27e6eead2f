import { encodeName } from "./arguments.ts";
import type { NameEncoding } from "./arguments.ts";
import { argumentError } from "./file-error.ts";
import type { Row } from "./names.ts";
import { ViewDirent } from "./stats.ts";

type AnyDirent = ViewDirent<string | Buffer>;

/** As `fs.Dir`: an open directory, read in order, a page of its tree at a time. */
export class ViewDir implements AsyncDisposable {
  readonly path: string;
  readonly #entries: Iterator<Row>;
  readonly #encoding: NameEncoding;
  #closed = false;

  constructor(path: string, entries: Iterator<Row>, encoding: NameEncoding) {
    this.path = path;
    this.#entries = entries;
    this.#encoding = encoding;
  }

  /** @returns null after the last */
  readSync(): AnyDirent | null {
    this.#requireOpen();
    const step = this.#entries.next();
    if (step.done === true) return null;
    const [name, entry] = step.value;
    return new ViewDirent(entry, encodeName(name, this.#encoding), this.path);
  }

  closeSync(): void {
    this.#requireOpen();
    this.#closed = true;
    this.#entries.return?.();
  }

  read(): Promise<AnyDirent | null>;
  read(callback: (error: unknown, dirent?: AnyDirent | null) => void): void;
  read(callback?: (error: unknown, dirent?: AnyDirent | null) => void): Promise<AnyDirent | null> | undefined {
    const promise = (async () => this.readSync())();
    if (callback === undefined) return promise;
    promise.then((dirent) => callback(null, dirent), callback);
    return undefined;
  }

  close(): Promise<void>;
  close(callback: (error: unknown) => void): void;
  close(callback?: (error: unknown) => void): Promise<void> | undefined {
    const promise = (async () => this.closeSync())();
    if (callback === undefined) return promise;
    promise.then(() => callback(null), callback);
    return undefined;
  }

  /** Closes it at the end, also where the loop is left before. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AnyDirent> {
    try {
      for (let dirent = this.readSync(); dirent !== null; dirent = this.readSync()) yield dirent;
    } finally {
      if (!this.#closed) this.closeSync();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) this.closeSync();
  }

  #requireOpen(): void {
    if (this.#closed)
      throw Object.assign(argumentError("VALUE", "Directory handle was closed"), { code: "ERR_DIR_CLOSED" });
  }
}
