import { StoreError } from "../errors.ts";
import type { UpperHeader } from "../format/upper.ts";
import type { FileDamage } from "../kv/table-check.ts";
import type { Digest } from "../model/digest.ts";
import { Draft } from "./draft.ts";
import { SharedUpper } from "./shared-upper.ts";
import type { Lower, Recorded, RecordTree } from "./shared-upper.ts";
import { checkUpper } from "./upper-check.ts";
import type { UpperDamage } from "./upper-check.ts";
import { UpperDatabase } from "./upper-database.ts";
import type { UpperDatabaseOptions } from "./upper-database.ts";

/** A change of the store's record of a container. */
export interface RecordChange {
  readonly name: string;
  /** Of the record as it was. */
  readonly version: string;
  /**
   * Of changes that views made of that record: `refused` if there are any, since they would be lost; `dropped` with the record,
   * or for a reason; `recorded`, since it is this upper's fold that makes the change.
   */
  readonly changes: "refused" | "dropped" | { readonly recordedBy: SharedUpper };
  /** There is no such container any more. */
  readonly isGone: boolean;
}

/**
 * The uppers of containers, by name.
 *
 * What an upper shows is the container's state from the first change on until that is _folded_: frozen to a tree that is then the
 * record's. An upper that is folded is as good as none, but views that look through it go on doing so.
 */
export class Uppers implements AsyncDisposable {
  readonly #lower: Lower;
  readonly #database: UpperDatabase;
  readonly #open = new Map<string, SharedUpper>();
  /** Of each container what was begun last with its upper. */
  readonly #turns = new Map<string, Promise<void>>();
  #isClosed = false;

  private constructor(database: UpperDatabase, lower: Lower) {
    this.#database = database;
    this.#lower = lower;
  }

