import { existsSync } from "node:fs";
import { StoreError } from "../errors.ts";
import { headerKey, nameOfKey, numberKey, numberOfKey, openHeader, prefixRange, UPPER_KIND } from "../format/upper.ts";
import type { UpperHeader } from "../format/upper.ts";
import { Kv } from "../kv/kv.ts";
import type { Digest } from "../model/digest.ts";
import { SharedUpper } from "./shared-upper.ts";
import type { Lower, Recorded } from "./shared-upper.ts";
import { UpperLog } from "./upper-log.ts";

/**
 * The uppers of containers, by name.
 *
 * What an upper shows is the container's state from the first change on until that is _folded_: frozen to a tree that is then the
 * record's. An upper that is folded is as good as none, but views that look through it go on doing so.
 */
export class Uppers implements AsyncDisposable {
  readonly #directory: string;
  readonly #lower: Lower;
  #kv: Kv | undefined;
  #nextId = 1;
  readonly #open = new Map<string, SharedUpper>();

  private constructor(directory: string, lower: Lower) {
    this.#directory = directory;
    this.#lower = lower;
  }

  /** Borrows `lower`. The database is made when it is first needed. @throws as `Kv.open` */
  static async open(directory: string, lower: Lower): Promise<Uppers> {
    const uppers = new Uppers(directory, lower);
    if (existsSync(directory)) await uppers.#connect();
    return uppers;
  }

  /**
   * An upper over the container's tree, the same for all who have it open. Whoever gets it closes it.
   *
   * @param current what the record is now, undefined if there is none any more
   * @param beforeChange called before the first change after a fold: what it throws forbids that
   */
  async share(
    name: string,
    recorded: Recorded,
    current: () => Recorded | undefined,
    beforeChange: () => void,
  ): Promise<SharedUpper> {
    const open = this.#open.get(name);
    if (open?.shows(recorded.tree) === true) return open.retain();
    const kv = this.#kv ?? (await this.#connect());
    await this.drop(name);
    const shared: SharedUpper = await SharedUpper.load(new UpperLog(kv), this.#lower, {
      name,
      id: this.#nextId++,
      base: recorded.tree,
      current,
      beforeChange,
      onLastClosed: () => this.#close(name, shared),
    });
    this.#open.set(name, shared);
    return shared.retain();
  }

  /** @throws {StoreError} FORMAT_INVALID if its record is damaged */
  header(name: string): UpperHeader | undefined {
    const key = headerKey(name);
    const bytes = this.#kv?.getSync(key);
    return bytes && openHeader(key, bytes);
  }

  /** All headers. A damaged one is undefined. */
  async *headers(): AsyncGenerator<readonly [name: string, header: UpperHeader | undefined]> {
    if (this.#kv === undefined) return;
    for await (const key of this.#kv.keys(prefixRange(Buffer.of(UPPER_KIND.header)))) {
      const name = nameOfKey(key, 1);
      try {
        yield [name, this.header(name)];
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        yield [name, undefined];
      }
    }
  }

  /**
   * Folds the changes that an upper holds over the record with this `version`. Nothing changes the upper meanwhile.
   *
   * @param record makes the frozen tree the container's, durably
   * @returns false if there are no changes
   * @throws {StoreError} FORMAT_INVALID for what of the upper cannot be read; what `record` throws
   */
  async fold(name: string, version: string, record: (tree: Digest) => Promise<void>): Promise<boolean> {
    const header = this.header(name);
    if (header?.version !== version || this.#kv === undefined) return false;
    const open = this.#open.get(name);
    if (open?.id === header.id) {
      await open.fold(record);
      return true;
    }
    const shared = await SharedUpper.load(new UpperLog(this.#kv), this.#lower, { name, ...header });
    await shared.fold(record);
    await this.#deleteRecords(header.id);
    return true;
  }

  /** Forgets what an upper holds. */
  async drop(name: string): Promise<void> {
    const key = headerKey(name);
    const bytes = this.#kv?.getSync(key);
    if (this.#kv === undefined || bytes === undefined) return;
    let id: number | undefined;
    try {
      id = openHeader(key, bytes).id;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
    await this.#kv.write([{ type: "del", key }]);
    if (id !== undefined) await this.#deleteRecords(id);
  }

  async #close(name: string, shared: SharedUpper): Promise<void> {
    if (this.#open.get(name) === shared) this.#open.delete(name);
    // Changes that are not folded yet stay for whoever next reads the container.
    if (this.header(name)?.id !== shared.id) await this.#deleteRecords(shared.id);
  }

  async #deleteRecords(id: number): Promise<void> {
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
  }

  async #connect(): Promise<Kv> {
    const kv = await Kv.open(this.#directory, { create: !existsSync(this.#directory) });
    this.#kv = kv;
    const ids = new Set<number>();
    for await (const [, header] of this.headers()) if (header !== undefined) ids.add(header.id);
    for (const id of ids) this.#nextId = Math.max(this.#nextId, id + 1);
    await this.#sweep(kv, ids);
    return kv;
  }

  /** Records without a header are what was folded already, and open when its process was killed. */
  async #sweep(kv: Kv, ids: ReadonlySet<number>): Promise<void> {
    for (const kind of KINDS) {
      const { lt } = prefixRange(Buffer.of(UPPER_KIND[kind]));
      for (let id = await firstId(kv, numberKey(kind, 0), lt); id !== undefined;) {
        if (!ids.has(id)) await this.#deleteRecords(id);
        id = await firstId(kv, numberKey(kind, id + 1), lt);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kv?.[Symbol.asyncDispose]();
  }
}

/** The upper of the first key in a range. */
async function firstId(kv: Kv, gte: Uint8Array, lt: Uint8Array): Promise<number | undefined> {
  for await (const key of kv.keys({ gte, lt, limit: 1 })) return numberOfKey(key, 0);
  return undefined;
}

const DELETES_AT_ONCE = 1000;
const KINDS = ["node", "entry", "block", "unit", "whole"] as const;
