import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../errors.ts";
import { headerKey, nameOfKey, numberKey, numberOfKey, openHeader, prefixRange, UPPER_KIND } from "../format/upper.ts";
import type { UpperHeader } from "../format/upper.ts";
import { Kv } from "../kv/kv.ts";
import type { FileDamage } from "../kv/table-check.ts";
import { syncPath } from "../sys/durable.ts";
import { makeDirectories } from "../sys/make-directories.ts";
import { PieceFile } from "./piece-file.ts";
import { UpperLog } from "./upper-log.ts";

export interface UpperDatabaseOptions {
  /** Where the files of pieces are. Default: beside the database. */
  readonly pieces?: string;
  /** It may have lost records: what seems to mean nothing stays. */
  readonly isDamaged?: boolean;
}

/** The records of all uppers, and beside the database a file of pieces for each. Both are made when they are first needed. */
export class UpperDatabase implements AsyncDisposable {
  readonly #directory: string;
  readonly #pieces: string;
  readonly #isDamaged: boolean;
  readonly #open = new Map<number, PieceFile>();
  #kv: Kv | undefined;
  #connecting: Promise<Kv> | undefined;
  #nextId = 1;

  constructor(directory: string, { pieces = `${directory}.pieces`, isDamaged = false }: UpperDatabaseOptions = {}) {
    this.#directory = directory;
    this.#pieces = pieces;
    this.#isDamaged = isDamaged;
  }

  get refusal(): Error | undefined {
    return this.#kv?.refusal;
  }

  get exists(): boolean {
    return existsSync(this.#directory);
  }

  /** Once for all who ask, and swept: nobody writes records before. @throws as `Kv.open` */
  async connect(): Promise<Kv> {
    this.#connecting ??= this.#connect();
    try {
      return await this.#connecting;
    } catch (error) {
      this.#connecting = undefined;
      throw error;
    }
  }

  /** One that no record has. */
  newId(): number {
    return this.#nextId++;
  }

  /** To what an upper writes. Good until `deleteRecords`, or this is closed. */
  async log(id: number): Promise<UpperLog> {
    const kv = await this.connect();
    const pieces = new PieceFile(`${this.#pieces}/${id}`);
    this.#open.set(id, pieces);
    return new UpperLog(kv, pieces);
  }

  /** @throws {StoreError} FORMAT_INVALID if its record is damaged */
  header(name: string): UpperHeader | undefined {
    const key = headerKey(name);
    const bytes = this.#kv?.getSync(key);
    return bytes && openHeader(key, bytes);
  }

  mayChange(name: string, version: string): boolean {
    if (this.#kv?.getSync(headerKey(name)) === undefined) return false;
    const header = readableHeader(() => this.header(name));
    return header === undefined || header.version === version;
  }

  /** All headers. A damaged one is undefined. */
  async *headers(): AsyncGenerator<readonly [name: string, header: UpperHeader | undefined]> {
    if (this.#kv === undefined) return;
    for await (const key of this.#kv.keys(prefixRange(Buffer.of(UPPER_KIND.header)))) {
      const name = nameOfKey(key, 1);
      yield [name, readableHeader(() => this.header(name))];
    }
  }

  /** Forgets what the upper of a container holds. */
  async drop(name: string): Promise<void> {
    const key = headerKey(name);
    if (this.#kv?.getSync(key) === undefined) return;
    const header = readableHeader(() => this.header(name));
    await this.#kv.write([{ type: "del", key }]);
    if (header !== undefined) await this.deleteRecords(header.id);
  }

  damagedFiles(): Iterable<FileDamage> {
    return this.#kv?.damagedFiles("blocks") ?? [];
  }

  /** What an upper wrote, to look at. */
  async records(id: number): Promise<{ readonly kv: Kv; readonly pieces: PieceFile }> {
    return { kv: await this.connect(), pieces: new PieceFile(`${this.#pieces}/${id}`) };
  }

  /** Of an upper that has no header. */
  async deleteRecords(id: number): Promise<void> {
    for (const kind of KINDS) {
      let some: Uint8Array[] = [];
      const flush = async (): Promise<void> => {
        await this.#kv?.write(some.map((key) => ({ type: "del", key })));
        some = [];
      };
      for await (const key of this.#kv?.keys(prefixRange(numberKey(kind, id))) ?? [])
        if (some.push(key) === DELETES_AT_ONCE) await flush();
      await flush();
    }
    await this.#open.get(id)?.close();
    this.#open.delete(id);
    rmSync(`${this.#pieces}/${id}`, { force: true });
  }

  async #connect(): Promise<Kv> {
    if (!this.exists) await make(this.#directory);
    makeDirectories(this.#pieces, 0o700);
    const kv = await Kv.open(this.#directory, { create: false });
    this.#kv = kv;
    const ids = new Set<number>();
    let isWhole = !this.#isDamaged;
    for await (const [, header] of this.headers())
      if (header === undefined) isWhole = false;
      else ids.add(header.id);
    // With a damaged header, nobody can say which are the records that mean nothing.
    if (isWhole && kv.refusal === undefined) await this.#sweep(kv, ids);
    for (const file of readdirSync(this.#pieces)) ids.add(Number(file));
    for (const kind of KINDS)
      for await (const key of kv.keys({ ...prefixRange(Buffer.of(UPPER_KIND[kind])), reverse: true, limit: 1 }))
        ids.add(numberOfKey(key, 0));
    for (const id of ids) if (id >= this.#nextId) this.#nextId = id + 1;
    return kv;
  }

  /** Records without a header are what was folded already, and open when its process was killed. */
  async #sweep(kv: Kv, ids: ReadonlySet<number>): Promise<void> {
    for (const kind of KINDS) {
      const { lt } = prefixRange(Buffer.of(UPPER_KIND[kind]));
      for (let id = await firstId(kv, numberKey(kind, 0), lt); id !== undefined;) {
        if (!ids.has(id)) await this.deleteRecords(id);
        id = await firstId(kv, numberKey(kind, id + 1), lt);
      }
    }
    for (const file of readdirSync(this.#pieces)) if (!ids.has(Number(file))) rmSync(`${this.#pieces}/${file}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connecting?.catch(() => undefined);
    for (const pieces of this.#open.values()) await pieces.close();
    await this.#kv?.[Symbol.asyncDispose]();
  }
}

/** Beside its place, and then into it: a database that a kill left half made could not be opened. */
async function make(directory: string): Promise<void> {
  const unfinished = `${directory}.partial`;
  rmSync(unfinished, { recursive: true, force: true });
  const kv = await Kv.open(unfinished, { create: true });
  await kv[Symbol.asyncDispose]();
  renameSync(unfinished, directory);
  syncPath(dirname(directory));
}

/** The upper of the first key in a range. A key without one is nobody's, and harms nobody. */
async function firstId(kv: Kv, gte: Uint8Array, lt: Uint8Array): Promise<number | undefined> {
  for await (const key of kv.keys({ gte, lt })) {
    const id = numberOfKey(key, 0);
    if (!Number.isNaN(id)) return id;
  }
  return undefined;
}

function readableHeader(read: () => UpperHeader | undefined): UpperHeader | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return undefined;
  }
}

const DELETES_AT_ONCE = 1000;
const KINDS = ["node", "entry", "block"] as const;