  /** Borrows `lower`. The database is made when it is first needed. @throws as `Kv.open` */
  static async open(directory: string, lower: Lower, options: UpperDatabaseOptions = {}): Promise<Uppers> {
    const database = new UpperDatabase(directory, options);
    try {
      if (database.exists) await database.connect();
      return new Uppers(database, lower);
    } catch (error) {
      await database[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * The upper of a container, the same for all who have it open, with what was changed and is not folded. Whoever gets it
   * closes it.
   *
   * @param current what the record is now, undefined if there is none any more
   * @param beforeChange called before the first change after a fold: what it throws forbids that
   * @throws {StoreError} NOT_FOUND if there is no record; FORMAT_INVALID if it cannot be told which upper it has
   */
  async share(name: string, current: () => Recorded | undefined, beforeChange: () => void): Promise<SharedUpper> {
    return await this.#inTurn(name, async () => {
      const recorded = current();
      if (recorded === undefined)
        throw new StoreError("NOT_FOUND", { what: `there is no container "${name}" any more` });
      const open = this.#open.get(name);
      if (open?.shows(recorded) === true) return open.retain();
      await this.#database.connect();
      const header = this.header(name);
      const over = header?.version === recorded.version ? header.version : undefined;
      if (over === undefined) await this.drop(name);
      const { id, base } =
        header !== undefined && over !== undefined ? header : { id: this.#database.newId(), base: recorded.tree };
      const shared: SharedUpper = await SharedUpper.load(await this.#database.log(id), this.#lower, {
        name,
        id,
        base,
        over,
        current,
        beforeChange,
        onLastClosed: () => this.#close(name, shared),
      });
      this.#open.set(name, shared);
      return shared.retain();
    });
  }

  /** Of a killed process's draft no record has a header, so that they go with the next connection. Whoever gets it closes it. */
  async draft(tree: Digest): Promise<Draft> {
    await this.#database.connect();
    const id = this.#database.newId();
    const log = await this.#database.log(id);
    return await Draft.over(tree, log, this.#lower, { id, discard: () => this.#database.deleteRecords(id) });
  }

  /** Why nothing could be written when that was last tried. See `Kv`. */
  get refusal(): Error | undefined {
    return this.#database.refusal;
  }

  /** @throws {StoreError} FORMAT_INVALID if its record is damaged */
  header(name: string): UpperHeader | undefined {
    return this.#database.header(name);
  }

  /** There are changes of the record of that version, or that cannot be told. */
  mayChange(name: string, version: string): boolean {
    return this.#database.mayChange(name, version);
  }

  /** What of a container's upper cannot be read. @param deep reads the bytes that were written, too */
  async damage(name: string, deep: boolean): Promise<UpperDamage[]> {
    const header = this.header(name);
    if (header === undefined) return [];
    const records = await this.#database.records(header.id);
    try {
      return await checkUpper(records, header.id, this.#lower.lowers.get(header.base), deep);
    } finally {
      await records.pieces.close();
    }
  }

  /** What looks through its database, if there is one. See `Kv.damagedFiles`. */
  damagedFiles(): Iterable<FileDamage> {
    return this.#database.damagedFiles();
  }

  /** The containers of which there may be changes that are in no record yet. */
  async changed(): Promise<ReadonlySet<string>> {
    const names = new Set(this.#open.keys());
    for await (const [name] of this.headers()) names.add(name);
    return names;
  }

  /** All headers. A damaged one is undefined. */
  headers(): AsyncGenerator<readonly [name: string, header: UpperHeader | undefined]> {
    return this.#database.headers();
  }

  /**
   * Folds the changes that an upper holds over the record with this `version`. Nothing changes the upper meanwhile.
   *
   * @returns false if there are no such changes
   * @throws {StoreError} FORMAT_INVALID for what of the upper cannot be read; what `record` throws
   */
  async fold(name: string, version: string, record: RecordTree): Promise<boolean> {
    // Every command asks, about every container.
    if (!this.#open.has(name) && this.header(name)?.version !== version) return false;
    return await this.#inTurn(name, async () => {
      const open = this.#open.get(name);
      if (open?.changes(version) === true) return await open.fold(version, record);
      const header = this.header(name);
      if (header?.version !== version || header.id === open?.id) return false;
      const { id, base } = header;
      const log = await this.#database.log(id);
      const current = (): undefined => undefined;
      const shared = await SharedUpper.load(log, this.#lower, { name, id, base, over: version, current });
      const isFolded = await shared.fold(version, record);
      if (isFolded) await this.#database.deleteRecords(id);
      return isFolded;
    });
  }

  /**
   * Runs `work`, which makes these changes of records, while no view changes one of the containers. What views of those that
   * are gone then try to change fails.
   *
   * @throws {StoreError} REFUSED for changes that would be lost
   */
  async whileRecorded<T>(changes: readonly RecordChange[], work: () => Promise<T>): Promise<T> {
    const releases: (() => void)[] = [];
    try {
      // In one order for all, so that no two wait for each other.
      for (const change of changes.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
        // Whoever folds has had its turn.
        if (typeof change.changes === "object") continue;
        releases.push(await this.#turn(change.name));
        const open = this.#open.get(change.name);
        if (open !== undefined) releases.push(await open.upper.acquire());
        if (change.changes === "refused" && this.#hasChanges(change, open))
          throw new StoreError("REFUSED", { reason: `"${change.name}" was changed meanwhile`, hint: "try again" });
      }
      const result = await work();
      for (const { name, changes: fate, isGone } of changes) if (isGone || fate === "dropped") await this.#retire(name);
      return result;
    } finally {
      for (const release of releases.reverse()) release();
    }
  }

  #hasChanges({ name, version }: RecordChange, open: SharedUpper | undefined): boolean {
    return open?.changes(version) === true || this.header(name)?.version === version;
  }

  async #retire(name: string): Promise<void> {
    this.#open.get(name)?.retire();
    this.#open.delete(name);
    await this.drop(name);
  }

  /** Forgets what an upper holds that is of no use: folded, or of a container that is gone. */
  async drop(name: string): Promise<void> {
    await this.#database.drop(name);
  }

  async #close(name: string, shared: SharedUpper): Promise<void> {
    await this.#inTurn(name, async () => {
      // What was begun is done first.
      await shared.upper.exclusive(() => shared.upper.log.commit()).catch(() => undefined);
      if (shared.isInUse || this.#isClosed) return;
      if (this.#open.get(name) === shared) this.#open.delete(name);
      // Changes that are not folded yet stay for whoever next reads the container.
      if (this.header(name)?.id !== shared.id) await this.#database.deleteRecords(shared.id);
    });
  }

  async #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const release = await this.#turn(name);
    try {
      return await work();
    } finally {
      release();
    }
  }

  async #turn(name: string): Promise<() => void> {
    const before = this.#turns.get(name);
    let release = (): void => undefined;
    const turn = new Promise<void>((resolve) => (release = resolve));
    this.#turns.set(name, turn);
    await before;
    return () => {
      if (this.#turns.get(name) === turn) this.#turns.delete(name);
      release();
    };
  }

  /** What views have not been told is written yet is written, or fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const { upper } of this.#open.values()) await upper.log.commit().catch(() => undefined);
    await this.#database[Symbol.asyncDispose]();
  }
}
